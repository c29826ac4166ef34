"""What is planted on purpose: copies, machines, hubs and wash trading."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import geography as geo
from simulation import rates
from simulation.activity import CHANNELS, INSIDE, INSIDE_WEIGHTS, NAME, NAMES
from simulation.tools import DAY, HOUR, MINUTE, ids, maybe, pick, repeat, times, weighted

GENUINE, DUPLICATE, TEST, DEAD, BOT, WASH = 0, 1, 2, 3, 4, 5
KIND_NAMES = ("genuine", "duplicate", "test", "dead_session", "bot", "wash")


def with_copies(frame: pl.DataFrame, rng: np.random.Generator, *, near: bool) -> pl.DataFrame:
    """The frame and one more copy of some of its rows: exact repeats, and with `near` some with another received_at."""
    chosen = np.flatnonzero(rng.random(len(frame)) < rates.COPIES_PER_ROW)
    count = len(chosen)
    delay = (rng.exponential(4.0, count) * HOUR).astype(np.int64) * (rng.random(count) < 0.5)
    copies = frame[chosen].with_columns(_known=pl.col("_known") + pl.Series(delay), _kind=pl.lit(DUPLICATE, dtype=pl.Int8))
    if near:
        again = pl.Series(rng.random(count) < rates.NEAR_COPY_SHARE)
        later = pl.Series(1_000_000 + (rng.exponential(600.0, count) * 1_000_000).astype(np.int64))
        copies = copies.with_columns(
            received_at=pl.when(again).then(pl.col("received_at") + later.cast(pl.Duration("us"))).otherwise("received_at"),
            _known=pl.when(again).then(pl.col("_known") + later).otherwise("_known"),
        )
    return pl.concat([frame, copies])


def bots(count: int, begin: int, end: int, rng: np.random.Generator, who: str, salt: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events of machines, and the truth about them (anonymous_id, kind): some declare themselves, a fifth stay below any
    rate limit (slow), the rest are fast."""
    slow = np.arange(count) % round(1 / rates.SLOW_BOT_SHARE) == 0
    declared = (rng.random(count) < rates.DECLARED_BOT_SHARE) & ~slow
    share = (end - begin) / (60 * DAY)
    visits = rng.poisson(np.where(slow, rates.SLOW_BOT_EVENTS * share, rates.FAST_BOT_EVENTS * share))
    bot, place = repeat(visits)
    total = len(bot)
    offset = (rng.random(count) * HOUR).astype(np.int64)
    # The slow come at the same minute of an hour, day and night; the fast in bursts of a request a second.
    hourly = begin + ((rng.random(total) * (end - begin)) // HOUR).astype(np.int64) * HOUR + offset[bot]
    burst = (
        begin
        + (((bot * 7919 + place // 60 * 104_729) % 1000) / 1000 * (end - begin - HOUR)).astype(np.int64)
        + place % 60 * 1_000_000
    )
    at = np.where(slow[bot], hourly, burst)
    name = INSIDE[weighted(rng, INSIDE_WEIGHTS, total)]
    number = np.arange(count)
    agents = np.where(declared, number % len(geo.BOT_AGENTS), -1)
    agent = (
        pl.DataFrame({"b": pick(geo.BOT_AGENTS, agents), "h": pick(geo.HUMAN_AGENTS, number % 5)})
        .select(pl.coalesce("b", "h"))
        .to_series()
    )
    names = ids("an", number, f"{who}bots")
    kinds = pick(("fast", "slow", "declared"), np.where(declared, 2, slow.astype(np.int64)))
    events = pl.DataFrame(
        {
            "event_id": ids("ev", np.arange(total), f"{salt}bots"),
            "occurred_at": times(at),
            "received_at": times(at + 400_000),
            "event_name": pick(NAMES, name),
            "channel": pick(CHANNELS, np.zeros(total, dtype=np.int64)),
            "anonymous_id": names.gather(pl.Series(bot)),
            "session_id": ids("se", bot * 10_000 + (at - begin) // DAY, f"{salt}bots"),
            "user_agent": agent.gather(pl.Series(bot)),
            "ip_country": pick(("US", "DE", "SG"), number[bot] % 3),
            "asset": maybe(pick(geo.ASSETS, rng.integers(0, 6, total)), name == NAME["asset_view"]),
            "_known": at + 400_000,
            "_kind": np.full(total, BOT, dtype=np.int8),
        }
    )
    return events, pl.DataFrame({"anonymous_id": names, "kind": kinds})


def hub_events(
    accounts: pl.DataFrame,
    people: pl.DataFrame,
    qa_account: str,
    library_device: str,
    begin: int,
    end: int,
    rng: np.random.Generator,
    salt: str,
) -> pl.DataFrame:
    """One log-in of each account at the library's device, and one of the QA account at each person's device."""
    both = []
    made = [
        (accounts, accounts["account"], pl.repeat(library_device, len(accounts), dtype=pl.String, eager=True), GENUINE),
        (people, pl.repeat(qa_account, len(people), dtype=pl.String, eager=True), people["device_id"], TEST),
    ]
    for place, (who, account, device, kind) in enumerate(made):
        count = len(who)
        created = who["created_at"].to_numpy()
        since = np.clip(created, begin, end - 1)
        at = since + (rng.random(count) * (end - since)).astype(np.int64)
        # The dormant came by when they still did.
        at = np.where((who["stage"] == "dormant").to_numpy(), np.maximum(created + HOUR, at - 160 * DAY), at)
        both.append(
            pl.DataFrame(
                {
                    "event_id": ids("ev", np.arange(count), f"{salt}hub{place}"),
                    "occurred_at": times(at),
                    "received_at": times(at + 900_000),
                    "event_name": pl.repeat("login", count, dtype=pl.String, eager=True),
                    "channel": pl.repeat("app", count, dtype=pl.String, eager=True),
                    "device_id": device,
                    "session_id": ids("se", np.arange(count), f"{salt}hub{place}"),
                    "account_id": account,
                    "user_agent": pl.repeat(geo.HUMAN_AGENTS[5 + place], count, dtype=pl.String, eager=True),
                    "_known": at + 900_000,
                    "_kind": np.full(count, kind, dtype=np.int8),
                }
            )
        )
    return pl.concat(both)


def wash_trades(people: pl.DataFrame, begin: int, end: int, rng: np.random.Generator, salt: str) -> pl.DataFrame:
    """Loops of a few accounts: buy, and sell the same amount of the same asset minutes later."""
    chosen = np.flatnonzero(people["has_account"].to_numpy() & (rng.random(len(people)) < rates.WASH_SHARE))
    loops = np.repeat(chosen, rates.WASH_LOOPS)
    count = len(loops)
    since = np.clip(people["created_at"].to_numpy()[loops], begin, end - DAY)
    at = since + (rng.random(count) * (end - since - HOUR)).astype(np.int64)
    amount = np.round(rng.uniform(5_000, 50_000, count), 2)
    frames = []
    for place, side in enumerate(("buy", "sell")):
        when = at + place * (MINUTE + (rng.random(count) * 6 * MINUTE).astype(np.int64))
        frames.append(
            pl.DataFrame(
                {
                    "trade_id": ids("tr", np.arange(count) * 2 + place, f"{salt}wash"),
                    "account_id": people["account_id"].gather(pl.Series(loops)),
                    "product_line": pl.repeat("spot", count, dtype=pl.String, eager=True),
                    "asset": pick(geo.ASSETS, people["favourite_asset"].to_numpy()[loops]),
                    "side": pl.repeat(side, count, dtype=pl.String, eager=True),
                    "quantity": amount / 1000,
                    "amount_usd": amount,
                    "traded_at": times(when),
                    "_known": when + 2_000_000,
                    "_kind": np.full(count, WASH, dtype=np.int8),
                }
            )
        )
    return pl.concat(frames)
