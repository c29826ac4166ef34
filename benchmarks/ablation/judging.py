"""What a decided day did to true people, by the planted truth: one row per human with offers, and the rows that the day was built from.

Words. A *human* is a true person of the simulator. A *person* of the run is taken for the human who owns most of its own identifiers (items, as in
`benchmarks/planted.py`: what several humans share is nobody's); of equals the one with more accounts, then the first by name. Offers to a person
without any such identifier are nobody's: they are hard false targets, and the probability of their outcome is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from benchmarks import planted
from simulation.shop import hub_names

# Parts of a hard false target. An offer may be several; the measure counts it once.
HARD = {
    "to_nobody": "to a person without any human behind it",
    "to_machine": "to a person with a planted machine's browser",
    "to_test": "to a planted test or staff account, or with the planted QA account",
    "uses_anyway": "to somebody who, by the planted probability, is as likely as not (at least 0.5) to use the product this week without any offer",
    "puts_off": "to somebody whom the offer makes less likely to use the product",
    "harms": "to somebody whom the product harms, by the planted truth",
    "not_permitted": "that the day with everything cleaned may not make to this human by this channel",
    "said_no": "by a channel for which one of their own records last said denied or withdrawn",
}
# Parts of a wrong-person offer, by what of another human's the person holds. Trades, ledger entries and messages come with their record.
WRONG = {
    "wrong_record": "an account, contact or wallet: what is in it was taken for theirs, and who looks up by it gets their offers",
    "wrong_machine": "a device or browser: what was done on it was taken for theirs, and the other human sees their offers there",
    "wrong_address": "an e-mail address or number: the other human is looked up as them",
    "wrong_activity": "what somebody else did, by their log-in or browser, counted among what was known of them when it was decided",
}
LIKELY = 0.5

# Rows that identity (entities) and features (activity) read, with the key of a genuine row; where the truth says which keys are genuine, its table.
USED = {
    "reduced_staging.stg_exchange__accounts": ("account_id", None),
    "reduced_staging.stg_crm__contacts": ("contact_id", None),
    "reduced_staging.stg_wallets__wallet_links": ("link_id", None),
    "vault.reduced_staging.stg_compliance__kyc_records": ("kyc_id", None),
    "reduced_core.messages": ("message_id", None),
    "reduced_core.events": ("event_id", "events_rows"),
    "reduced_core.trades": ("trade_id", "trades_rows"),
    "reduced_core.ledger_entries": ("entry_id", "ledger_entries_rows"),
}
NOISE = ("test", "dead_session", "bot", "wash")


@dataclass(frozen=True)
class Judged:
    """One day: the rows it used (table, rows, repeated, noise) and its humans (one row per human with offers, what was made of them)."""

    rows: pl.DataFrame
    humans: pl.DataFrame


def judge(state: Path, truth: Path, permitted: Path, *, is_whole: bool = False) -> Judged:
    """What the day that stands in a reduced copy used and did. The whole day writes the file `permitted`, the others are held to it."""
    connection = planted.open_run(state, restricted=True)
    try:
        rows = used_rows(connection, truth)
        planted.own_identifiers(connection, truth)
        whose(connection)
        if is_whole:
            write_permitted(connection, permitted)
        facts(connection, truth)
        connection.execute(f"create or replace temp table permitted as select * from read_parquet('{permitted}')")
        return Judged(rows, humans(connection))
    finally:
        connection.close()


def write_permitted(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write (true_person, offer_id, channel) of every candidate of the day: what may be offered when everything is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(
        f"""
        copy (
            select distinct persons.true_person, candidates.offer_id, candidates.channel
            from eligibility.candidates as candidates inner join persons on candidates.person_id = persons.person_id
            where persons.true_person is not null
            order by all
        ) to '{path}' (format parquet)
        """
    )


def used_rows(connection: duckdb.DuckDBPyConnection, truth: Path) -> pl.DataFrame:
    """One row per table the day was built from: rows, of them repeated (duplicated or outdated), and planted noise among the others."""
    counted = []
    for table, (key, kinds) in USED.items():
        noise = "0"
        joined = ""
        if kinds is not None:
            noise = f"count(distinct used.{key}) filter (where planted.kind in {NOISE})"
            joined = f"""
            left join (
                select {key}, kind::varchar as kind from read_parquet('{planted.part_files(truth, kinds)}') where kind <> 'duplicate'
            ) as planted on used.{key} = planted.{key}
            """
        query = f"select count(*), count(*) - count(distinct used.{key}), {noise} from {table} as used {joined}"
        counted.append((table, *connection.execute(query).fetchall()[0]))
    return pl.DataFrame(counted, schema=["table", "rows", "repeated", "noise"], orient="row")


def whose(connection: duckdb.DuckDBPyConnection) -> None:
    """Temp table `persons`: one row per person of the run who may be offered anything: whom it is taken for, and what of another human's it holds.

    From `own` (kind, identifier, true_person), identity.person_identifiers, the staged offers, the candidates, and the events that features read.
    """
    connection.execute(
        """
        create or replace temp table persons as
        with wanted as (
            select person_id from decisions.staged_offers
            union
            select person_id from eligibility.candidates
        ), members as (
            -- Where values are not standardised an address is still the same address.
            select
                person_id, identifier_kind as kind,
                case
                    when identifier_kind = 'email' then lower(trim(identifier))
                    when identifier_kind = 'wallet' and identifier ilike '0x%' then lower(identifier)
                    else identifier
                end as identifier
            from identity.person_identifiers semi join wanted using (person_id)
        ), owned as (
            select distinct members.person_id, own.kind, own.identifier, own.true_person
            from members inner join own on members.kind = own.kind and members.identifier = own.identifier
        ), taken_for as (
            select person_id, true_person
            from owned
            group by person_id, true_person
            qualify row_number() over (
                partition by person_id order by count(*) desc, count(*) filter (where kind = 'account_id') desc, true_person
            ) = 1
        ), mixed as (
            select
                owned.person_id,
                bool_or(kind in ('account_id', 'contact_id', 'wallet')) as wrong_record,
                bool_or(kind in ('device_id', 'anonymous_id')) as wrong_machine,
                bool_or(kind in ('email', 'phone')) as wrong_address
            from owned inner join taken_for on owned.person_id = taken_for.person_id and owned.true_person <> taken_for.true_person
            group by owned.person_id
        ), acted as (
            -- Whoever is logged in did it; else whose browser it is, else whose device.
            select
                used.person_id,
                case
                    when events.account_id is not null then accounts.true_person
                    else coalesce(browsers.true_person, devices.true_person)
                end as true_person
            from reduced_core.events as used
            inner join (
                select distinct event_id, account_id, anonymous_id, device_id from staging.stg_events__events
            ) as events on used.event_id = events.event_id
            left join own as accounts on accounts.kind = 'account_id' and events.account_id = accounts.identifier
            left join own as browsers on browsers.kind = 'anonymous_id' and events.anonymous_id = browsers.identifier
            left join own as devices on devices.kind = 'device_id' and events.device_id = devices.identifier
        ), others_acted as (
            select distinct acted.person_id
            from acted inner join taken_for on acted.person_id = taken_for.person_id and acted.true_person <> taken_for.true_person
        )
        select
            wanted.person_id,
            taken_for.true_person,
            coalesce(mixed.wrong_record, false) as wrong_record,
            coalesce(mixed.wrong_machine, false) as wrong_machine,
            coalesce(mixed.wrong_address, false) as wrong_address,
            others_acted.person_id is not null as wrong_activity
        from wanted
        left join taken_for on wanted.person_id = taken_for.person_id
        left join mixed on wanted.person_id = mixed.person_id
        left join others_acted on wanted.person_id = others_acted.person_id
        """
    )


def facts(connection: duckdb.DuckDBPyConnection, truth: Path) -> None:
    """Temp tables for `humans`: `responses`, `test_people`, `machines` and `refused` (true_person, channel of a standing no)."""
    people = planted.part_files(truth, "people")
    connection.execute(
        f"""
        create or replace temp table responses as
        select true_person, offer_id, p_shown::double as p_shown, p_held_out::double as p_held_out, harmed
        from read_parquet('{planted.part_files(truth, "responses")}');
        create or replace temp table test_people as select true_person from read_parquet('{people}') where is_test;
        create or replace temp table machines as
        select distinct person_id from identity.person_identifiers
        where identifier_kind = 'anonymous_id'
            and identifier in (select anonymous_id from read_parquet('{planted.part_files(truth, "bots")}'));
        create or replace temp table testers as
        select person_id from identity.person_identifiers where identifier_kind = 'account_id' and identifier = '{hub_names()[0]}';
        -- The last word of each of their accounts, contacts and addresses: whole rows, whatever the day was allowed to see.
        create or replace temp table refused as
        with said as (
            select
                case when contact_id is not null then 'contact_id' when account_id is not null then 'account_id' else 'email' end as kind,
                coalesce(contact_id, account_id, lower(trim(email))) as identifier,
                unnest(case when channel is null then ['email', 'sms', 'push'] else [channel] end) as channel,
                status, recorded_at
            from staging.stg_crm__consents where purpose = 'marketing'
        ), last_said as (
            select kind, identifier, channel, max_by(status, (recorded_at, status <> 'granted')) as status
            from said group by kind, identifier, channel
        )
        select distinct own.true_person, last_said.channel
        from last_said inner join own using (kind, identifier)
        where last_said.status in ('denied', 'withdrawn')
        """
    )


def humans(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """One row per human with offers: offers, hard, wrong and their parts, the sums of the planted probability with the offer and of its gain over
    offers, the gain over distinct offers (all, and those that are permitted when everything is known), and how many persons of the run they
    are. Nobody's offers have the human `nobody <person>`.

    From `persons`, `responses`, `test_people`, `machines`, `testers`, `refused`, `permitted` and decisions.staged_offers.
    """
    hard = " or ".join(HARD)
    wrong = " or ".join(WRONG)
    parts = ",\n            ".join(f"count(*) filter (where {part})::bigint as {part}" for part in (*HARD, *WRONG))
    return connection.execute(
        f"""
        with made as (
            select
                coalesce(persons.true_person, 'nobody ' || persons.person_id) as human,
                persons.person_id,
                offers.offer_id,
                coalesce(responses.p_shown, 0) as p_shown,
                coalesce(responses.p_shown - responses.p_held_out, 0) as gain,
                persons.true_person is null as to_nobody,
                machines.person_id is not null as to_machine,
                test_people.true_person is not null or testers.person_id is not null as to_test,
                coalesce(responses.p_held_out >= {LIKELY}, false) as uses_anyway,
                coalesce(responses.p_shown < responses.p_held_out, false) as puts_off,
                coalesce(responses.harmed, false) as harms,
                refused.true_person is not null as said_no,
                permitted.true_person is null as not_permitted,
                {", ".join(f"persons.{part}" for part in WRONG)}
            from decisions.staged_offers as offers
            inner join persons on offers.person_id = persons.person_id
            left join responses on persons.true_person = responses.true_person and offers.offer_id = responses.offer_id
            left join test_people on persons.true_person = test_people.true_person
            left join machines on persons.person_id = machines.person_id
            left join testers on persons.person_id = testers.person_id
            left join refused on persons.true_person = refused.true_person and offers.channel = refused.channel
            left join permitted
                on persons.true_person = permitted.true_person
                and offers.offer_id = permitted.offer_id
                and offers.channel = permitted.channel
        ), once as (
            select
                human,
                sum(gain order by offer_id) as any_gain,
                coalesce(sum(gain order by offer_id) filter (where is_permitted), 0) as distinct_gain
            from (
                select human, offer_id, any_value(gain) as gain, bool_or(not not_permitted) as is_permitted
                from made group by human, offer_id
            )
            group by human
        )
        select
            human,
            count(*)::bigint as offers,
            count(distinct person_id)::bigint as persons,
            count(*) filter (where {hard})::bigint as hard,
            count(*) filter (where {wrong})::bigint as wrong,
            {parts},
            sum(p_shown order by offer_id, person_id) as shown,
            sum(gain order by offer_id, person_id) as gain,
            any_value(once.any_gain) as any_gain,
            any_value(once.distinct_gain) as distinct_gain
        from made inner join once using (human)
        group by human
        order by human
        """
    ).pl()
