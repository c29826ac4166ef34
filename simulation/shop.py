"""Makes the history of the made-up shop: deliveries of every source, and the truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from simulation import activity, campaign, catalogue, compliance, mess, rates, records
from simulation import people as population
from simulation import truth as truth_of
from simulation.books import Books
from simulation.landing import Landing
from simulation.tools import DAY, HOUR, generator, ids, micros

ENDS_AT = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _quiet(line: str) -> None:
    return None


def generate(
    *,
    people: int,
    days: int,
    seed: int,
    landing: Path,
    truth: Path,
    ends_at: datetime = ENDS_AT,
    progress: Callable[[str], None] = _quiet,
) -> dict[str, object]:
    """Counts of what was landed. Writes `days` event-rich days that end at `ends_at`, and the truth in its own folder."""
    if people < 1 or days < 1:
        raise ValueError(f"people and days must be at least 1, not {people} and {days}")
    landing, truth = Path(landing), Path(truth)
    if landing.resolve() in (truth.resolve(), *truth.resolve().parents):
        raise ValueError(f"the truth must not lie in what is delivered: {truth} is inside {landing}")
    for folder in (landing, truth):
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty: a shop is made once; give another folder or remove this one")
    end = micros(ends_at)
    begin = end - days * DAY
    as_ofs = [begin + day * DAY for day in range(days + 1)]
    desk = Landing(landing, truth / "pending" / str(end), as_ofs=as_ofs, seed=seed)
    books = Books(desk, truth, seed)
    for name, frame in catalogue.tables(begin, end).items():
        desk.add(f"catalogue.{name}", frame)
    desk.add("market.prices", catalogue.prices(seed, end - rates.PRICE_DAYS * DAY, end))
    progress("catalogue and market prices are landed")
    for first in range(0, people, rates.CHUNK_PEOPLE):
        count = min(rates.CHUNK_PEOPLE, people - first)
        crowd = population.make(count, first, seed, end, days)
        _records(books, crowd, as_ofs, days, hubs=-(-min(rates.HUB_LINKS, people) * count // people))
        progress(f"people {first:,} to {first + count:,}: records, consents, compliance")
        _activity(books, crowd, as_ofs, hubs=-(-min(rates.HUB_LINKS, people) * count // people))
        progress(f"people {first:,} to {first + count:,}: offers, events, trades, transfers")
    landed = desk.finish()
    for table, number in landed.items():
        progress(f"{table:32} {number:>12,} rows")
    summary: dict[str, object] = {
        "people": people, "days": days, "seed": seed, "ends_at": end, "planted": dict(sorted(books.planted.items())), "rows": landed,
    }  # fmt: skip
    (truth / "planted.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _records(books: Books, crowd: pl.DataFrame, as_ofs: list[int], days: int, *, hubs: int) -> None:
    """Land what sources hold about a chunk of people, and keep the truth about who they are."""
    desk, seed, begin, end = books.desk, books.seed, as_ofs[0], as_ofs[-1]
    part = int(crowd["number"][0]) // rates.CHUNK_PEOPLE
    where = records.moves(crowd, begin, days, seed)
    holders = records.holders(crowd)
    accounts = records.accounts(crowd, where, begin, end, seed)
    contacts = records.contacts(crowd, end, seed)
    desk.add("exchange.accounts", accounts)
    desk.add("crm.contacts", contacts)
    desk.add("crm.consents", pl.concat([records.consents(crowd, end, seed), records.sharing(crowd, end, seed)]))
    desk.add("crm.preferences", records.preferences(crowd, end, seed))
    links = records.wallet_links(crowd, holders[:hubs], records.hot_wallet(seed), end, seed)
    desk.add("wallets.wallet_links", links)
    kyc_records = compliance.kyc_records(crowd, where, end, seed)
    desk.add("compliance.kyc_records", kyc_records)
    runs, hits = compliance.screening(crowd, [at - 2 * HOUR for at in (begin - 2 * DAY, begin - DAY, *as_ofs)], seed)
    if part == 0:
        desk.add("compliance.screening_runs", runs)
    desk.add("compliance.screening_hits", hits)
    restrictions = compliance.restrictions(crowd, begin, end, seed)
    desk.add("compliance.restrictions", restrictions)
    desk.add("compliance.assessments", compliance.assessments(crowd, end, seed))

    books.keep("people", crowd, part)
    books.keep("person_identifiers", population.identifiers(crowd), part)
    claims = [truth_of.claims(crowd, accounts, contacts), truth_of.wallet_claims(crowd, links, records.hot_wallet(seed))]
    books.keep("record_claims", pl.concat(claims), part)
    entities = {
        "exchange.accounts": accounts, "crm.contacts": contacts, "wallets.wallet_links": links, "compliance.kyc_records": kyc_records,
        "compliance.restrictions": restrictions,
    }  # fmt: skip
    books.keep("versions", truth_of.versions(entities), 2 * part + 1)
    books.keep("responses", population.responses(crowd), part)
    books.tally("people_sharing", (crowd["shares"] > 0).sum())
    books.tally("people_split", (crowd["split_crm"] | crowd["split_web"]).sum())
    books.tally("people_with_second_account", crowd["second_account_id"].is_not_null().sum())
    books.tally("hub_links", min(hubs, len(holders)))
    books.tally("accounts.superseded", len(accounts) - accounts["account_id"].n_unique())
    books.tally("accounts.versions", len(accounts))
    books.tally("contacts.superseded", len(contacts) - contacts["contact_id"].n_unique())
    books.tally("contacts.versions", len(contacts))
    books.tally("restrictions", restrictions["restriction_id"].n_unique())


def _activity(books: Books, crowd: pl.DataFrame, as_ofs: list[int], *, hubs: int) -> None:
    """Land what a chunk of people did by themselves, what past offers did to them, and the planted mess."""
    desk, seed, begin, end = books.desk, books.seed, as_ofs[0], as_ofs[-1]
    first = int(crowd["number"][0])
    part = first // rates.CHUNK_PEOPLE
    rng = generator(seed, "activity", first)
    salt = f"{seed}-{first}-"
    past = begin - rates.HISTORY_DAYS * DAY
    hot = records.hot_wallet(seed)

    made = campaign.random_policy(crowd, as_ofs[:-1], seed)
    won, lost = campaign.outcomes(crowd, made, rng)
    offer_events, messages, surveys = campaign.exposures(crowd, made, won, rng, salt)
    desk.add("catalogue.past_assignments", campaign.assignment_rows(crowd, made))
    desk.add("crm.messages", messages)
    books.keep("versions", truth_of.versions({"crm.messages": messages}), 2 * part)
    desk.add("surveys.responses", pl.concat([surveys, campaign.standing_surveys(crowd, begin, end, rng, salt)], how="diagonal"))
    books.keep_effects(crowd, made, won, lost, end, rates.OUTCOME_DAYS, part)
    books.tally("assignments", len(made))
    books.tally("assignments.held_out", (~made["is_shown"]).sum())
    books.tally("messages.superseded", len(messages) - messages["message_id"].n_unique())
    books.tally("messages.versions", len(messages))

    before = activity.uses(crowd, past, begin, rng, history=True)
    during = campaign.without(activity.uses(crowd, begin, end, rng, history=False), lost)
    # Outcomes after the end wait in the truth folder: the days that come land them when they become known.
    trades, ledger = activity.use_rows(crowd, pl.concat([before, during, won.select("person", "line", "at")]), rng, salt)
    funding = activity.funding(crowd, past, end, rng, salt)
    old_ledger, old_transfers = activity.extras(crowd, past, begin, hot, rng, f"{salt}h", history=True)
    new_ledger, new_transfers = activity.extras(crowd, begin, end, hot, rng, salt, history=False)
    trades = pl.concat([trades, mess.wash_trades(crowd, begin, end, rng, salt)])
    books.land_activity("exchange.trades", trades, "trade_id", part, rng)
    books.land_activity("exchange.ledger_entries", pl.concat([ledger, funding, old_ledger, new_ledger]), "entry_id", part, rng)
    books.land_activity("wallets.transfers", pl.concat([old_transfers, new_transfers]), "tx_hash", part, rng)

    visits = activity.sessions(crowd, past, begin, rng, history=True)
    visits = pl.concat([visits, activity.sessions(crowd, begin, end, rng, history=False)])
    events = activity.session_events(crowd, visits, rng, salt)
    bots = max(1, round(len(crowd) * rates.BOTS_PER_PERSON))
    machines, kinds_of_machines = mess.bots(bots, begin, end, rng, f"{seed}-{first}-", salt)
    books.keep("bots", kinds_of_machines, part)
    qa_account, library_device = hub_names()
    hub = mess.hub_events(records.holders(crowd)[:hubs], crowd[:hubs], qa_account, library_device, begin, end, rng, salt)
    books.land_activity(
        "events.events", pl.concat([events, offer_events, machines, hub], how="diagonal"), "event_id", part, rng
    )


def hub_names() -> tuple[str, str]:
    """The QA account and the library's device, that touch thousands of people who have nothing to do with each other."""
    return ids("ac", np.array([1 << 46]), "account")[0], ids("dv", np.array([1 << 46]), "device")[0]
