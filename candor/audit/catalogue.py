"""What an offer is, what its creative says, and who approved it, from the raw catalogue."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from candor.audit.raw import newest

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw


def offers(raw: Raw, brand: dict[str, Any]) -> pl.LazyFrame:
    """One row per offer in its highest version: o_version, product_line and what rules read. Ties take the more restrictive value."""
    import polars as pl

    stands_for = pl.col("brand_values").list
    says_whom = [pl.col(name).fill_null("").str.strip_chars(" ") != "" for name in ("target_market", "negative_target_market")]
    is_complete = (stands_for.len().fill_null(0) > 0) & (stands_for.set_difference(brand["values"]).list.len() == 0)

    columns = ["product_line", "is_promotion", "incentive", "starts_at", "ends_at", "ends_local"]
    columns += ["brand_values", "target_market", "negative_target_market"]
    rows = raw.current("catalogue.offers", ["offer_id", "version"], columns)
    return (
        newest(rows, ["offer_id"], ["version"])
        .group_by("offer_id")
        .agg(
            pl.col("version").first().alias("o_version"),
            pl.col("product_line").sort().first(),
            pl.col("is_promotion").fill_null(True).any().alias("o_is_promotion"),
            pl.when((pl.col("incentive") == "none").all())
            .then(pl.lit("none"))
            .otherwise(pl.col("incentive").max())
            .alias("o_incentive"),
            pl.col("starts_at").max().alias("o_starts_at"),
            pl.col("ends_at").min().alias("o_ends_at"),
            pl.col("ends_local").drop_nulls().min().alias("o_ends_local"),
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
    """One row per shown (offer, version, creative) approved by both compliance and brand at as_of: o_creative_expires.

    `shown` has offer_id, offer_version, creative_id. An approval without creative_id covers every creative of its version.
    """
    import polars as pl

    given = (
        raw.rows("catalogue.approvals", ["offer_id", "offer_version", "creative_id", "kind", "valid_from", "valid_to"])
        .filter(pl.col("kind").is_in(["compliance", "brand"]))
        .filter(pl.col("valid_from") <= raw.as_of, pl.col("valid_to") > raw.as_of)
        .rename({"creative_id": "approved_creative"})
    )
    return (
        shown.unique()
        .join(given, on=["offer_id", "offer_version"], how="inner")
        .filter(pl.col("approved_creative").is_null() | (pl.col("approved_creative") == pl.col("creative_id")))
        .group_by("offer_id", "offer_version", "creative_id", "kind")
        .agg(pl.col("valid_to").max())
        .group_by("offer_id", "offer_version", "creative_id")
        .agg(pl.col("kind").n_unique().alias("kinds"), pl.col("valid_to").min().alias("o_creative_expires"))
        .filter(pl.col("kinds") == 2)
        .drop("kinds")
    )
