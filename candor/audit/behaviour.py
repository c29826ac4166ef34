"""What persons did, from raw rows: what they refused and must be left in peace about, and whether a stated driver is true of them.

A driver is proven when raw data hold such an act at all. The pipeline reads them more strictly (no bots, no dead sessions, nothing told
twice); what it says of somebody must at least have happened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from candor.audit.feedback import _by_first_given, turned_down
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
    rows = turned_down(raw).filter(pl.col("offer_id").is_not_null())
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
    recent = _recent(raw, RECENT_DAYS)
    viewed = recent & (pl.col("event_name") == "product_view")
    taught = _recent(raw, LESSON_DAYS) & (pl.col("event_name") == "lesson_started")
    proofs: dict[str, tuple[list[str], Callable[[], pl.LazyFrame]]] = {
        "visits": (["person_id"], lambda: _did(raw, identifiers, "visits", recent & pl.col("session_id").is_not_null())),
        "looked_around": (["person_id"], lambda: _did(raw, identifiers, "views", viewed)),
        "line_viewed": (["person_id", "product_line"], lambda: _did(raw, identifiers, "views by line", viewed, lines)),
        "lessons_taken": (["person_id"], lambda: _did(raw, identifiers, "lessons", taught)),
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


def _did(raw: Raw, identifiers: pl.DataFrame, name: str, condition: pl.Expr, lines: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """(person_id, and with `lines` product_line) of whoever did something of which `condition` is true, kept as `name`.

    Anything that is the person's may have done it. The line is the one that the event names, else its offer's, else its asset's.
    """
    import polars as pl

    what = [] if lines is None else ["product_line"]

    def make() -> pl.LazyFrame:
        columns = ["event_name", "occurred_at", "session_id", *IDENTIFIERS]
        if lines is None:
            acts = raw.rows("events.events", columns).filter(condition).select(IDENTIFIERS)
        else:
            acts = _with_line(
                raw, raw.rows("events.events", [*columns, "offer_id", "asset", "properties"]).filter(condition), lines
            )
        acts = acts.unique().collect().lazy()
        return pl.concat(
            acts.drop_nulls([kind, *what])
            .select(pl.lit(kind).alias("identifier_kind"), pl.col(kind).alias("identifier"), *what)
            .unique()
            for kind in IDENTIFIERS
        )

    owned = identifiers.lazy().select("person_id", "identifier_kind", "identifier")
    return owned.join(raw.once(name, make), on=["identifier_kind", "identifier"], how="inner").select("person_id", *what)


def _with_line(raw: Raw, rows: pl.LazyFrame, lines: pl.LazyFrame) -> pl.LazyFrame:
    """The identifiers of each event, and its product line."""
    import polars as pl

    of_asset = pl.scan_csv(raw.settings.dbt_project_dir / "seeds" / "asset_product_lines.csv")
    named = pl.col("properties").str.json_path_match("$.product_line").alias("line_named")
    return (
        rows.select(*IDENTIFIERS, "offer_id", "asset", named)
        .unique()
        .join(lines.rename({"product_line": "line_of_offer"}), on="offer_id", how="left")
        .join(of_asset.rename({"product_line": "line_of_asset"}), on="asset", how="left")
        .select(*IDENTIFIERS, pl.coalesce("line_named", "line_of_offer", "line_of_asset").alias("product_line"))
    )


def _opened(raw: Raw, identifiers: pl.DataFrame) -> pl.LazyFrame:
    opened = raw.once(
        "opened",
        lambda: (
            raw.rows("crm.messages", ["contact_id", "opened_at"])
            .filter(_recent(raw, RECENT_DAYS, "opened_at"))
            .select("contact_id")
            .unique()
        ),
    )
    return opened.join(of_kind(identifiers, "contact_id"), on="contact_id", how="inner").select("person_id")


def _uses(raw: Raw, identifiers: pl.DataFrame, book: Rulebook) -> pl.LazyFrame:
    """(person_id, product_line) of every trade and entry that counts as the line's outcome; an entry without a line counts for each."""

    used = raw.once("uses", lambda: _used(raw, book))
    return used.join(of_kind(identifiers, "account_id"), on="account_id", how="inner").select("person_id", "product_line")


def _used(raw: Raw, book: Rulebook) -> pl.LazyFrame:
    """(account_id, product_line), each once."""
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
    return pl.concat(
        [
            trades.join(counts.filter(pl.col("kind") == "trade"), on="product_line", how="semi").select(
                "account_id", "product_line"
            ),
            booked.filter(pl.coalesce("line_named", "product_line") == pl.col("product_line")).select(
                "account_id", "product_line"
            ),
        ]
    ).unique()
