"""Instants and wall clocks, over the few distinct (instant, zone) pairs that a run has."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    import polars as pl

# Where no zone is known the least favourable one on earth: the latest birthday, the earliest end.
WEST = "Etc/GMT+12"
EAST = "Etc/GMT-14"


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA zone."""
    return name in _ZONES


_ZONES = frozenset(available_timezones())


def with_local(frame: pl.LazyFrame, instant: str, zone: str, into: str) -> pl.LazyFrame:
    """`frame` with the wall-clock time of column `instant` in the zone named by column `zone`; null where one of them is."""
    import polars as pl

    pairs = frame.select(instant, zone).unique().drop_nulls().collect()
    parts = [
        part.with_columns(
            pl.col(instant).dt.replace_time_zone("UTC").dt.convert_time_zone(name).dt.replace_time_zone(None).alias(into)
        )
        for (name,), part in pairs.partition_by(zone, as_dict=True).items()
    ]
    local = pl.concat(parts) if parts else pairs.with_columns(pl.lit(None, pl.Datetime("us")).alias(into))
    return frame.join(local.lazy(), on=[instant, zone], how="left")


def first_instant(wall: str, zone: str) -> datetime:
    """The first instant, in naive UTC, at which the clock in `zone` shows `wall` ("2026-11-30 24:00"); in a gap, moved forward."""
    date, _, clock = wall.strip().replace("T", " ").partition(" ")
    hours, minutes, *seconds = (float(part) for part in (clock or "00:00").split(":"))
    local = datetime.fromisoformat(date) + timedelta(hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)
    # fold=0 is the first of two in an overlap, and in a gap the offset before it, which moves the time forward.
    return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
