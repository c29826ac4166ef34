"""The crashes of 2020-03, 2021-05 and 2022-11 replayed through the whole pipeline.

    python -m benchmarks.crash_replay --data FOLDER [--people 2500] [--days 40] [--seed 7] [--crash 2021-05 …] [--keep FOLDER]

A made-up shop whose market is Bitcoin's real days (FOLDER holds Binance_BTCUSDT_d.csv), shifted so that the day of the run is a day before, in
or after a crash; the same day in a copy of the same shop each time. Each run is whole: ingest to audit, by the same policy but for its market
basket, which is Bitcoin by the day. Printed for each: the state of markets, and how many offers would go out: speculative ones (rank 3 and
above, or leveraged) to novices and to the experienced, other promotions, education. Exits with 1 when a speculative offer goes out in stress, or
none goes out in the calm before a crash.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from benchmarks.market_states import CRASHES, read
from candor import pipeline
from candor.errors import CandorError
from candor.settings import PROJECT_ROOT, Settings, load

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
# Days from the crash. The calm is looked for in the two months before it; these are looked at anyway.
AROUND = {"crash": 1, "a month later": 30}
SEARCHED = range(-60, -3)
NOVICE = ("prospect", "new")


def told(line: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def shifted(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    """Rows of market.prices in which the bar of `day` is the last one before the run's day, and nothing after it is known."""
    offset = (DAY.date() - timedelta(days=1)) - day
    known = bars.filter(pl.col("bar_start").dt.date() <= day)
    return known.tail(800).select(
        "asset",
        (pl.col("bar_start") + offset).dt.replace_time_zone("UTC").alias("bar_start"),
        "interval",
        *(pl.col(name).round(6).cast(pl.Decimal(38, 12)) for name in ("open_usd", "high_usd", "low_usd", "close_usd")),
        pl.lit(0).cast(pl.Decimal(38, 12)).alias("volume_usd"),
    )


def deliver(landing: Path, bars: pl.DataFrame, at: datetime) -> None:
    """The bars as a whole extract of market.prices, taken at `at`."""
    folder = landing / "market" / "prices" / f"{at:%Y-%m-%dT%H%M%SZ}"
    folder.mkdir(parents=True)
    bars.write_parquet(folder / "part-0.parquet")
    (folder / "_manifest.json").write_text(
        json.dumps({"complete": True, "covers_to": f"{at:%Y-%m-%dT%H:%M:%SZ}", "rows": bars.height}), encoding="utf-8"
    )


def make_shop(folder: Path, bars: pl.DataFrame, people: int, days: int, seed: int) -> Settings:
    """A shop that knows Bitcoin's days only, with a champion; its day has not run yet."""
    from simulation import generate

    shutil.copytree(PROJECT_ROOT / "policy", folder / "policy")
    shop = folder / "policy" / "shops" / "crypto.yml"
    text = shop.read_text(encoding="utf-8")
    basket = "market_basket:\n- {asset: BTC, weight: 1.0, interval: 1d}\n"
    changed = re.sub(r"market_basket:\n(- \{.*\}\n)+", basket, text)
    if changed == text:
        raise CandorError("policy/shops/crypto.yml has no market_basket to replace")
    shop.write_text(changed, encoding="utf-8")
    settings = settings_of(folder)
    told(f"making {people:,} people, {days} days, seed {seed}")
    generate(people=people, days=days, seed=seed, landing=settings.landing_dir, truth=folder / "truth", ends_at=DAY)
    shutil.rmtree(settings.landing_dir / "market" / "prices")
    before = DAY - timedelta(days=1)
    # A bar once known does not change, so before the day nothing is known but one of long ago.
    deliver(
        settings.landing_dir,
        shifted(bars, bars["bar_start"].min().date()).with_columns(pl.col("bar_start") - timedelta(days=2000)),
        before - timedelta(minutes=30),
    )
    told("the day before, and one training")
    pipeline.prepare_training(before, settings)
    pipeline.train(before, settings)
    promoted = pipeline.promote(before, settings)
    if not promoted["promoted"]:
        raise CandorError(f"no model was promoted: {promoted['message']}", hint="give more --people, or another --seed")
    return settings


def settings_of(folder: Path, state: str = "state") -> Settings:
    return load(
        {"CANDOR_STATE_DIR": str(folder / state), "CANDOR_POLICY_DIR": str(folder / "policy"), "CANDOR_HASH_KEY": "6" * 64}
    )


def calm_before(bars: pl.DataFrame, crash: date) -> date:
    """The last day before the crash on which markets were calm, by the model itself on all bars known then."""
    import yaml

    from benchmarks.market_states import states

    limits = {
        row["name"]: row["value"]
        for row in yaml.safe_load((PROJECT_ROOT / "policy" / "limits.yml").read_text("utf-8"))["limits"]
    }
    found = states(bars, limits, bars["bar_start"].max() + timedelta(days=1))
    by_day = dict(zip((found["bar_end"] - timedelta(days=1)).dt.date().to_list(), found["vol_rank"].to_list(), strict=True))
    for back in reversed(SEARCHED):
        if by_day.get(crash + timedelta(days=back)) == 0:
            return crash + timedelta(days=back)
    raise CandorError(f"no day of the two months before {crash} was calm")


def counted(settings: Settings) -> tuple[int | None, dict[str, int]]:
    """(rank of the state of markets, offers by kind) of the day that stands."""
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        (rank,) = connection.execute("select c_vol_rank from eligibility.market_state").fetchall()[0]
        rows = connection.execute(
            """
            select
                case when not ledger.is_promotion then 'education'
                    when lines.rank < 3 and coalesce(offers.leverage, 1) <= 1 then 'other promotions'
                    when split_part(staged.segment, ':', 2) in ('prospect', 'new') then 'speculative, to novices'
                    else 'speculative, to the experienced'
                end as kind, count(*)
            from decisions.staged_offers as staged
            inner join decisions.ledger as ledger using (decision_id)
            inner join policy.product_lines as lines on ledger.product_line = lines.product_line
            inner join staging.stg_catalogue__offers as offers
                on staged.offer_id = offers.offer_id and staged.offer_version = offers.version
            group by kind
            """
        ).fetchall()
    return rank, dict(rows)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crash_replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with Binance_BTCUSDT_d.csv")
    parser.add_argument("--people", type=int, default=2500)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--crash", action="append", choices=sorted(CRASHES), help="default: all three")
    parser.add_argument("--keep", type=Path, help="an empty folder for the shop; default: a temporary one")
    given = parser.parse_args(argv)
    if not (given.data / "Binance_BTCUSDT_d.csv").is_file():
        print(f"SKIPPED: there is no Binance_BTCUSDT_d.csv in {given.data}; give its folder as --data")
        return
    bars = read(given.data)
    broken = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep.resolve() if given.keep else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            with redirect_stdout(log):
                settings = make_shop(folder, bars, given.people, given.days, given.seed)
            kinds = ("speculative, to novices", "speculative, to the experienced", "other promotions", "education")
            print(f"{'crash':<9}{'day':<14}{'date':<12}{'markets':<10}" + "".join(f"{kind:>34}" for kind in kinds))
            for crash in given.crash or sorted(CRASHES):
                calm = calm_before(bars, CRASHES[crash])
                days = {"calm before": calm} | {name: CRASHES[crash] + timedelta(days=after) for name, after in AROUND.items()}
                for name, day in days.items():
                    told(f"{crash}, {name}: {day}")
                    shutil.copytree(settings.state_dir, folder / "day")
                    copied = settings_of(folder, "day")
                    deliver(copied.landing_dir, shifted(bars, day), DAY - timedelta(minutes=30))
                    with redirect_stdout(log):
                        pipeline.run(DAY, copied, until="audit")
                    rank, offers = counted(copied)
                    shutil.rmtree(copied.state_dir)
                    state = "unknown" if rank is None else ("calm", "elevated", "stressed")[rank]
                    print(
                        f"{crash:<9}{name:<14}{day!s:<12}{state:<10}"
                        + "".join(f"{offers.get(kind, 0):>34,}" for kind in kinds),
                        flush=True,
                    )
                    broken += verdicts(crash, name, rank, offers)
    for line in broken:
        print(f"BROKEN: {line}")
    print("no speculative offer goes out in stress; some do in the calm before; education goes on" if not broken else "")
    sys.exit(1 if broken else 0)


def verdicts(crash: str, name: str, rank: int | None, offers: dict[str, int]) -> list[str]:
    """What must not be, in words."""
    speculative = offers.get("speculative, to novices", 0) + offers.get("speculative, to the experienced", 0)
    found = []
    if offers.get("speculative, to novices", 0):
        found.append(f"{crash}, {name}: novices get {offers['speculative, to novices']} speculative offers")
    if rank in (2, None) and speculative:
        found.append(f"{crash}, {name}: {speculative} speculative offers in stress")
    if name == "calm before" and (rank != 0 or not speculative):
        found.append(f"{crash}, {name}: rank {rank}, {speculative} speculative offers; a bar of nought would be empty")
    if name == "crash" and rank != 2:
        found.append(f"{crash}: the crash is rank {rank}, not stressed")
    if not offers.get("education"):
        found.append(f"{crash}, {name}: no education")
    return found


if __name__ == "__main__":
    main()
