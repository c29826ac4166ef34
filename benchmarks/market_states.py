"""The market state on Bitcoin's real days: `python -m benchmarks.market_states --data FOLDER` (daily bars, 2017 to 2025).

Runs the model core.market_states on daily bars and prints how many days were calm, elevated and stressed; the state on the days around
three crashes; and how Parkinson's estimate compares with squared closes: how much of next week's volatility (by either yardstick) each
explains. The audit's own derivation must give the same state on every day.
"""

from __future__ import annotations

import argparse
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import jinja2
import numpy as np
import polars as pl
import yaml

from candor.audit import markets
from candor.settings import PROJECT_ROOT

BASKET = [{"asset": "BTC", "weight": 1.0, "interval": "1d"}]
CRASHES = {"2020-03": date(2020, 3, 12), "2021-05": date(2021, 5, 19), "2022-11": date(2022, 11, 9)}
NAMES = ("calm", "elevated", "stressed")


def read(folder: Path) -> pl.DataFrame:
    """Daily bars, oldest first. Six rows give microseconds where the others give milliseconds; the date column says which."""
    frame = pl.read_csv(folder / "Binance_BTCUSDT_d.csv", schema_overrides={"Unix": pl.Int64})
    return frame.select(
        asset=pl.lit("BTC"),
        bar_start=pl.col("Date").str.slice(0, 10).str.to_date().cast(pl.Datetime("us")),
        interval=pl.lit("1d"),
        open_usd=pl.col("Open").cast(pl.Float64),
        high_usd=pl.col("High").cast(pl.Float64),
        low_usd=pl.col("Low").cast(pl.Float64),
        close_usd=pl.col("Close").cast(pl.Float64),
    ).sort("bar_start")


def states(bars: pl.DataFrame, limits: dict[str, float], as_of: datetime) -> pl.DataFrame:
    """core.market_states of these bars."""
    environment = jinja2.Environment()
    environment.globals |= {
        "ref": lambda name: f"given.{name}",
        "source": lambda schema, name: f"given.{name}",
        "as_of": lambda: f"timestamp '{as_of}'",
    }
    text = (PROJECT_ROOT / "dbt_project" / "models" / "core" / "market_states.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        connection.execute("create schema given")
        connection.register("bars", bars.to_arrow())
        connection.execute("create table given.stg_market__prices as select * from bars")
        connection.execute("create table given.limits (name varchar, value double)")
        connection.executemany("insert into given.limits values (?, ?)", list(limits.items()))
        connection.execute('create table given.market_basket (asset varchar, weight double, "interval" varchar)')
        connection.executemany("insert into given.market_basket values (?, ?, ?)", [tuple(row.values()) for row in BASKET])
        rendered = environment.from_string(text).render()
        return pl.from_arrow(connection.execute(f"select * from ({rendered}) order by bar_end").to_arrow_table())


def explained(estimate: np.ndarray, following: np.ndarray) -> float:
    """The squared rank correlation of two series."""
    ranks = [np.argsort(np.argsort(series)) for series in (estimate, following)]
    return float(np.corrcoef(*ranks)[0, 1] ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.market_states", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with Binance_BTCUSDT_d.csv")
    chosen = parser.parse_args()
    if not (chosen.data / "Binance_BTCUSDT_d.csv").is_file():
        print(f"SKIPPED: there is no Binance_BTCUSDT_d.csv in {chosen.data}; give its folder as --data")
        return
    listed = yaml.safe_load((PROJECT_ROOT / "policy" / "limits.yml").read_text(encoding="utf-8"))["limits"]
    limits = {row["name"]: row["value"] for row in listed}
    bars = read(chosen.data)
    as_of = bars["bar_start"].max() + timedelta(days=1)
    found = states(bars, limits, as_of)
    audited = markets.states(bars, BASKET, limits, as_of)
    is_same = found["vol_rank"].to_list() == audited["vol_rank"].to_list()
    print(
        f"{len(bars):,} days, {len(found):,} of them judged; the audit derives the same state on every day: {'yes' if is_same else 'NO'}"
    )
    for rank, name in enumerate(NAMES):
        print(f"  {name:<9}{(found['vol_rank'] == rank).mean():>7.1%}")
    fallen, days = found["drawdown"], int(limits["market_drawdown_days"])
    for name in ("market_elevated_drawdown", "market_stressed_drawdown"):
        share = (fallen >= limits[name]).mean()
        print(f"  {limits[name]:.0%} or more below the highest of {days} days on {share:.1%} of days")
    wild = found.select(pl.max_horizontal("share_24h", "share_7d")).to_series()
    print(
        f"  volatility of a day or a week among the wildest 5 % of its year on {(wild >= limits['market_stressed_quantile']).mean():.1%} of days"
    )
    by_day = dict(zip(found["bar_end"].dt.date().to_list(), found["vol_rank"].to_list(), strict=True))
    for name, day in CRASHES.items():
        around = [day + timedelta(days=days) for days in range(-12, 12)]
        marks = " ".join("ceS"[by_day[each + timedelta(days=1)]] for each in around)
        print(f"  {name}: {marks}   ({around[0]} to {around[-1]}, crash {day})")
    _compare(bars)


def _compare(bars: pl.DataFrame) -> None:
    logs = bars.select(
        ranged=(pl.col("high_usd") / pl.col("low_usd")).log() ** 2 / (4 * np.log(2)),
        closes=(pl.col("close_usd") / pl.col("close_usd").shift(1)).log() ** 2,
    ).drop_nulls()
    week = {name: np.convolve(logs[name].to_numpy(), np.ones(7), mode="valid") for name in ("ranged", "closes")}
    for yardstick in ("closes", "ranged"):
        following = week[yardstick][7:]
        shares = {name: explained(values[:-7], following) for name, values in week.items()}
        ratio = shares["ranged"] / shares["closes"]
        print(
            f"  next week's volatility by {yardstick}: this week's ranges explain {shares['ranged']:.3f} of it, "
            f"squared closes {shares['closes']:.3f}, {ratio:.2f} x"
        )


if __name__ == "__main__":
    main()
