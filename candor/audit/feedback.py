"""What persons did with offers and said of them, as far as rules ask: dismissals and bad answers of 30 days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.consent import normal_email
from candor.audit.people import of_kind

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw

WINDOW = timedelta(hours=720)
MAX_AGE_HOURS = 24
MAX_AGE_STRESSED_HOURS = 12
TURNED_DOWN = ("offer_dismissed", "offer_not_relevant")
# Of the scale's end: an answer at most (at least, where much is bad) this much is a bad one.
BAD_AT_MOST = {"csat": 0.4, "relevance": 0.4}
BAD_FROM = {"intrusiveness": 0.8}


def counts(
    raw: Raw, identifiers: pl.DataFrame, providers: pl.DataFrame, people: pl.LazyFrame, stated: pl.LazyFrame, stressed: bool
) -> pl.LazyFrame:
    """One row per person: u_dismiss_30d and u_neg_fb_30d, each null when its feed is too old."""
    import polars as pl

    dismissed = _dismissals(raw, identifiers)
    answered = _bad_answers(raw, identifiers, providers, stated)
    hours = MAX_AGE_STRESSED_HOURS if stressed else MAX_AGE_HOURS
    known = {"u_dismiss_30d": "events.events", "u_neg_fb_30d": "surveys.responses"}
    return (
        people.join(dismissed, on="person_id", how="left")
        .join(answered, on="person_id", how="left")
        .select(
            "person_id",
            *(
                (pl.col(fact).fill_null(0).cast(pl.Int64) if raw.fresh([table], hours) else pl.lit(None, pl.Int64)).alias(fact)
                for fact, table in known.items()
            ),
        )
    )


def turned_down(raw: Raw) -> pl.LazyFrame:
    """Every event up to as_of by which somebody turned an offer down, with its time, the offer and whoever it names."""
    import polars as pl

    columns = ["event_id", "event_name", "occurred_at", "offer_id", "account_id", "device_id", "anonymous_id"]
    return raw.once(
        "turned down",
        lambda: raw.rows("events.events", columns).filter(
            pl.col("event_name").is_in(TURNED_DOWN), pl.col("occurred_at") <= raw.as_of
        ),
    )


def _dismissals(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    import polars as pl

    rows = turned_down(raw).filter(pl.col("occurred_at") > raw.as_of - WINDOW)
    owned = _by_first_given(rows, identifiers, ["account_id", "device_id", "anonymous_id"], "event_id")
    return owned.group_by("person_id").agg(pl.col("event_id").n_unique().alias("u_dismiss_30d"))


def _bad_answers(raw: Raw, identifiers: pl.DataFrame, providers: pl.DataFrame, stated: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    columns = ["response_id", "account_id", "email", "anonymous_id", "kind", "score", "scale_max", "submitted_at"]
    when, share = pl.col("submitted_at"), pl.col("score").cast(pl.Float64) / pl.col("scale_max").cast(pl.Float64)
    # Tenths of a scale are not exact in binary; a thousandth of one decides nothing.
    is_bad = pl.any_horizontal(
        *((pl.col("kind") == kind) & (share <= limit + 1e-9) for kind, limit in BAD_AT_MOST.items()),
        *((pl.col("kind") == kind) & (share >= limit - 1e-9) for kind, limit in BAD_FROM.items()),
    )
    rows = raw.rows("surveys.responses", columns).filter(is_bad, when > raw.as_of - WINDOW, when <= raw.as_of)
    rows = rows.with_columns(normal_email("email", providers).alias("email"))
    addresses = stated.select("person_id", normal_email("email", providers).alias("email")).drop_nulls().unique()
    by_stated = (
        rows.filter(pl.col("account_id").is_null())
        .drop_nulls("email")
        .join(addresses, on="email", how="inner")
        .select("person_id", "response_id")
    )
    owned = _by_first_given(rows, identifiers, ["account_id", "email", "anonymous_id"], "response_id")
    return pl.concat([owned, by_stated]).group_by("person_id").agg(pl.col("response_id").n_unique().alias("u_neg_fb_30d"))


def _by_first_given(rows: pl.LazyFrame, identifiers: pl.DataFrame, kinds: list[str], key: str) -> pl.LazyFrame:
    """(person_id, key): each row belongs to whoever has the first of the identifiers that it gives, or to nobody."""
    import polars as pl

    found = []
    for place, kind in enumerate(kinds):
        given = rows.filter(pl.col(kind).is_not_null(), *(pl.col(before).is_null() for before in kinds[:place]))
        found.append(given.join(of_kind(identifiers, kind), on=kind, how="inner").select("person_id", key))
    return pl.concat(found)
