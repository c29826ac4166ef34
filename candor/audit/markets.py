"""How markets are, from raw prices: the market state's second derivation."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw
    from candor.audit.rulebook import Rulebook

BAR = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
COLUMNS = ["open_usd", "high_usd", "low_usd", "close_usd"]


def vol_rank(raw: Raw, book: Rulebook) -> int | None:
    """0 calm, 1 elevated, 2 stressed at the run's instant; None when nobody can say."""
    import polars as pl

    bars = raw.rows("market.prices", ["asset", "bar_start", "interval", *COLUMNS]).filter(pl.col("extracted_at") <= raw.as_of)
    known = bars.sort("extracted_at", *COLUMNS).unique(["asset", "bar_start", "interval"], keep="first").collect()
    ranks = states(known, book.market_basket, book.limits, raw.as_of)
    if ranks.is_empty():
        return None
    at, rank = ranks.select(pl.col("bar_end").last(), pl.col("vol_rank").last()).row(0)
    return rank if raw.as_of - at <= timedelta(hours=book.limits["market_max_age_hours"]) else None


def is_stressed(rank: int | None, book: Rulebook) -> bool:
    """Whether what shrinks in stress is shrunk: also when nobody can say how markets are, never in a shop that looks at none."""
    return bool(book.market_basket) and rank in (None, 2)


def states(bars: pl.DataFrame, basket: list[dict[str, Any]], limits: dict[str, Any], as_of: Any) -> pl.DataFrame:
    """bar_end and vol_rank for every end of a bar at which the whole basket can be judged, in order."""
    import polars as pl

    sides = [_of_asset(bars, asset, limits, as_of) for asset in basket]
    if not sides:
        return pl.DataFrame(schema={"bar_end": pl.Datetime("us"), "vol_rank": pl.Int64})
    whole = sides[0]
    for side in sides[1:]:
        whole = whole.join(side, on="bar_end", how="inner")
    total = sum(asset["weight"] for asset in basket)

    def mean(name: str) -> pl.Expr:
        return (
            sum((pl.col(f"{name}_{asset['asset']}") * asset["weight"] for asset in basket), start=pl.lit(0.0)) / total
        ).round(10)

    whole = whole.select("bar_end", day=mean("day"), week=mean("week"), fallen=mean("fallen")).sort("bar_end")
    per_day = max(timedelta(days=1) // BAR[asset["interval"]] for asset in basket)
    return _ranked(whole, limits, per_day)


def _of_asset(bars: pl.DataFrame, asset: dict[str, Any], limits: dict[str, Any], as_of: Any) -> pl.DataFrame:
    """By bar_end: the volatility of a day and of a week, a year's worth, and how far below the highest of late, of one asset."""
    import polars as pl

    o, h, low, c = (pl.col(name).cast(pl.Float64) for name in COLUMNS)
    length = BAR[asset["interval"]]
    per_day = timedelta(days=1) // length
    frame = (
        bars.filter(pl.col("asset") == asset["asset"], pl.col("interval") == asset["interval"])
        .with_columns(bar_end=pl.col("bar_start") + length)
        .filter(pl.col("bar_end") <= as_of, low > 0, low <= pl.min_horizontal(o, c), h >= pl.max_horizontal(o, c))
        .sort("bar_end")
        .with_columns(
            # Parkinson (1980), and the square of the jump from a bar that ended where this one begins.
            moved=(h / low).log() ** 2 / (4 * math.log(2))
            + pl.when(pl.col("bar_end").shift(1) == pl.col("bar_start")).then((o / c.shift(1)).log() ** 2).otherwise(0.0)
        )
    )
    name = asset["asset"]
    return (
        frame.with_columns(
            one=pl.lit(1.0),
            top=h.rolling_max_by("bar_end", f"{int(limits['market_drawdown_days'])}d", closed="both"),
        )
        .with_columns(
            bars_of_day=pl.col("one").rolling_sum_by("bar_end", "1d", closed="right"),
            bars_of_week=pl.col("one").rolling_sum_by("bar_end", "7d", closed="right"),
            moved_day=pl.col("moved").rolling_sum_by("bar_end", "1d", closed="right"),
            moved_week=pl.col("moved").rolling_sum_by("bar_end", "7d", closed="right"),
        )
        .filter(pl.col("bars_of_day") / per_day >= 0.8, pl.col("bars_of_week") / per_day >= 5.6)
        .select(
            "bar_end",
            (pl.col("moved_day").clip(0) * 365).sqrt().alias(f"day_{name}"),
            (pl.col("moved_week").clip(0) * 365 / 7).sqrt().alias(f"week_{name}"),
            (1 - c / pl.col("top")).alias(f"fallen_{name}"),
        )
    )


def _ranked(whole: pl.DataFrame, limits: dict[str, Any], per_day: int) -> pl.DataFrame:
    """The state at each bar's end: how much of the year before was calmer; the worst of the last hours holds."""
    import numpy as np
    import polars as pl

    ends = whole["bar_end"].cast(pl.Int64).to_numpy()
    first = np.searchsorted(ends, ends - np.int64(365 * 86_400_000_000), side="left")
    count = np.arange(1, len(ends) + 1) - first
    shares = {}
    for name in ("day", "week"):
        values = whole[name].to_numpy()
        shares[name] = (
            np.array([np.count_nonzero(values[start : at + 1] < values[at]) for at, start in enumerate(first)]) / count
        )
    wildest = np.maximum(shares["day"], shares["week"]) if len(ends) else np.zeros(0)
    fallen = whole["fallen"].to_numpy()
    rank = np.zeros(len(ends), dtype=np.int64)
    rank[(wildest >= limits["market_elevated_quantile"]) | (fallen >= limits["market_elevated_drawdown"])] = 1
    rank[(wildest >= limits["market_stressed_quantile"]) | (fallen >= limits["market_stressed_drawdown"])] = 2
    judged = (
        whole.select("bar_end")
        .with_columns(seen=pl.Series(rank))
        .filter(pl.Series(count >= limits["market_history_days"] * per_day))
    )
    held = f"{int(limits['market_hold_hours'])}h"
    return judged.select("bar_end", vol_rank=pl.col("seen").rolling_max_by("bar_end", held, closed="both"))
