"""Calm, elevated or stressed: worse is believed at once, better after it has held, unknown when nobody can say."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import jinja2
import numpy as np
import polars as pl
import pytest
import yaml

from candor.audit import markets

ROOT = Path(__file__).parents[3]
LIMITS = {row["name"]: row["value"] for row in yaml.safe_load((ROOT / "policy" / "limits.yml").read_text("utf-8"))["limits"]}
END = datetime(2026, 11, 23, 15)  # noqa: DTZ001  naive UTC, as in the warehouse
HOUR = timedelta(hours=1)
BTC = [{"asset": "BTC", "weight": 1.0, "interval": "1h"}]
BOTH = [{"asset": "BTC", "weight": 0.6, "interval": "1h"}, {"asset": "ETH", "weight": 0.4, "interval": "1h"}]
SCHEMA = {
    "asset": pl.String,
    "bar_start": pl.Datetime("us"),
    "interval": pl.String,
    **dict.fromkeys(markets.COLUMNS, pl.Float64),
}


def bars(moves, *, asset="BTC", interval="1h", spread=0.0, end=END) -> pl.DataFrame:
    """One bar per move (of the logarithm of the price, from open to close), the last of them ending at `end`."""
    moves = np.asarray(moves, dtype=float)
    length = markets.BAR[interval]
    level = np.exp(np.concatenate([[0.0], np.cumsum(moves)])) * 100
    opened, closed = level[:-1], level[1:]
    wide = np.exp(np.broadcast_to(spread, moves.shape))
    starts = [end - length * (len(moves) - place) for place in range(len(moves))]
    return pl.DataFrame(
        {
            "asset": [asset] * len(moves), "bar_start": starts, "interval": [interval] * len(moves), "open_usd": opened,
            "high_usd": np.maximum(opened, closed) * wide, "low_usd": np.minimum(opened, closed) / wide, "close_usd": closed,
        },
        schema=SCHEMA,
    )  # fmt: skip


def model(frame: pl.DataFrame, basket, as_of=END, limits=LIMITS) -> pl.DataFrame:
    """What the dbt model makes of these bars."""
    environment = jinja2.Environment()
    environment.globals |= {
        "ref": lambda name: name,
        "source": lambda schema, name: name,
        "as_of": lambda: f"timestamp '{as_of}'",
    }
    query = environment.from_string((ROOT / "dbt_project/models/core/market_states.sql").read_text("utf-8")).render()
    with duckdb.connect() as connection:
        connection.register("stg_market__prices", frame.to_arrow())
        connection.execute("create table limits_given (name varchar, value double)")
        connection.executemany("insert into limits_given values (?, ?)", list(limits.items()))
        connection.execute('create table market_basket (asset varchar, weight double, "interval" varchar)')
        connection.executemany("insert into market_basket values (?, ?, ?)", [tuple(row.values()) for row in basket])
        # The model names its own query `limits`, as the table is called.
        query = query.replace("from limits\n\n),\n\n-- A bar", "from limits_given\n\n),\n\n-- A bar")
        return pl.from_arrow(connection.execute(f"select * from ({query}) order by bar_end").to_arrow_table())


def ranks(frame, basket=BTC, **more) -> list[int]:
    return model(frame, basket, **more)["vol_rank"].to_list()


CALM = np.tile([0.001, -0.001], 24 * 200)  # 400 days
CRASH = np.full(12, -0.03)


def test_a_crash_is_stressed_within_its_first_hours_and_calm_before():
    found = ranks(bars([*CALM, *CRASH]))
    assert set(found[:-12]) == {0}
    assert found[-12] in (1, 2)
    assert set(found[-9:]) == {2}


def test_better_is_believed_only_after_it_has_held_for_two_days():
    # One wild day; a day later nothing of it is in the 24 hours, a week later nothing in the seven days.
    found = ranks(bars([*CALM, 0.02, -0.02, *np.tile([0.001, -0.001], 24 * 6)]))
    wild = next(place for place, rank in enumerate(found) if rank)
    assert set(found[wild : wild + 168 + 48]) <= {1, 2}
    assert found[wild + 168 + 48 + 1] == 0


def test_a_slow_fall_is_no_volatility_and_counts_all_the_same():
    slow = np.full(24 * 20, -0.5 / (24 * 20))
    frame = bars([*np.tile([0.01, -0.01], 24 * 200), *slow])
    last = model(frame, BTC).row(-1, named=True)
    assert last["share_24h"] < 0.7
    assert last["drawdown"] > 0.35
    assert last["vol_rank"] == 2


def test_less_than_a_quarter_of_a_year_says_nothing():
    assert ranks(bars(CALM[: 24 * 90])) == []
    assert len(ranks(bars(CALM[: 24 * 98]))) == 24 * 98 - 24 * 90 - 134 + 1


def test_an_hour_without_one_asset_of_the_basket_is_not_judged():
    frame = pl.concat([bars(CALM), bars(CALM, asset="ETH").filter(pl.col("bar_start") != END - 3 * HOUR)])
    assert END - 2 * HOUR not in model(frame, BOTH)["bar_end"].to_list()
    assert END - HOUR in model(frame, BOTH)["bar_end"].to_list()


def test_what_is_not_over_or_lies_outside_its_own_range_is_not_read():
    frame = bars(CALM)
    later = frame.with_columns(bar_start=pl.col("bar_start") + HOUR, high_usd=pl.col("high_usd") * 9).tail(1)
    broken = bars([0.5], end=END - timedelta(minutes=30)).with_columns(low_usd=pl.col("high_usd") * 2)
    expected = model(frame, BTC)
    assert model(pl.concat([frame, later, broken]), BTC).equals(expected)


def audited(frame, basket, as_of=END) -> pl.DataFrame:
    return markets.states(frame, basket, LIMITS, as_of)


@pytest.mark.parametrize("seed", range(4))
def test_the_audit_derives_the_same_states_from_random_prices(seed):
    rng = np.random.default_rng(seed)
    sides = []
    for asset in ("BTC", "ETH"):
        scale = np.exp(np.cumsum(rng.standard_normal(24 * 420) * 0.02))
        moves = rng.standard_normal(24 * 420) * 0.005 * scale.clip(0.2, 6)
        side = bars(moves, asset=asset, spread=np.abs(rng.standard_normal(24 * 420)) * 0.003)
        sides.append(side.filter(pl.Series(rng.random(len(side)) > 0.03)))
    frame = pl.concat(sides)
    broken = rng.random(len(frame)) < 0.005
    frame = frame.with_columns(low_usd=pl.when(pl.Series(broken)).then(pl.col("high_usd") * 1.1).otherwise(pl.col("low_usd")))
    expected, found = model(frame, BOTH), audited(frame, BOTH)
    assert found["bar_end"].to_list() == expected["bar_end"].to_list()
    assert found["vol_rank"].to_list() == expected["vol_rank"].to_list()
    assert len(set(expected["vol_rank"])) > 1


def test_the_audit_derives_the_same_states_from_daily_bars():
    rng = np.random.default_rng(9)
    daily = [{"asset": "BTC", "weight": 2.0, "interval": "1d"}]
    frame = bars(rng.standard_t(3, 900) * 0.03, interval="1d", spread=0.01)
    expected, found = model(frame, daily), audited(frame, daily)
    assert len(expected) > 700
    assert found["vol_rank"].to_list() == expected["vol_rank"].to_list()


def test_a_bar_that_falls_straight_from_its_high_to_its_low_counts():
    frame = bars([*CALM, -0.05])
    assert model(frame, BTC).row(-1, named=True)["share_24h"] > 0.99


def test_the_range_of_a_bar_tells_more_than_its_close():
    """Of a random walk seen minute by minute, Parkinson's variance of an hour scatters less about the truth than the squared move."""
    rng = np.random.default_rng(3)
    path = np.cumsum(rng.standard_normal((20_000, 60)) * 0.0005, axis=1)
    ranged = (path.max(1).clip(0) - path.min(1).clip(None, 0)) ** 2 / (4 * np.log(2))
    assert ranged.var() < 0.35 * (path[:, -1] ** 2).var()
