"""What depends on wall clocks: age at the planned delivery, quiet hours over the send window, an offer's local end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.clocks import EAST, WEST, first_instant, with_local

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.rulebook import Rulebook

WINDOWED = ("sms", "push")
HOUSE = "*"


def ages(rows: pl.LazyFrame, zones: pl.DataFrame) -> pl.LazyFrame:
    """One row per (person_id, planned): d_age in full years, the lowest over the person's zones; null without a birth date.

    `rows` has person_id, planned, u_dob. Birthdays are dates on the wall: somebody born on 29 February is a year older on 1 March.
    """
    import polars as pl

    wanted = rows.select("person_id", "planned", "u_dob").unique()
    located = wanted.join(zones.lazy(), on="person_id", how="left").with_columns(pl.col("zone").fill_null(WEST))
    local = with_local(located, "planned", "zone", "local")
    today, born = pl.col("local").dt, pl.col("u_dob").dt
    birthday_ahead = (today.month() < born.month()) | ((today.month() == born.month()) & (today.day() < born.day()))
    years = today.year() - born.year() - birthday_ahead.cast(pl.Int32)
    return local.with_columns(years.alias("years")).group_by("person_id", "planned").agg(pl.col("years").min().alias("d_age"))


def local_ends(rows: pl.LazyFrame, zones: pl.DataFrame) -> pl.LazyFrame:
    """One row per (person_id, o_ends_local): d_end_local, the earliest instant over the person's zones."""
    import polars as pl

    wanted = rows.select("person_id", "o_ends_local").drop_nulls().unique()
    located = wanted.join(zones.lazy(), on="person_id", how="left").with_columns(pl.col("zone").fill_null(EAST))
    pairs = located.select("o_ends_local", "zone").unique().collect()
    ends = pairs.with_columns(
        pl.Series("end", [first_instant(wall, zone) for wall, zone in pairs.rows()], dtype=pl.Datetime("us"))
    )
    return (
        located.join(ends.lazy(), on=["o_ends_local", "zone"])
        .group_by("person_id", "o_ends_local")
        .agg(pl.col("end").min().alias("d_end_local"))
    )


def quiet_hours(rows: pl.LazyFrame, zones: pl.DataFrame, rulebook: Rulebook) -> pl.LazyFrame:
    """One row per message (decision_id) with a known zone: d_quiet_house and d_quiet_us, how many (zone, table row) it breaks.

    `rows` has decision_id, person_id, channel, send_after, send_before, u_regimes. The whole window must lie in the permitted hours,
    less the latency margin, on one local day in every zone.
    """
    import polars as pl

    windows = rows.filter(pl.col("channel").is_in(WINDOWED)).select(
        "decision_id", "person_id", "send_after", "send_before", pl.col("u_regimes").fill_null(pl.lit([], pl.List(pl.String)))
    )
    located = windows.join(zones.lazy(), on="person_id", how="inner")
    local = with_local(with_local(located, "send_after", "zone", "local_from"), "send_before", "zone", "local_to")
    breaks_house, breaks_us = pl.lit(0), pl.lit(0)
    margin = timedelta(minutes=rulebook.latency_margin_min)
    start, end = pl.col("local_from"), pl.col("local_to")
    same_day = start.dt.date() == end.dt.date()
    for row in rulebook.quiet_hours:
        day = start.dt.truncate("1d")
        opens = day + timedelta(hours=row.opens.hour, minutes=row.opens.minute)
        closes = day + timedelta(hours=row.closes.hour, minutes=row.closes.minute) - margin
        inside = (same_day & (start >= opens) & (end <= closes)).fill_null(False)
        applies = start.dt.weekday().is_in(list(row.weekdays)).fill_null(True)
        broken = (applies & ~inside).cast(pl.Int64)
        if row.regime == HOUSE:
            breaks_house = breaks_house + broken
        elif row.regime == "US" or row.regime.startswith("US-"):
            breaks_us = breaks_us + broken * pl.col("u_regimes").list.contains(row.regime).cast(pl.Int64)
    return (
        local.with_columns(breaks_house.alias("house"), breaks_us.alias("us"))
        .group_by("decision_id")
        .agg(pl.col("house").sum().alias("d_quiet_house"), pl.col("us").sum().alias("d_quiet_us"))
    )
