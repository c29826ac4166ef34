"""What the made-up customers do by themselves in a span of time: sessions, uses of product lines, transfers."""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import geography as geo
from simulation import rates
from simulation.catalogue import LEDGER_KINDS, LINES
from simulation.tools import DAY, HOUR, MINUTE, hexes, ids, maybe, pick, repeat, times, weighted

NAMES = ("session_start", "page_view", "asset_view", "product_view", "lesson_started", "lesson_completed", "search", "login",
         "session_end", "heartbeat", "offer_shown", "offer_clicked", "offer_dismissed", "offer_not_relevant", "offer_accepted", "signup")  # fmt: skip
NAME = {name: place for place, name in enumerate(NAMES)}
CHANNELS = ("web", "app", "email", "sms", "push", "chatbot")
INSIDE = np.array(
    [NAME[name] for name in ("page_view", "asset_view", "product_view", "lesson_started", "search", "lesson_completed")]
)
INSIDE_WEIGHTS = (0.34, 0.26, 0.28, 0.05, 0.05, 0.02)


def spans(people: pl.DataFrame, begin: int, end: int, *, history: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each person when they can act in [begin, end), and how much more than their usual rate."""
    created = people["created_at"].to_numpy()
    dormant = people["stage"].to_numpy() == "dormant"
    start = np.clip(created, begin, end)
    stop = np.full(len(people), end)
    boost = np.ones(len(people))
    if history:
        # The dormant were customers like others once, and stopped half way through the history.
        stop = np.where(dormant, np.maximum(start, begin + (end - begin) // 2), stop)
        boost = np.where(dormant, 0.7 / rates.DORMANT_SHARE_OF_RATE, boost)
    return start, stop, boost


def sessions(people: pl.DataFrame, begin: int, end: int, rng: np.random.Generator, *, history: bool) -> pl.DataFrame:
    """One row per session: `person` (row of `people`), `at`, and how it was had."""
    start, stop, boost = spans(people, begin, end, history=history)
    rate = people["session_rate"].to_numpy() * boost * (rates.HISTORY_SESSION_SCALE if history else 1.0)
    rate = np.where(people["has_web"].to_numpy(), rate, 0.0)
    counts = rng.poisson(rate * (stop - start) / DAY)
    person, _ = repeat(counts)
    total = len(person)
    at = start[person] + (rng.random(total) * (stop - start)[person]).astype(np.int64)
    hour = (at % DAY) // HOUR
    at = np.where((hour < 6) & (rng.random(total) < 0.6), np.minimum(at + 9 * HOUR, stop[person] - 1), at)  # people sleep
    second = people["second_device_id"].is_not_null().to_numpy()[person] & (rng.random(total) < 0.3)
    app = rng.random(total) < 0.45
    logged_in = people["has_account"].to_numpy()[person] & ~people["split_web"].to_numpy()[person]
    # One visit of everybody is logged in, so that only those planted as split are known to the web without an account.
    stranger = rng.random(total) < np.where(second, rates.NEVER_LOGGED_IN_WEB / 3, rates.NEVER_LOGGED_IN_WEB)
    logged_in &= ~stranger | (np.diff(person, prepend=-1) != 0)
    shared = np.isin(people["shares"].to_numpy()[person], (1, 3)) & ~second & (rng.random(total) < 0.6)
    kind = np.where(people["is_test"].to_numpy()[person], 2, 0)
    dead = rng.random(total) < rates.DEAD_SESSION_SHARE
    endless = dead & (rng.random(total) < rates.ENDLESS_SHARE)
    return pl.DataFrame(
        {
            "person": person,
            "at": at,
            "second": second,
            "app": app,
            "logged_in": logged_in,
            "shared": shared,
            "kind": np.where(dead, 3, kind),
            "endless": endless,
            "mood": rng.random(total),
        }
    )


def session_events(people: pl.DataFrame, visits: pl.DataFrame, rng: np.random.Generator, salt: str) -> pl.DataFrame:
    """One row per event of the sessions, with `_known` and `_kind`."""
    dead, endless = visits["kind"].to_numpy() == 3, visits["endless"].to_numpy()
    counts = 2 + rng.poisson(rates.EVENTS_PER_SESSION - 2, len(visits))
    counts = np.where(endless, rates.ENDLESS_HEARTBEATS, np.where(dead, 1, counts))
    visit, place = repeat(counts)
    total = len(visit)
    person = visits["person"].to_numpy()[visit]
    gap = (rng.exponential(50.0, total) * 1_000_000).astype(np.int64) + 1_000_000
    gap = np.where(endless[visit], 15 * MINUTE, gap)
    elapsed = np.cumsum(np.where(place == 0, 0, gap))
    first = np.cumsum(counts) - counts
    at = visits["at"].to_numpy()[visit] + elapsed - elapsed[first[visit]]
    name = INSIDE[weighted(rng, INSIDE_WEIGHTS, total)]
    last = place == counts[visit] - 1
    name = np.where(last & (rng.random(total) < 0.6), NAME["session_end"], name)
    logged = visits["logged_in"].to_numpy()[visit]
    name = np.where((place == 1) & logged, NAME["login"], name)
    name = np.where(place == 0, NAME["session_start"], name)
    name = np.where(endless[visit] & (place > 0), NAME["heartbeat"], name)
    # What they look at follows their interest, so that views tell of it.
    looked = name == NAME["product_view"]
    interest = people.select([f"interest_{line}" for line in LINES]).to_numpy().astype(np.float32)
    edges = np.cumsum(interest, axis=1)
    index = np.flatnonzero(looked)
    draw = rng.random(len(index)).astype(np.float32) * edges[person[index], -1]
    line = np.full(total, -1)
    line[index] = (edges[person[index]] < draw[:, None]).sum(axis=1).clip(0, len(LINES) - 1)
    favourite = people["favourite_asset"].to_numpy()[person]
    asset = np.where(rng.random(total) < 0.6, favourite, rng.integers(0, len(geo.ASSETS), total))
    asset = np.where(name == NAME["asset_view"], asset, -1)
    kind = visits["kind"].to_numpy()[visit]
    return event_rows(
        people, rng, person, at, name, np.where(visits["app"].to_numpy()[visit], 1, 0), salt=salt, line=line, asset=asset,
        session=pl.Series(ids("se", np.arange(len(visits)), salt)).gather(visit), logged_in=logged & (place > 0),
        second=visits["second"].to_numpy()[visit], shared=visits["shared"].to_numpy()[visit], kind=kind,
    )  # fmt: skip


def event_rows(people, rng, person, at, name, channel, *, salt, session, logged_in, second, shared, kind, line=None, asset=None,
               offer=None, decision=None) -> pl.DataFrame:  # fmt: skip
    """Events with their identifiers; `_kind` 0 genuine, 2 test account, 3 dead session; `_known` is when they were received."""
    total = len(person)
    late = rng.random(total)
    lag = (rng.exponential(2.0, total) * 1_000_000).astype(np.int64) + 50_000
    lag = np.where(late < rates.LATE_HOURS_SHARE, (rng.random(total) * 12 * HOUR).astype(np.int64), lag)
    lag = np.where(late < rates.LATE_DAYS_SHARE, DAY + (rng.random(total) * 2 * DAY).astype(np.int64), lag)
    received = at + lag
    owner = pl.Series(person)
    market = people["market"].to_numpy()[person]
    abroad = rng.random(total) < 0.02
    market = np.where(abroad, 0, market)
    pages = pl.Series([f'{{"product_line":"{item}"}}' for item in LINES])
    props = pl.repeat(None, total, dtype=pl.String, eager=True)
    if line is not None:
        props = pages.gather(pl.Series(line).set(pl.Series(line < 0), None))
    lessons = np.isin(name, (NAME["lesson_started"], NAME["lesson_completed"]))
    texts = pl.Series(
        [f'{{"lesson":"l{item}"}}' for item in range(12)]
        + [f'{{"query_length":{item}}}' for item in range(2, 14)]
        + ['{"slot":1}']
    )
    which = np.where(lessons, rng.integers(0, 12, total), np.where(name == NAME["search"], rng.integers(12, 24, total), -1))
    which = np.where(name == NAME["offer_shown"], 24, which)
    ids_frame = pl.DataFrame(
        {
            "own": people["device_id"].gather(owner), "other": people["second_device_id"].gather(owner),
            "common": people["shared_device_id"].gather(owner),
            "a1": people["anonymous_id"].gather(owner), "a2": people["second_anonymous_id"].gather(owner),
            "second": second, "shared": shared, "app": channel != 0, "seen": rng.random(total) < 0.35,
        }
    )  # fmt: skip
    ids_frame = ids_frame.select(
        device=pl.when(~(pl.col("app") | pl.col("seen")))
        .then(None)
        .when(pl.col("second"))
        .then("other")
        .when(pl.col("shared"))
        .then("common")
        .otherwise("own"),
        anonymous=pl.when(pl.col("second")).then("a2").otherwise("a1"),
    )
    agents = np.where(channel == 0, person % 5, 5 + person % 2)
    return pl.DataFrame(
        {
            "event_id": ids("ev", np.arange(total), salt),
            "occurred_at": times(at),
            "received_at": times(received),
            "event_name": pick(NAMES, name),
            "channel": pick(CHANNELS, channel),
            "anonymous_id": ids_frame["anonymous"],
            "device_id": ids_frame["device"],
            "session_id": session,
            "account_id": maybe(people["account_id"].gather(owner), logged_in),
            "user_agent": pick(geo.HUMAN_AGENTS, agents),
            "ip_country": pick([row[2] for row in geo.MARKETS], market),
            "ip_region": pick([row[3] for row in geo.MARKETS], market),
            "time_zone": pick([row[4] for row in geo.MARKETS], market),
            "decision_id": decision if decision is not None else pl.repeat(None, total, dtype=pl.String, eager=True),
            "offer_id": offer if offer is not None else pl.repeat(None, total, dtype=pl.String, eager=True),
            "asset": pick(geo.ASSETS, asset) if asset is not None else pl.repeat(None, total, dtype=pl.String, eager=True),
            "properties": pl.select(
                pl.coalesce(pl.lit(props), pl.lit(texts.gather(pl.Series(which).set(pl.Series(which < 0), None))))
            ).to_series(),
            "_known": received,
            "_kind": np.asarray(kind, dtype=np.int8),
        }
    )


def uses(people: pl.DataFrame, begin: int, end: int, rng: np.random.Generator, *, history: bool) -> pl.DataFrame:
    """One row per organic use of a product line: person, line (its place in LINES), at."""
    start, stop, boost = spans(people, begin, end, history=history)
    weeks = (stop - start) / (7 * DAY) * boost * (rates.HISTORY_USE_SCALE if history else 1.0)
    rate = people.select([f"rate_{line}" for line in LINES]).to_numpy()
    counts = rng.poisson(rate * weeks[:, None])
    cell, _ = repeat(counts.ravel())
    person, line = cell // len(LINES), cell % len(LINES)
    at = start[person] + (rng.random(len(person)) * (stop - start)[person]).astype(np.int64)
    return pl.DataFrame({"person": person, "line": line, "at": at})


def use_rows(
    people: pl.DataFrame, done: pl.DataFrame, rng: np.random.Generator, salt: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The trades and the ledger entries that the uses leave behind, with `_known` and `_kind`."""
    is_ledger = np.array([line in LEDGER_KINDS for line in LINES])[done["line"].to_numpy()]
    account = pl.DataFrame({"a": people["account_id"], "b": people["second_account_id"]})[done["person"].to_numpy()]
    swap = rng.random(len(done)) < 0.3
    done = done.with_columns(
        account_id=account.with_columns(s=pl.Series(swap))
        .select(pl.when(pl.col("s") & pl.col("b").is_not_null()).then("b").otherwise("a"))
        .to_series(),
        test=people["is_test"].gather(done["person"]),
        asset=people["favourite_asset"].gather(done["person"]),
        amount=np.round(rng.lognormal(4.6, 1.3, len(done)), 2) + 1,
        n=np.arange(len(done)),
    )
    trades, ledger = done.filter(pl.Series(~is_ledger)), done.filter(pl.Series(is_ledger))
    trades = _further_trades(people, trades, rng)
    count = len(trades)
    line = trades["line"].to_numpy()
    asset = np.where(
        line == LINES.index("stablecoin"),
        3,
        np.where(rng.random(count) < 0.7, trades["asset"].to_numpy(), rng.integers(0, 6, count)),
    )
    price = np.array([60_000.0, 2_500.0, 140.0, 1.0, 12.0, 0.5])[asset]
    trade_rows = pl.DataFrame(
        {
            "trade_id": ids("tr", trades["n"].to_numpy(), salt),
            "account_id": trades["account_id"],
            "product_line": pick(LINES, line),
            "asset": pick(geo.ASSETS, asset),
            "side": pick(("buy", "sell"), (rng.random(count) < 0.42).astype(int)),
            "quantity": trades["amount"].to_numpy() / price,
            "amount_usd": trades["amount"],
            "traded_at": times(trades["at"].to_numpy()),
            "_known": trades["at"].to_numpy() + lags(rng, count),
            "_kind": np.where(trades["test"].to_numpy(), 2, 0).astype(np.int8),
        }
    )
    kinds = [LEDGER_KINDS.get(item, "") for item in LINES] + ["card_spend"]
    spend = (ledger["line"].to_numpy() == LINES.index("fiat_wallet")) & (rng.random(len(ledger)) < 0.4)
    is_lesson = ledger["line"].to_numpy() == 0
    ledger_rows = pl.DataFrame(
        {
            "entry_id": ids("le", ledger["n"].to_numpy(), salt),
            "account_id": ledger["account_id"],
            "kind": pick(kinds, np.where(spend, len(LINES), ledger["line"].to_numpy())),
            "product_line": pick(LINES, ledger["line"].to_numpy()),
            "asset": maybe(pick(geo.ASSETS, ledger["asset"].to_numpy()), np.isin(ledger["line"].to_numpy(), (4, 6, 7))),
            "amount_usd": maybe(ledger["amount"], ~is_lesson),
            "occurred_at": times(ledger["at"].to_numpy()),
            "_known": ledger["at"].to_numpy() + lags(rng, len(ledger)),
            "_kind": np.where(ledger["test"].to_numpy(), 2, 0).astype(np.int8),
        }
    )
    return trade_rows, ledger_rows


def _further_trades(people: pl.DataFrame, trades: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The trades, and those that follow within the hour: practised people trade several times when they trade at all."""
    practised = np.isin(people["stage"].to_numpy(), ("experienced", "dormant"))[trades["person"].to_numpy()]
    which, place = repeat(1 + rng.poisson(np.where(practised, rates.HABIT_TRADES, rates.OTHER_TRADES)))
    further = trades[which]
    later = place * 4 * MINUTE + (rng.random(len(which)) * 3 * MINUTE * (place > 0)).astype(np.int64)
    amount = np.where(place > 0, np.round(rng.lognormal(4.2, 1.2, len(which)), 2) + 1, further["amount"].to_numpy())
    return further.with_columns(
        at=pl.col("at") + pl.Series(later), amount=pl.Series(amount), n=pl.Series(np.arange(len(which)))
    )


def funding(people: pl.DataFrame, past: int, end: int, rng: np.random.Generator, salt: str) -> pl.DataFrame:
    """The deposit with which people begin: when they join or, for those from before, early in the history. It names no product line."""
    funded = (people["has_account"] & (people["stage"] != "prospect")).to_numpy() & (
        rng.random(len(people)) < rates.FUNDED_SHARE
    )
    person = np.flatnonzero(funded)
    count = len(person)
    created = people["created_at"].to_numpy()[person]
    at = np.where(
        created < past,
        past + (rng.random(count) * 40 * DAY).astype(np.int64),
        created + (rng.random(count) * 20 * MINUTE).astype(np.int64),
    )
    return pl.DataFrame(
        {
            "entry_id": ids("lf", people["number"].to_numpy()[person], salt),
            "account_id": people["account_id"].gather(pl.Series(person)),
            "kind": pl.repeat("deposit", count, dtype=pl.String, eager=True),
            "product_line": pl.repeat(None, count, dtype=pl.String, eager=True),
            "asset": pl.repeat(None, count, dtype=pl.String, eager=True),
            "amount_usd": np.round(rng.lognormal(5.5, 1.1, count), 2) + 10,
            "occurred_at": times(at),
            "_known": at + lags(rng, count),
            "_kind": np.where(people["is_test"].to_numpy()[person], 2, 0).astype(np.int8),
        }
    ).filter(pl.Series(at < end))


def extras(
    people: pl.DataFrame, begin: int, end: int, hot: str, rng: np.random.Generator, salt: str, *, history: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ledger entries that are no outcome (withdrawals, fees, rewards) and transfers on chain."""
    start, stop, boost = spans(people, begin, end, history=history)
    quiet = (people["stage"] == "dormant").to_numpy() & (not history)
    weeks = (stop - start) / (7 * DAY) * np.minimum(boost, 3) * np.where(quiet, rates.DORMANT_SHARE_OF_RATE, 1.0)
    active = people["has_account"].to_numpy() & ~np.isin(people["stage"].to_numpy(), ("prospect",))
    person, _ = repeat(rng.poisson(np.where(active, 0.14 * weeks, 0)))
    count = len(person)
    at = start[person] + (rng.random(count) * (stop - start)[person]).astype(np.int64)
    kind = weighted(rng, (0.5, 0.32, 0.15, 0.02, 0.01), count)
    ledger = pl.DataFrame(
        {
            "entry_id": ids("lx", np.arange(count), salt),
            "account_id": people["account_id"].gather(pl.Series(person)),
            "kind": pick(("withdrawal", "fee", "reward", "limit_hit", "liquidation"), kind),
            "product_line": pl.repeat(None, count, dtype=pl.String, eager=True),
            "asset": pick(geo.ASSETS, rng.integers(-3, 6, count).clip(-1, 5)),
            "amount_usd": np.round(rng.lognormal(3.5, 1.4, count), 2),
            "occurred_at": times(at),
            "_known": at + lags(rng, count),
            "_kind": np.where(people["is_test"].to_numpy()[person], 2, 0).astype(np.int8),
        }
    )
    owned = people["wallet"].is_not_null().to_numpy()
    person, _ = repeat(rng.poisson(np.where(owned, 0.4 * weeks, 0)))
    count = len(person)
    at = start[person] + (rng.random(count) * (stop - start)[person]).astype(np.int64)
    strangers = hexes(np.random.default_rng(42), 1000, 40, "0x")
    way = weighted(rng, (0.5, 0.2, 0.15, 0.15), count)
    sides = pl.DataFrame(
        {
            "own": people["wallet"].gather(pl.Series(person)),
            "other": strangers.gather(pl.Series(rng.integers(0, 1000, count))),
            "way": way,
        }
    )
    sides = sides.with_columns(
        other=pl.when(pl.col("way") < 2).then(pl.lit(hot)).otherwise("other"), out=pl.col("way") % 2 == 1
    )
    transfers = pl.DataFrame(
        {
            "tx_hash": hexes(rng, count, 64, "0x"),
            "chain": pick(("ethereum", "polygon", "base", "sepolia"), weighted(rng, (0.5, 0.26, 0.2, 0.04), count)),
            "from_address": sides.select(pl.when("out").then("own").otherwise("other")).to_series(),
            "to_address": sides.select(pl.when("out").then("other").otherwise("own")).to_series(),
            "asset": pick(geo.ASSETS, rng.integers(0, 6, count)),
            "amount": np.round(rng.lognormal(1.0, 1.5, count), 6),
            "occurred_at": times(at),
            "_known": at + lags(rng, count),
            "_kind": np.zeros(count, dtype=np.int8),
        }
    )
    transfers = transfers.with_columns(_kind=pl.when(pl.col("chain") == "sepolia").then(2).otherwise(0).cast(pl.Int8))
    return ledger, transfers


def lags(rng: np.random.Generator, count: int) -> np.ndarray:
    """How long after it happened a row became known: seconds, for some hours, for a few days."""
    late = rng.random(count)
    lag = (rng.exponential(20.0, count) * 1_000_000).astype(np.int64) + 100_000
    lag = np.where(late < rates.LATE_HOURS_SHARE, (rng.random(count) * 12 * HOUR).astype(np.int64), lag)
    return np.where(late < rates.LATE_DAYS_SHARE, DAY + (rng.random(count) * 2 * DAY).astype(np.int64), lag)
