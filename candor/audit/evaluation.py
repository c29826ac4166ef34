"""One wide row per staged offer with every fact that a rule reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from candor.audit import (
    assessments,
    behaviour,
    catalogue,
    consent,
    erased,
    feedback,
    markets,
    moments,
    people,
    reasons,
    released,
    screening,
)

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.inputs import Inputs
    from candor.audit.raw import Raw
    from candor.audit.rulebook import Rulebook
    from candor.settings import Settings

# Rows of 150 columns are joined a dozen times: the streaming engine would move every column at each join, this one leaves the left side be.
WIDE: Literal["in-memory"] = "in-memory"
PROFILING_TABLES = ["compliance.restrictions", "crm.preferences", "crm.consents"]


def wide_rows(given: Inputs, held: pl.DataFrame, settings: Settings, context: Any) -> pl.DataFrame:
    """The staged rows with the facts of their person, offer, creative and planned delivery. `held`: offer_id, holders of capped offers."""
    import polars as pl

    raw = given.raw(settings, context.as_of)
    book: Rulebook = context.rulebook
    everybody = given.staged.lazy().select("person_id").unique()
    vol_rank = markets.vol_rank(raw, book)
    stressed = markets.is_stressed(vol_rank, book)
    facts, zones = _person_facts(given, raw, book, everybody, settings, stressed)
    shown = given.staged.lazy().select("offer_id", "offer_version", "creative_id")
    channels = pl.LazyFrame(
        {"channel": list(book.channels), "rule_channel": [row["rule_channel"] for row in book.channels.values()]},
        schema={"channel": pl.String, "rule_channel": pl.String},
    )
    rows = (
        _with_disclosures(given.staged)
        .lazy()
        .join(facts, on="person_id", how="left")
        .join(given.penalties.lazy(), on="decision_id", how="left")
        .join(catalogue.offers(raw, book.brand), on="offer_id", how="left")
        .join(catalogue.creatives(raw, book.brand), on="creative_id", how="left")
        .join(catalogue.approvals(raw, shown), on=["offer_id", "offer_version", "creative_id"], how="left")
        .with_columns(pl.col("locale").str.split("-").list.first().alias("language"))
        .join(reasons.sentences(book.explanations), on=["language", "reason_text"], how="left")
        .join(book.product_frame().lazy(), on="product_line", how="left")
        .join(channels, on="channel", how="left")
        .join(
            people.appropriateness(raw, given.identifiers, book.limits["approp_validity_days"]),
            on=["person_id", "product_line"],
            how="left",
        )
        .with_columns(
            # Nothing is sent before now, whatever window an earlier run gave it.
            pl.max_horizontal(pl.col("send_after").fill_null(context.as_of), pl.lit(context.as_of)).alias("planned"),
            pl.col("u_approp").fill_null("not_taken"),
            pl.lit(vol_rank, pl.Int64).alias("c_vol_rank"),
            _most_hours(book, stressed).alias("m_most_hours"),
            pl.col("rule_channel").is_not_null().alias("is_known_channel"),
        )
        .collect(engine=WIDE)
        .lazy()
    )
    lines = catalogue.offers(raw, book.brand).select("offer_id", "product_line").unique("offer_id")
    offers_refused, lines_refused = behaviour.cooling_down(raw, given.identifiers, lines, book)
    stated = rows.select("decision_id", "person_id", "product_line", "drivers")
    rows = (
        rows.join(offers_refused, on=["person_id", "offer_id"], how="left")
        .join(lines_refused, on=["person_id", "product_line"], how="left")
        .join(behaviour.true_reasons(raw, given.identifiers, stated, lines, book), on="decision_id", how="left")
        .join(moments.ages(rows, zones), on=["person_id", "planned"], how="left")
        .join(moments.local_ends(rows, zones), on=["person_id", "o_ends_local"], how="left")
        .join(moments.quiet_hours(rows, zones, book), on="decision_id", how="left")
        .join(_missing_permissions(rows, book), on=["person_id", "product_line", "planned"], how="left")
        .with_columns(
            pl.min_horizontal("o_ends_at", "d_end_local").alias("d_ends_at"),
            (pl.col("o_is_promotion").fill_null(True) & pl.col("channel").is_in(consent.PUSHED))
            .sum()
            .over("person_id")
            .alias("pushed_promotions"),
            # Joint over the person's rows in every channel.
            pl.col("o_is_promotion").fill_null(True).sum().over("person_id").alias("promotions"),
            (~pl.col("o_is_promotion").fill_null(True)).sum().over("person_id").alias("education"),
            pl.col("offer_id")
            .filter(pl.col("o_is_promotion").fill_null(True))
            .n_unique()
            .over("person_id", "product_line")
            .alias("promotions_of_line"),
            pl.col("u_stage")
            .replace_strict(dict(book.promotions_per_education), default=None, return_dtype=pl.Float64)
            .alias("m_ratio")
            if book.promotions_per_education
            else pl.lit(None, pl.Float64).alias("m_ratio"),
        )
        .join(held.lazy(), on="offer_id", how="left")
    )
    judged = rows.collect(engine=WIDE)
    return judged.with_columns(released.is_upheld(judged, context.verdicts))


def _person_facts(
    given: Inputs, raw: Raw, book: Rulebook, everybody: pl.LazyFrame, settings: Settings, stressed: bool
) -> tuple[pl.LazyFrame, pl.DataFrame]:
    import polars as pl

    providers = _email_providers(settings)
    accounts = people.accounts(raw, given.identifiers)
    records = people.kyc_records(raw, accounts)
    arms = given.arms.lazy().group_by("person_id").agg((pl.col("arm") == "treated").all().alias("is_treated"))
    known = given.identifiers.lazy().select("person_id", pl.lit(True).alias("is_known_person")).unique()
    stated = people.own_words(raw, given.identifiers, accounts)
    claimed = people.claimed_wallets(raw, given.identifiers)
    products = book.product_frame().lazy().select("product_line", pl.col("m_rank").alias("rank"))
    ranks = catalogue.offers(raw, book.brand).select("offer_id", "product_line").join(products, on="product_line")
    parts = [
        known,
        given.stages.lazy(),
        arms,
        given.withheld.lazy().with_columns(pl.lit(True).alias("is_withheld")),
        people.made_for_testing(raw, accounts, stated),
        people.kyc_facts(raw, records, accounts),
        people.regimes(raw, book, accounts, records, given.identifiers, given.phone_numbers),
        people.exposure(raw, records),
        people.countries(raw, book, accounts, records, stated, given.phone_numbers),
        people.risk_profile(raw, given.identifiers),
        assessments.facts(raw, given.identifiers, everybody, stressed),
        screening.facts(raw, given.identifiers, accounts, everybody, claimed),
        consent.restrictions(raw, given.identifiers, providers, everybody, stated, claimed, stressed),
        consent.consent_facts(raw, given.identifiers, providers, everybody, stated),
        consent.contact_counts(raw, given.identifiers, given.past_decisions, everybody, ranks),
        feedback.counts(raw, given.identifiers, providers, everybody, stated, stressed),
    ]
    facts = everybody
    for part in parts:
        facts = facts.join(part, on="person_id", how="left")
    returned = erased.came_back(given.identifiers, given.erased_contacts, settings, raw.as_of)
    facts = facts.join(
        returned.lazy().with_columns(pl.lit(True).alias("is_erased_before")), on="person_id", how="left"
    ).with_columns((pl.col("u_erasure") | pl.col("is_erased_before").fill_null(False)).alias("u_erasure"))
    optout = book.email_optout_regimes
    is_optout = pl.any_horizontal(
        *(pl.element() == regime for regime in optout), *(pl.element().str.starts_with(f"{regime}-") for regime in optout)
    )
    profiling_known = raw.fresh(PROFILING_TABLES, consent.CONSENT_MAX_AGE_HOURS)
    refused = pl.col("u_restricted_profiling") | pl.col("personalisation_off") | pl.col("profiling_refused")
    facts = facts.with_columns(
        pl.col("is_known_person").fill_null(False),
        pl.col("is_treated").fill_null(False),
        pl.col("is_withheld").fill_null(False),
        pl.col("is_made_for_testing").fill_null(False),
        pl.col("u_risk_profile").fill_null("unknown"),
        pl.col("u_perm_regimes").list.eval(is_optout).list.all().alias("is_optout_email"),
        (refused if profiling_known else pl.lit(None, pl.Boolean)).alias("u_profiling_objection"),
    )
    return facts.collect(engine=WIDE).lazy(), people.zones(accounts)


def _most_hours(book: Rulebook, stressed: bool) -> pl.Expr:
    """How many hours the row may live, by what it is and the rank of its line, none longer than any offer; unknown where the rank is."""
    import polars as pl

    hours = pl.lit(None, pl.Int64)
    for row in sorted(book.staleness, key=lambda row: row["from_rank"]):
        of_kind = pl.col("o_is_promotion").fill_null(True) == (row["offers"] == "promotions")
        limit = min(row["hours_stressed"] if stressed else row["hours"], book.limits["offer_validity_hours"])
        hours = pl.when(of_kind & (pl.col("m_rank") >= row["from_rank"])).then(pl.lit(limit, pl.Int64)).otherwise(hours)
    return hours


def _missing_permissions(rows: pl.LazyFrame, book: Rulebook) -> pl.LazyFrame:
    """One row per (person_id, product_line, planned) whose regimes and client class are known: d_perm_missing."""
    import polars as pl

    granted = pl.LazyFrame(
        [
            {
                "regime": row["regime"],
                "u_client_class": row["client_class"],
                "product_line": product,
                "from": row["from"],
                "to": row["to"],
            }
            for row in book.permissions
            for product in row["products"]
        ],
        schema={
            "regime": pl.String,
            "u_client_class": pl.String,
            "product_line": pl.String,
            "from": pl.Datetime("us"),
            "to": pl.Datetime("us"),
        },
    )
    keys = ["person_id", "product_line", "planned"]
    asked = (
        rows.select(*keys, "u_client_class", pl.col("u_perm_regimes").alias("regime"))
        .drop_nulls()
        .unique(keys)
        .explode("regime")
    )
    permitted = (
        asked.join(granted, on=["regime", "u_client_class", "product_line"], how="inner")
        .filter(pl.col("from") <= pl.col("planned"), pl.col("planned") < pl.col("to"))
        .select(*keys, "regime", pl.lit(True).alias("is_permitted"))
        .unique()
    )
    return (
        asked.join(permitted, on=[*keys, "regime"], how="left")
        .group_by(keys)
        .agg(pl.col("is_permitted").is_null().sum().cast(pl.Int64).alias("d_perm_missing"))
    )


def _with_disclosures(staged: pl.DataFrame) -> pl.DataFrame:
    """The staged rows with `shown_disclosures`: the list that the text in `disclosures` holds; null when it is not one."""
    import polars as pl

    texts = staged.select("disclosures").unique().drop_nulls()
    lists = pl.Series("shown_disclosures", [_json_list(text) for text in texts["disclosures"]], dtype=pl.List(pl.String))
    return staged.join(texts.with_columns(lists), on="disclosures", how="left")


def _json_list(text: str) -> list[str] | None:
    try:
        read = json.loads(text)
    except json.JSONDecodeError:
        return None
    return read if isinstance(read, list) and all(isinstance(item, str) for item in read) else None


def _email_providers(settings: Settings) -> pl.DataFrame:
    """The technical lookup of mail providers that ignore dots and plus tags."""
    import polars as pl

    return pl.read_csv(settings.dbt_project_dir / "seeds" / "email_providers.csv")
