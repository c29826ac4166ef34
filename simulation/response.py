"""Answers a day's published offers: the next day's deliveries of every source, as the true people would have it.

What lasts beyond a day waits in the truth folder under `pending/<as_of>`: rows that become known later, uses that an offer
took away, and who has already been moved by an offer (a second showing within its window moves nobody again, so that the
true probability is that of the window, however often the offer was shown).
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from simulation import activity, campaign, compliance, mess, rates, records
from simulation import truth as truth_of
from simulation.books import Books
from simulation.catalogue import OFFERS
from simulation.landing import Landing, last_covered
from simulation.tools import DAY, HOUR, MINUTE, generator, ids, instant, micros, times

SEEN = {
    "web": 0.55,
    "app": 0.60,
    "email": 1.0,
    "sms": 1.0,
    "push": 1.0,
    "chatbot": 0.30,
}  # outbound is sent; others must come by
LOOKUPS = ("account_id", "contact_id", "device_id", "anonymous_id")  # whose person it is, the surest first
VERSIONED = ("compliance.restrictions", "crm.messages", "compliance.kyc_records")
ACTIVITY_KEYS = {
    "exchange.trades": "trade_id",
    "exchange.ledger_entries": "entry_id",
    "wallets.transfers": "tx_hash",
    "events.events": "event_id",
}


def respond(
    *, published: Path | None, landing: Path, truth: Path, as_of: datetime, seed: int, market: str = "calm"
) -> dict[str, object]:
    """Counts of what was landed for the day after `as_of`. `published` is a run's folder, None when the day offered nothing.

    The same call again writes the same bytes. `seed` moves the day's chance; who people are stays as generated. `market` is what
    prices do that day, one of `rates.MARKET_HOURS`.
    """
    if market not in rates.MARKET_HOURS:
        raise ValueError(f"no market is called {market!r}: {', '.join(rates.MARKET_HOURS)}")
    landing, truth = Path(landing), Path(truth)
    begin, end = micros(as_of), micros(as_of) + DAY
    waiting = truth / "pending" / str(begin)
    if not waiting.is_dir():
        known = sorted(instant(int(folder.name)).isoformat() for folder in (truth / "pending").glob("*"))
        raise ValueError(f"the shop has not lived up to {as_of.isoformat()}: it can go on from {', '.join(known) or 'nowhere'}")
    planted = json.loads((truth / "planted.json").read_text(encoding="utf-8"))
    world = int(planted["seed"])
    desk = Landing(landing, truth / "pending" / str(end), as_ofs=[end], seed=world, covered_to=last_covered(landing, begin))
    books = Books(desk, truth, world, tag=f"{begin // DAY}-")
    parts = sorted((truth / "people").glob("part-*.parquet"), key=lambda path: int(path.stem.split("-")[1]))
    offers = _offers(published, truth)
    hot = records.hot_wallet(world)
    for part, path in enumerate(parts):
        crowd = pl.read_parquet(path)
        first = int(crowd["number"][0])
        rng = generator(seed, "respond", begin, first)
        salt = f"{seed}-{begin}-{first}-"
        made = _shown(crowd, offers, begin, rng)
        lost_before, seen_before = (_carried(waiting, name, part) for name in ("lost", "seen"))
        fresh = _moves_somebody(crowd, made, seen_before)
        won, lost = campaign.outcomes(crowd, fresh, rng)
        events, messages, surveys = campaign.exposures(crowd, made, _of_all(made, fresh, won), rng, salt)
        earlier = lost_before.join(crowd.select("number").with_row_index("person"), on="number", how="inner")
        lost = pl.concat([lost, earlier.select(pl.col("person").cast(pl.Int64), "line", "at", "until")])
        surveys = pl.concat([surveys, campaign.standing_surveys(crowd, begin, end, rng, salt)], how="diagonal")
        uses = campaign.without(activity.uses(crowd, begin, end, rng, history=False), lost)
        trades, ledger = activity.use_rows(crowd, pl.concat([uses, won.select("person", "line", "at")]), rng, salt)
        other, transfers = activity.extras(crowd, begin, end, hot, rng, salt, history=False)
        visits = activity.sessions(crowd, begin, end, rng, history=False)
        bots = max(1, round(len(crowd) * rates.BOTS_PER_PERSON))
        machines, kinds_of_machines = mess.bots(bots, begin, end, rng, f"{world}-{first}-", salt)
        books.keep("bots", kinds_of_machines, part)
        mine = [activity.session_events(crowd, visits, rng, salt), events, machines]
        made_today = {
            "exchange.trades": trades, "exchange.ledger_entries": pl.concat([ledger, other]), "wallets.transfers": transfers,
            "events.events": pl.concat(mine, how="diagonal"),
        }  # fmt: skip
        for table, frame in made_today.items():
            books.land_activity(table, frame, ACTIVITY_KEYS[table], part, rng, _waiting(waiting, table, part))
        entities = _records(crowd, begin, end, rng, planted, salt)
        entities |= {"crm.messages": messages, "surveys.responses": surveys}
        books.keep(
            "versions",
            truth_of.versions({table: entities[table] for table in VERSIONED}),
            part,
        )
        if part == 0:
            entities["market.prices"] = _prices(waiting, begin, end, world, market)
        for table, columns in desk.columns.items():
            if table in made_today or (table == "compliance.screening_runs" and part > 0):
                continue
            rows = [frame for frame in (entities.get(table), _waiting(waiting, table, part)) if frame is not None]
            desk.add(
                table, pl.concat(rows, how="diagonal_relaxed") if rows else pl.DataFrame(schema=columns | {"_known": pl.Int64})
            )
        books.keep_effects(crowd, fresh, won, lost, end, rates.OUTCOME_DAYS, part)
        _keep_seen(desk.pending / f"seen-{part}.parquet", seen_before, end)
        books.keep("exposures", made.with_columns(true_person=crowd["true_person"].gather(made["person"])).drop("person"), part)
        books.tally("offers_published", len(made))
        books.tally("offers_shown", made["is_shown"].sum())
        books.tally("outcomes_won", len(won))
    return {"as_of": begin, "seed": seed, "planted": dict(sorted(books.planted.items())), "rows": desk.finish()}


def _offers(published: Path | None, truth: Path) -> pl.DataFrame:
    """The published offers with the number of the true person behind each; offers to nobody we made are left out."""
    columns = ["decision_id", "person_id", "channel", "offer_id", "arm", "valid_from", "valid_until", "send_after"]
    if published is None:
        return pl.DataFrame(schema=dict.fromkeys([*columns, "number"], pl.String)).with_columns(pl.col("number").cast(pl.Int64))
    published = Path(published)
    offers = pl.read_parquet(published / "offers.parquet", columns=columns)
    lookup = pl.read_parquet(published / "person_lookup.parquet", columns=["identifier_kind", "identifier", "person_id"])
    names = [("account_id", "account_id"), ("account_id", "second_account_id"), ("contact_id", "contact_id"), ("device_id", "device_id"),
             ("device_id", "second_device_id"), ("anonymous_id", "anonymous_id"), ("anonymous_id", "second_anonymous_id")]  # fmt: skip
    people = pl.read_parquet(truth / "people" / "part-*.parquet", columns=["number", *(column for _, column in names)])
    known = pl.concat(
        people.select("number", identifier=pl.col(column), identifier_kind=pl.lit(kind), surest=pl.lit(LOOKUPS.index(kind)))
        for kind, column in names
    ).filter(pl.col("identifier").is_not_null())
    found = (
        lookup.join(known, on=["identifier_kind", "identifier"])
        .sort("person_id", "surest", "number")
        .unique("person_id", keep="first")
    )
    return offers.join(found.select("person_id", "number"), on="person_id").sort("decision_id")


def _shown(crowd: pl.DataFrame, offers: pl.DataFrame, begin: int, rng: np.random.Generator) -> pl.DataFrame:
    """The offers of these people as assignments: who sees which of theirs, and from when on."""
    rows = crowd.select("number").with_row_index("person").join(offers, on="number", how="inner").sort("decision_id")
    names = [offer["offer_id"] for offer in OFFERS]
    unknown = sorted(set(rows["offer_id"].unique()) - set(names))
    if unknown:
        raise ValueError(f"offers were published that this shop does not have: {', '.join(unknown)}")
    chance = rows["channel"].replace_strict(SEEN, default=None, return_dtype=pl.Float64).to_numpy()
    after = np.maximum(_moments(rows["valid_from"]), _moments(rows["send_after"]))
    after = np.clip(after, begin, begin + 14 * HOUR) + MINUTE
    return pl.DataFrame(
        {
            "person": rows["person"].cast(pl.Int64),
            "offer": rows["offer_id"].replace_strict(names, list(range(len(names))), return_dtype=pl.Int64),
            "channel": rows["channel"].replace_strict(list(activity.CHANNELS), list(range(6)), return_dtype=pl.Int64),
            "is_shown": (rng.random(len(rows)) < chance) & (rows["arm"].to_numpy() != "held_out"),
            "at": after + (rng.random(len(rows)) * HOUR).astype(np.int64),
            "assignment_id": rows["decision_id"],
        }
    )


def _moments(column: pl.Series) -> np.ndarray:
    """Microseconds of instants, whether kept as times or as ISO texts; unknown ones are 0."""
    if column.dtype == pl.String:
        column = column.str.to_datetime(time_unit="us", time_zone="UTC")
    return column.cast(pl.Datetime("us")).cast(pl.Int64).fill_null(0).to_numpy()


def _moves_somebody(crowd: pl.DataFrame, made: pl.DataFrame, seen_before: pl.DataFrame) -> pl.DataFrame:
    """The showings that can move: the first of each person and offer, and none within the window of an earlier one."""
    number = crowd["number"].gather(made["person"])
    fresh = made.with_columns(number=number).with_row_index("place").filter("is_shown")
    fresh = fresh.sort("at", "assignment_id").unique(["person", "offer"], keep="first", maintain_order=True)
    active = seen_before.join(fresh.select("number", "offer", "at"), on=["number", "offer"]).filter(
        pl.col("until") > pl.col("at")
    )
    return fresh.join(active.select("number", "offer").unique(), on=["number", "offer"], how="anti").sort("place")


def _of_all(made: pl.DataFrame, fresh: pl.DataFrame, won: pl.DataFrame) -> pl.DataFrame:
    """The won uses with `row` meaning a row of `made`, not of `fresh`."""
    return won.with_columns(row=fresh["place"].gather(won["row"]).cast(pl.UInt32))


def _carried(waiting: Path, name: str, part: int) -> pl.DataFrame:
    return pl.read_parquet(waiting / f"{name}-{part}.parquet")


def _waiting(waiting: Path, table: str, part: int) -> pl.DataFrame | None:
    path = waiting / f"{table}-{part}.parquet"
    return pl.read_parquet(path) if path.exists() else None


def _keep_seen(path: Path, before: pl.DataFrame, end: int) -> None:
    pl.concat([before.filter(pl.col("until") > end), pl.read_parquet(path)]).write_parquet(path)


def _records(
    crowd: pl.DataFrame, begin: int, end: int, rng: np.random.Generator, planted: dict[str, Any], salt: str
) -> dict[str, pl.DataFrame]:
    """What changes in the silos within a day: some withdraw consent, a few are restricted or scored anew, everybody is screened."""
    world, days, ends_at = (int(planted[name]) for name in ("seed", "days", "ends_at"))
    where = records.moves(crowd, ends_at - days * DAY, days, world)
    runs, hits = compliance.screening(crowd, [end - 2 * HOUR], world)
    known = crowd.filter(pl.col("has_contact"))
    leaving = known[np.flatnonzero(rng.random(len(known)) < rates.WITHDRAWALS_A_DAY)]
    at = begin + (rng.random(len(leaving)) * DAY).astype(np.int64)
    consents = leaving.select("contact_id").with_columns(
        consent_id=ids("cd", leaving["number"].to_numpy(), f"{salt}consent"), channel=pl.lit("email"), purpose=pl.lit("marketing"),
        status=pl.lit("withdrawn"), recorded_at=times(at), _known=pl.Series(at + MINUTE),
    )  # fmt: skip
    held = crowd.filter(pl.col("has_account"))
    held = held[np.flatnonzero(rng.random(len(held)) < rates.RESTRICTIONS_A_DAY)]
    at = begin + (rng.random(len(held)) * DAY).astype(np.int64)
    kinds = [kind for kind, share in rates.RESTRICTIONS.items() if share > 0]
    restrictions = held.select("account_id").with_columns(
        restriction_id=ids("rd", held["number"].to_numpy(), f"{salt}restriction"),
        kind=pl.Series([kinds[place] for place in rng.integers(0, len(kinds), len(held))], dtype=pl.String), status=pl.lit("open"),
        starts_at=times(at), source_updated_at=times(at), _known=pl.Series(at + MINUTE),
    )  # fmt: skip
    return {
        "compliance.assessments": compliance.trust(crowd, begin, end, ends_at, world),
        "compliance.kyc_records": compliance.rescored(crowd, where, begin, end, ends_at, world),
        "compliance.screening_runs": runs,
        "compliance.screening_hits": hits,
        "crm.consents": consents,
        "compliance.restrictions": restrictions,
    }


def _prices(waiting: Path, begin: int, end: int, world: int, market: str) -> pl.DataFrame:
    """The next day's bars, going on from the last close of each asset."""
    last = (
        pl.read_parquet(waiting / "market.prices-0.parquet")
        .sort("asset", "bar_start")
        .group_by("asset", maintain_order=True)
        .last()
    )
    frames = []
    for asset, close in last.select("asset", "close_usd").iter_rows():
        rng = generator(world, "bars", asset, begin)
        drift, size = (0.0, 0.00008) if asset == "USDC" else rates.MARKET_HOURS[market]
        moves = rng.normal(drift, size, 24)
        closes = float(close) * np.exp(np.cumsum(moves))
        opens = np.concatenate([[float(close)], closes[:-1]])
        bar = begin + np.arange(24) * HOUR
        frames.append(
            pl.DataFrame(
                {
                    "asset": [asset] * 24, "bar_start": times(bar), "interval": ["1h"] * 24, "open_usd": opens,
                    "high_usd": np.maximum(opens, closes) * (1 + size / 3), "low_usd": np.minimum(opens, closes) * (1 - size / 3),
                    "close_usd": closes, "volume_usd": rng.lognormal(13, 0.6, 24), "_known": bar + HOUR,
                }
            )
        )  # fmt: skip
    return pl.concat(frames)
