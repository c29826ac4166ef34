"""What persons were assessed for, from raw assessments: tests, warnings, direct offers, categories, trust.

What permits needs an account that not only likeness makes the person's; what any of their accounts says against it counts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.people import latest_assessments, of_kind

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw

TABLE = "compliance.assessments"
MAX_AGE_HOURS = 24
TRUST_MAX_AGE_HOURS = 720
TRUST_MAX_AGE_STRESSED_HOURS = 336
FIRST_TIME_MAX_AGE_HOURS = 24
COOLING_OFF = timedelta(hours=24)
# Kind, the one result that permits, the fact; absent: false.
TESTS = {
    "u_risk_awareness": ("risk_awareness", "passed"),
    "u_hk_knowledge": ("knowledge_test", "passed"),
    "u_prw_shown": ("personal_risk_warning", "shown"),
    "u_edd_approved": ("enhanced_due_diligence", "approved"),
}
# The same; absent: unknown.
FINDINGS = {"u_au_tmd_fit": ("target_market", "inside"), "u_travel_ready": ("travel_rule", "verified")}
CATEGORIES = {"high_net_worth": "hnw", "self_certified_sophisticated": "sophisticated"}


def facts(raw: Raw, identifiers: pl.DataFrame, people: pl.LazyFrame, stressed: bool) -> pl.LazyFrame:
    """One row per person: the facts of TESTS and FINDINGS, u_uk_cat, u_uk_cat_at, u_dofp_*, u_trust, u_first_time."""
    import polars as pl

    is_fresh = raw.fresh([TABLE], MAX_AGE_HOURS)
    found = people
    for name, (kind, permits) in TESTS.items():
        found = found.join(_answers(raw, identifiers, kind, permits, name), on="person_id", how="left")
    for name, (kind, permits) in FINDINGS.items():
        found = found.join(_answers(raw, identifiers, kind, permits, name), on="person_id", how="left")
    found = found.with_columns(pl.col(list(TESTS)).fill_null(False))
    found = found.join(_category(raw, identifiers), on="person_id", how="left").with_columns(
        pl.when(pl.col("is_categorised").fill_null(False)).then("u_uk_cat").otherwise(pl.lit("none")).alias("u_uk_cat")
    )
    found = found.join(_direct_offers(raw, identifiers), on="person_id", how="left").with_columns(
        pl.col("u_dofp_reconfirmed").fill_null(False)
    )
    judged = [*TESTS, *FINDINGS, "u_uk_cat", "u_uk_cat_at", "u_dofp_requested_at", "u_dofp_reconfirmed"]
    found = found.with_columns(pl.when(pl.lit(is_fresh)).then(name).alias(name) for name in judged)
    found = found.join(_trust(raw, identifiers, stressed), on="person_id", how="left").select("person_id", *judged, "u_trust")
    return found.join(_responders(raw, identifiers), on="person_id", how="left").with_columns(
        pl.col("u_first_time").fill_null(True)
        if raw.fresh(["events.events"], FIRST_TIME_MAX_AGE_HOURS)
        else pl.lit(None, pl.Boolean).alias("u_first_time")
    )


def _answers(raw: Raw, identifiers: pl.DataFrame, kind: str, permits: str, name: str) -> pl.LazyFrame:
    """(person_id, `name`) of persons with an answer that counts: false when any account says otherwise, true when a sure one says so."""
    import polars as pl

    says_so = pl.col("result") == permits
    return (
        latest_assessments(raw, identifiers, kind, [])
        .group_by("person_id")
        .agg(says_so.all().alias("is_agreed"), (~pl.col("is_weak")).any().alias("is_sure"))
        .select("person_id", pl.when(~pl.col("is_agreed")).then(False).when("is_sure").then(True).alias(name))
    )


def _category(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    import polars as pl

    category = pl.col("result").replace(CATEGORIES)
    return (
        latest_assessments(raw, identifiers, "uk_category", [])
        .group_by("person_id")
        .agg(
            (~pl.col("is_weak")).any().alias("is_categorised"),
            pl.when(category.n_unique() == 1).then(category.first()).alias("u_uk_cat"),
            pl.when((category.n_unique() == 1) & (~pl.col("is_weak")).any())
            .then(pl.col("taken_at").min())
            .alias("u_uk_cat_at"),
        )
    )


def _direct_offers(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    """(person_id, u_dofp_requested_at, u_dofp_reconfirmed) of everybody who asked for a direct offer."""
    import polars as pl

    def of(kind: str, permits: str, at: pl.Expr, name: str) -> pl.LazyFrame:
        return (
            latest_assessments(raw, identifiers, kind, [])
            .group_by("person_id")
            .agg(
                (pl.col("result") == permits).all().alias("is_agreed"),
                (~pl.col("is_weak")).any().alias("is_sure"),
                at.alias(name),
            )
            .filter("is_agreed", "is_sure")
            .select("person_id", name)
        )

    asked = of("direct_offer_request", "requested", pl.col("taken_at").max(), "u_dofp_requested_at")
    again = of("direct_offer_reconfirmed", "reconfirmed", pl.col("taken_at").min(), "reconfirmed_at")
    return asked.join(again, on="person_id", how="left").select(
        "person_id",
        "u_dofp_requested_at",
        (pl.col("reconfirmed_at") - pl.col("u_dofp_requested_at") >= COOLING_OFF).fill_null(False).alias("u_dofp_reconfirmed"),
    )


def _trust(raw: Raw, identifiers: pl.DataFrame, stressed: bool) -> pl.LazyFrame:
    """(person_id, u_trust); no row: unknown."""
    import polars as pl

    hours = TRUST_MAX_AGE_STRESSED_HOURS if stressed else TRUST_MAX_AGE_HOURS
    if not raw.fresh([TABLE], hours):
        return pl.LazyFrame(schema={"person_id": pl.String, "u_trust": pl.Float64})
    text = pl.col("result")
    score = pl.when(text.str.contains(r"^[0-9]{1,3}([.][0-9]+)?$")).then(text.cast(pl.Float64, strict=False))
    sound = score.is_between(0, 100).fill_null(False)
    return (
        latest_assessments(raw, identifiers, "trust", [])
        .filter(pl.col("taken_at") > raw.as_of - timedelta(hours=hours))
        .group_by("person_id")
        .agg(sound.all().alias("is_sound"), (~pl.col("is_weak")).any().alias("is_sure"), score.min().alias("u_trust"))
        .filter("is_sound", "is_sure")
        .select("person_id", "u_trust")
    )


def _responders(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    """(person_id, u_first_time = false) of everybody who, logged in, once accepted a direct offer."""
    import polars as pl

    direct = raw.current("catalogue.offers", ["offer_id", "version"], ["is_direct_offer"]).filter("is_direct_offer")
    accepted = raw.once(
        "accepted",
        lambda: (
            raw.rows("events.events", ["event_name", "occurred_at", "account_id", "offer_id"])
            .filter(pl.col("event_name") == "offer_accepted", pl.col("occurred_at") <= raw.as_of)
            .select("account_id", "offer_id")
            .unique()
        ),
    )
    sure = of_kind(identifiers, "account_id", None, "is_weak").filter(~pl.col("is_weak"))
    return (
        accepted.join(direct.select("offer_id").unique(), on="offer_id", how="semi")
        .join(sure, on="account_id", how="inner")
        .select("person_id", pl.lit(False).alias("u_first_time"))
        .unique()
    )
