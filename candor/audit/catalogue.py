"""What an offer is, what its creative says, and who approved it, from the raw catalogue."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from candor.audit.raw import newest

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw


RISKY = (
    "is_direct_offer",
    "pays_interest",
    "is_credit",
    "requires_transfer",
    "is_personal_recommendation",
    "is_significant",
    "is_gambling_style",
    "is_third_party_share",
    "is_au_financial_product",
    "has_personal_price",
)
PLAIN = ("leverage", "asset_kind", "interest_payer", "uses_features")


def offers(raw: Raw, brand: dict[str, Any]) -> pl.LazyFrame:
    """One row per offer in its highest version: o_version, product_line and what rules read. Ties take the more restrictive value."""
    import polars as pl

    stands_for = pl.col("brand_values").list
    says_whom = [pl.col(name).fill_null("").str.strip_chars(" ") != "" for name in ("target_market", "negative_target_market")]
    is_complete = (stands_for.len().fill_null(0) > 0) & (stands_for.set_difference(brand["values"]).list.len() == 0)

    columns = ["product_line", "is_promotion", "incentive", "starts_at", "ends_at", "ends_local", "total_cap"]
    columns += ["brand_values", "target_market", "negative_target_market", *RISKY, *PLAIN]
    rows = raw.current("catalogue.offers", ["offer_id", "version"], columns)
    return (
        newest(rows, ["offer_id"], ["version"])
        .group_by("offer_id")
        .agg(
            pl.col("version").first().alias("o_version"),
            pl.col("product_line").sort().first(),
            pl.col("total_cap").min().alias("o_total_cap"),
            pl.col("is_promotion").fill_null(True).any().alias("o_is_promotion"),
            pl.when((pl.col("incentive") == "none").all())
            .then(pl.lit("none"))
            .otherwise(pl.col("incentive").max())
            .alias("o_incentive"),
            pl.col("starts_at").max().alias("o_starts_at"),
            pl.col("ends_at").min().alias("o_ends_at"),
            pl.col("ends_local").drop_nulls().min().alias("o_ends_local"),
            # Of versions that tie: true where any says so, the highest leverage, and what only one of them can be is nothing known.
            *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).any()).alias(name) for name in RISKY),
            pl.when(pl.col("leverage").null_count() == 0).then(pl.col("leverage").max()).cast(pl.Float64).alias("leverage"),
            *(
                pl.when(pl.col(name).n_unique() == 1).then(pl.col(name).first()).alias(name)
                for name in ("asset_kind", "interest_payer")
            ),
            pl.col("uses_features").first(),
            pl.all_horizontal(is_complete, *says_whom).fill_null(False).all().alias("is_complete"),
        )
    )


def creatives(raw: Raw, brand: dict[str, Any]) -> pl.LazyFrame:
    """One row per current content of a creative: what the catalogue says is shown where, and what brand.yml says of its words."""
    import polars as pl

    columns = [
        "offer_id",
        "offer_version",
        "channel",
        "locale",
        "title",
        "body",
        "disclosures",
        "pressure_flags",
        "why_template",
    ]
    rows = raw.current("catalogue.creatives", ["creative_id"], columns)
    return rows.select(
        "creative_id",
        pl.col("offer_id").alias("c_offer_id"),
        pl.col("offer_version").alias("c_offer_version"),
        pl.col("channel").alias("c_channel"),
        pl.col("locale").alias("c_locale"),
        pl.col("title").alias("c_title"),
        pl.col("body").alias("c_body"),
        pl.col("disclosures").fill_null(pl.lit([], pl.List(pl.String))).alias("o_disclosures"),
        pl.concat_list(
            pl.col("pressure_flags").fill_null(pl.lit([], pl.List(pl.String))),
            _flags(brand),
        ).alias("o_pressure"),
        _is_readable(brand).alias("is_readable"),
        pl.col("why_template").alias("c_why"),
    ).unique("creative_id", keep="none")


SAID = ("title", "body", "why_template")
QUOTES, DASHES, SPACES = "‘’‚‛´`′", "‐‑‒–—−", "\u00a0\u2007\u2009\u202f\t\n"
# What a reader does not see as what it is.
HIDDEN = (
    r"[\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{FEFF}\x{00AD}]|[\x{FF21}-\x{FF5A}\x{1D400}-\x{1D7FF}]"
    r"|\p{Latin}(?:\p{Cyrillic}|\p{Greek})|(?:\p{Cyrillic}|\p{Greek})\p{Latin}"
)


def _plain(column: str) -> pl.Expr:
    import polars as pl

    swaps = {**dict.fromkeys(QUOTES, "'"), **dict.fromkeys(DASHES, "-"), **dict.fromkeys(SPACES, " ")}
    return pl.col(column).fill_null("").str.normalize("NFC").str.replace_many(list(swaps), list(swaps.values()))


def _folded(column: str) -> pl.Expr:
    return _plain(column).str.normalize("NFD").str.replace_all(r"\p{M}", "")


def _in_ascii(pattern: str) -> str:
    """The pattern without marks on its letters, with word boundaries, digits and word characters of ASCII, whatever the case."""
    plain = "".join(letter for letter in unicodedata.normalize("NFD", pattern) if unicodedata.category(letter)[0] != "M")
    return "(?i)" + plain.replace(r"\b", r"(?-u:\b)").replace(r"\d", "[0-9]").replace(r"\w", "[0-9A-Za-z_]")


def _language() -> pl.Expr:
    import polars as pl

    return pl.col("locale").str.extract("^([A-Za-z]+)").str.to_lowercase()


def _flags(brand: dict[str, Any]) -> pl.Expr:
    """The pressure flags that phrases and hidden characters become, nulls among them."""
    import polars as pl

    becomes = {row["flag"]: row["becomes"] for row in brand["flags"]}
    found = [
        pl.when((_language() == row["language"]) & _folded(field).str.contains(_in_ascii(row["pattern"]))).then(
            pl.lit(becomes[row["flag"]])
        )
        for row in brand["phrases"]
        for field in SAID
    ]
    found += [pl.when(_plain(field).str.contains(HIDDEN)).then(pl.lit(becomes["hidden_characters"])) for field in SAID]
    return pl.concat_list(*found).list.drop_nulls()


def _is_readable(brand: dict[str, Any]) -> pl.Expr:
    """Whether the language is one that the brand reads, and a body of some length is at most at its reading level (LIX)."""
    import polars as pl

    limits = {row["language"]: row["max_lix"] for row in brand["languages"]}
    limit = _language().replace_strict(limits, default=None, return_dtype=pl.Float64)
    words = _plain("body").str.extract_all(r"\p{L}[\p{L}\p{N}'-]*|\p{N}+")
    long_words = words.list.eval(pl.element().str.len_chars() > 6).list.sum()
    sentences = pl.max_horizontal(_plain("body").str.strip_chars(" ").str.count_matches(r"[.!?:;]+(?:\s|$)"), pl.lit(1))
    lix = words.list.len() / sentences + 100 * long_words / words.list.len()
    is_short = words.list.len() < max(int(brand["min_words"]), 1)
    return limit.is_not_null() & (is_short | (lix <= limit))


def approvals(raw: Raw, shown: pl.LazyFrame) -> pl.LazyFrame:
    """One row per shown (offer, version, creative): until when both compliance and brand approve, and what else was signed.

    `shown` has offer_id, offer_version, creative_id. An approval without creative_id covers every creative of its version. Gives
    o_creative_expires (null unless both approve at as_of), has_white_paper, has_emt_issuer, has_us_venue, has_us_counsel,
    has_suitability, has_human_review, has_fair_lending, is_glba_exempt, and uk_route (none without one, null when they name several).
    """
    import polars as pl

    kind, regime = pl.col("kind"), pl.col("regime")
    columns = ["offer_id", "offer_version", "creative_id", "kind", "regime", "evidence", "valid_from", "valid_to"]
    given = (
        raw.rows("catalogue.approvals", columns)
        .filter(pl.col("valid_from") <= raw.as_of, pl.col("valid_to") > raw.as_of)
        .rename({"creative_id": "approved_creative"})
    )

    def signed(name: str, area: str | None = None) -> pl.Expr:
        here = kind == name if area is None else (kind == name) & (regime.is_null() | (regime == area))
        return here.fill_null(False).any()

    until = {name: pl.col("valid_to").filter(kind == name).max() for name in ("compliance", "brand")}
    routes = pl.col("evidence").filter((kind == "uk_route") & (regime.is_null() | (regime == "GB"))).str.split(":").list.first()
    keys = ["offer_id", "offer_version", "creative_id"]
    signatures = {
        "has_white_paper": signed("white_paper", "EEA"),
        "has_emt_issuer": signed("emt_issuer", "EEA"),
        "has_us_venue": signed("us_venue", "US"),
        "has_us_counsel": signed("us_counsel", "US"),
        "has_suitability": signed("suitability"),
        "has_human_review": signed("human_review"),
        "has_fair_lending": signed("fair_lending", "US"),
        "is_glba_exempt": ((kind == "glba_exempt") & (regime.is_null() | regime.is_in(["US", "US-NY"])).fill_null(False)).any(),
    }
    found = (
        shown.unique()
        .join(given, on=["offer_id", "offer_version"], how="inner")
        .filter(pl.col("approved_creative").is_null() | (pl.col("approved_creative") == pl.col("creative_id")))
        .group_by(keys)
        .agg(
            until["compliance"].alias("compliance_until"),
            until["brand"].alias("brand_until"),
            routes.n_unique().alias("routes"),
            routes.first().alias("route"),
            **signatures,
        )
    )
    both = pl.col("compliance_until").is_not_null() & pl.col("brand_until").is_not_null()
    routes_known = (
        pl.when(pl.col("routes") == 1).then(pl.col("route")).when(pl.col("routes") > 1).then(None).otherwise(pl.lit("none"))
    )
    return found.select(
        *keys,
        pl.when(both).then(pl.min_horizontal("compliance_until", "brand_until")).alias("o_creative_expires"),
        routes_known.alias("uk_route"),
        *signatures,
    )
