"""What persons did, from raw rows: what they refused and must be left in peace about, and whether a stated driver is true of them.

A driver is proven when raw data hold such an act at all. The pipeline reads them more strictly (no bots, no dead sessions, nothing told
twice); what it says of somebody must at least have happened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from candor.audit.feedback import TURNED_DOWN, _by_first_given
from candor.audit.people import of_kind

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw
    from candor.audit.rulebook import Rulebook

IDENTIFIERS = ["account_id", "device_id", "anonymous_id"]
# Windows are calendar days in UTC that end with the run's own day.
RECENT_DAYS = 30
LESSON_DAYS = 90


def cooling_down(raw: Raw, identifiers: pl.DataFrame, lines: pl.LazyFrame, book: Rulebook) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """(person_id, offer_id, is_offer_refused) and (person_id, product_line, is_line_refused), true, of what was refused too lately.

    `lines`: offer_id, product_line.
    """
    import polars as pl

    happened = pl.col("occurred_at")
    rows = raw.rows("events.events", ["event_id", "event_name", "occurred_at", "offer_id", *IDENTIFIERS]).filter(
        pl.col("event_name").is_in(TURNED_DOWN), pl.col("offer_id").is_not_null(), happened <= raw.as_of
    )
    refused = _by_first_given(rows, identifiers, IDENTIFIERS, "event_id").join(
        rows.select("event_id", "offer_id", "occurred_at").unique(), on="event_id", how="inner"
    )

    def since(limit: str) -> pl.LazyFrame:
        return refused.filter(happened > raw.as_of - timedelta(days=int(book.limits[limit])))

    return (
        since("cool_down_offer_days").select("person_id", "offer_id", pl.lit(True).alias("is_offer_refused")).unique(),
        since("cool_down_line_days")
        .join(lines, on="offer_id", how="inner")
        .select("person_id", "product_line", pl.lit(True).alias("is_line_refused"))
        .unique(),
    )


def true_reasons(
    raw: Raw, identifiers: pl.DataFrame, stated: pl.LazyFrame, lines: pl.LazyFrame, book: Rulebook
) -> pl.LazyFrame:
    """(decision_id, is_true_reason): whether raw data prove every driver of the sentence. `stated`: decision_id, person_id, product_line, drivers.

    A driver that the audit cannot read proves nothing.
    """
    import polars as pl

    named = stated.drop_nulls("drivers").explode("drivers").rename({"drivers": "driver"}).unique()
    seen = _events(raw, identifiers, lines)
    proofs: dict[str, tuple[list[str], Callable[[], pl.LazyFrame]]] = {
        "visits": (["person_id"], lambda: seen.filter(_recent(raw, RECENT_DAYS), pl.col("session_id").is_not_null())),
        "looked_around": (
            ["person_id"],
            lambda: seen.filter(_recent(raw, RECENT_DAYS), pl.col("event_name") == "product_view"),
        ),
        "line_viewed": (
            ["person_id", "product_line"],
            lambda: seen.filter(_recent(raw, RECENT_DAYS), pl.col("event_name") == "product_view"),
        ),
        "lessons_taken": (
            ["person_id"],
            lambda: seen.filter(_recent(raw, LESSON_DAYS), pl.col("event_name") == "lesson_started"),
        ),
        "messages_opened": (["person_id"], lambda: _opened(raw, identifiers)),
        "line_used": (["person_id", "product_line"], lambda: _uses(raw, identifiers, book)),
    }
    proven = [
        named.filter(pl.col("driver") == driver)
        .join(acts().select(keys).drop_nulls().unique(), on=keys, how="semi")
        .select("decision_id", "driver", pl.lit(True).alias("is_proven"))
        for driver, (keys, acts) in proofs.items()
    ]
    return (
        named.join(pl.concat(proven).unique(), on=["decision_id", "driver"], how="left")
        .group_by("decision_id")
        .agg(pl.col("is_proven").fill_null(False).all().alias("is_true_reason"))
    )


def _recent(raw: Raw, days: int, column: str = "occurred_at") -> pl.Expr:
    import polars as pl

    first = datetime(raw.as_of.year, raw.as_of.month, raw.as_of.day) - timedelta(days=days - 1)  # noqa: DTZ001  naive UTC
    return (pl.col(column) >= first) & (pl.col(column) <= raw.as_of)


def _events(raw: Raw, identifiers: pl.DataFrame, lines: pl.LazyFrame) -> pl.LazyFrame:
    """Every event of anything that is the person's, with its product line: the one it names, else its offer's, else its asset's."""
    import polars as pl

    columns = ["event_name", "occurred_at", "session_id", "offer_id", "asset", "properties", *IDENTIFIERS]
    rows = raw.rows("events.events", columns).filter(_recent(raw, LESSON_DAYS))
    owned = pl.concat(
        rows.drop_nulls(kind)
        .join(of_kind(identifiers, kind), on=kind, how="inner")
        .select("person_id", "event_name", "occurred_at", "session_id", "offer_id", "asset", "properties")
        for kind in IDENTIFIERS
    )
    of_asset = pl.scan_csv(raw.settings.dbt_project_dir / "seeds" / "asset_product_lines.csv")
    return (
        owned.join(lines.rename({"product_line": "line_of_offer"}), on="offer_id", how="left")
        .join(of_asset.rename({"product_line": "line_of_asset"}), on="asset", how="left")
        .with_columns(
            pl.coalesce(pl.col("properties").str.json_path_match("$.product_line"), "line_of_offer", "line_of_asset").alias(
                "product_line"
            )
        )
    )


def _opened(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    import polars as pl

    return (
        raw.rows("crm.messages", ["contact_id", "opened_at"])
        .filter(_recent(raw, RECENT_DAYS, "opened_at"))
        .join(of_kind(identifiers, "contact_id"), on="contact_id", how="inner")
        .select("person_id", pl.col("opened_at").alias("occurred_at"))
    )


def _uses(raw: Raw, identifiers: pl.DataFrame, book: Rulebook) -> pl.LazyFrame:
    """(person_id, product_line) of every trade and entry that counts as the line's outcome; an entry without a line counts for each."""
    import polars as pl

    counts = pl.LazyFrame(
        [(line, kind) for line, row in book.product_lines.items() for kind in row["outcomes"]],
        schema={"product_line": pl.String, "kind": pl.String},
        orient="row",
    )
    trades = raw.rows("exchange.trades", ["account_id", "product_line", "traded_at"]).filter(pl.col("traded_at") <= raw.as_of)
    entries = raw.rows("exchange.ledger_entries", ["account_id", "kind", "product_line", "occurred_at"]).filter(
        pl.col("occurred_at") <= raw.as_of
    )
    booked = entries.rename({"product_line": "line_named"}).join(counts, on="kind", how="inner")
    used = pl.concat(
        [
            trades.join(counts.filter(pl.col("kind") == "trade"), on="product_line", how="semi").select(
                "account_id", "product_line"
            ),
            booked.filter(pl.coalesce("line_named", "product_line") == pl.col("product_line")).select(
                "account_id", "product_line"
            ),
        ]
    )
    return used.join(of_kind(identifiers, "account_id"), on="account_id", how="inner").select("person_id", "product_line")
