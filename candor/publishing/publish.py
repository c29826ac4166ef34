"""Publish one run: files, memory of what was decided, and last the serving store in one transaction.

The order is chosen for a kill at any point. Files nobody points to yet do no harm. The run's entry in the chain stands before anybody sees
an offer of it. `state.decisions` counts against frequency caps before
the first customer can see an offer, never after. The store's single commit is the moment the run is live.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.hashing import install
from candor.ledger import chain
from candor.publishing import export, store
from candor.publishing.lookups import LOOKUPS
from candor.publishing.staged import require_permission
from candor.warehouse import connect, sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

# A week of runs to go back to, at about 0.5 GB a run of a million people. Older runs stay in `runs` and in their Parquet files.
KEPT_RUNS = 7

# The tables whose rows can revoke an offer before the next run (source, table).
REVOCABLE = (
    ("crm", "consents"),
    ("crm", "preferences"),
    ("compliance", "restrictions"),
    ("compliance", "screening_runs"),
    ("compliance", "screening_hits"),
    ("compliance", "kyc_records"),
)

INSTANT_COLUMNS = ("valid_from", "valid_until", "send_after", "send_before")
BATCH_ROWS = 100_000


def run(as_of: datetime, settings: Settings | None = None, *, make_current: bool | None = None) -> dict[str, Any]:
    """Rows and people published, and whether the run is now the current one.

    A run becomes current unless a run of a later `as_of` is; `make_current` decides otherwise. Raises AuditFailed or GateFailed, before
    anything was written, unless the audit and the served gate passed exactly the rows that are staged.
    """
    settings = settings or settings_module.load()
    store.check(settings)  # refuses an unusable store before anything is written
    with connect(settings, restricted=True) as connection:
        current = runs.current(connection, as_of)
        audit = require_permission(connection, settings, current)
        install(connection, settings)
        counts = export.write(connection, settings, current)
        entry = chain.append(connection, settings, current)
        remember_decisions(connection, current)
        live = publish_to_store(connection, settings, current, audit, counts, make_current)
        channels = connection.execute(
            "select channel, count(*) from decisions.staged_offers group by channel order by channel"
        ).fetchall()
    return {
        "run_id": current.run_id,
        **live,
        "offers_by_channel": dict(channels),
        "files": counts,
        "ledger_entry": entry.sequence,
        "ledger_hash": entry.hash,
    }


def remember_decisions(connection: duckdb.DuckDBPyConnection, run: Run) -> int:
    """Put the run's decisions, of both arms, into state.decisions in place of those of the same batch; gives their number."""
    facts = f"{run.batch_seq}::bigint as batch_seq, {sql_timestamp(run.as_of)} as as_of"
    connection.execute("begin")
    try:
        connection.execute(f"create table if not exists state.decisions as select {facts}, * from decisions.ledger where false")
        _add_columns(connection)
        connection.execute("delete from state.decisions where batch_seq = ?", [run.batch_seq])
        inserted = connection.execute(
            f"""
            insert into state.decisions by name
            select {facts}, * from decisions.ledger where is_chosen
            order by person_id, channel, slot
            """
        ).fetchall()[0]
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return int(inserted[0])


def _add_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """What the ledger says today and did not say when state.decisions was made: null in the decisions that stand there."""
    new = connection.execute(
        """
        select ledger.column_name, ledger.data_type from duckdb_columns() as ledger
        where ledger.database_name = current_database() and ledger.schema_name = 'decisions' and ledger.table_name = 'ledger'
            and not exists (
                select 1 from duckdb_columns() as standing
                where standing.database_name = current_database() and standing.schema_name = 'state'
                    and standing.table_name = 'decisions' and standing.column_name = ledger.column_name
            )
        order by ledger.column_index
        """
    ).fetchall()
    for name, kind in new:
        connection.execute(f'alter table state.decisions add column "{name}" {kind}')


def publish_to_store(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run: Run,
    audit: dict[str, Any],
    counts: dict[str, int],
    make_current: bool | None = None,
) -> dict[str, Any]:
    """Make the staged rows the run's offers, and the run the current one, in one transaction of the serving store."""
    rows, people, model_version = connection.execute(
        "select count(*), count(distinct person_id), max(model_version) from decisions.staged_offers"
    ).fetchall()[0]
    as_of = instant_text(run.as_of)
    store.prepare(settings)
    with store.transaction(settings) as serving:
        _load_offers(connection, serving, run, audit["staged_hash"])
        now_current = serving.rows("select run_id, as_of from runs where is_current = 1")
        becomes_current = make_current
        if becomes_current is None:
            becomes_current = not now_current or now_current[0][1] <= as_of
        stays_current = not becomes_current and bool(now_current) and now_current[0][0] == run.run_id
        if becomes_current:
            serving.execute("update runs set is_current = 0 where is_current = 1")
        serving.execute("delete from runs where run_id = ?", (run.run_id,))
        serving.execute(
            "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, null)",
            (
                run.run_id,
                as_of,
                instant_text(datetime.now(UTC)),
                int(becomes_current or stays_current),
                rows,
                people,
                json.dumps(counts, sort_keys=True),
                json.dumps(audit, sort_keys=True),
                audit["staged_hash"],
                model_version or run.champion_version,
                run.policy_version,
            ),
        )
        lookups = {"lookups_added": 0, "lookups_ended": 0}
        ended = 0
        if becomes_current:
            for table, query in LOOKUPS.items():
                for name, count in _change_lookups(connection, serving, run, table, query).items():
                    lookups[name] += count
            _remember_deliveries(connection, serving, run)
            ended = _end_suppressions(serving, run)
            _prune(serving)
    return {
        "offers": rows,
        "people_with_offers": people,
        "is_current": bool(becomes_current or stays_current),
        **lookups,
        "suppressions_ended": ended,
    }


def instant_text(instant: datetime) -> str:
    """An aware instant as the store writes it."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _load_offers(connection: duckdb.DuckDBPyConnection, serving: store.Store, run: Run, content: str) -> None:
    """The run's offers in the store, unless exactly these are there already."""
    if serving.rows("select 1 from runs where run_id = ? and staged_hash = ? and has_offers = 1", (run.run_id, content)):
        return
    serving.execute("delete from offers where run_id = ?", (run.run_id,))
    texts = ", ".join(f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ') as {name}" for name in INSTANT_COLUMNS)
    reader = connection.execute(
        f"""
        select * replace ({texts}, slot::bigint as slot, rank::bigint as rank, offer_version::bigint as offer_version)
        from decisions.staged_offers
        order by person_id, channel, slot
        """
    ).to_arrow_reader(BATCH_ROWS)
    serving.load("offers", reader)


def _change_lookups(
    connection: duckdb.DuckDBPyConnection, serving: store.Store, run: Run, table: str, query: str
) -> dict[str, int]:
    """End the lookups of `table` that no longer hold and add the new ones; those that stay are not written again."""
    standing = serving.arrow(f"select identifier_kind, identifier, person_id from {table} where valid_to_run is null")
    connection.register("standing_lookups", standing)
    connection.execute(f"create or replace temp table next_lookups as {query}")
    ended = connection.execute(
        """
        select identifier_kind, identifier, person_id from standing_lookups
        where not exists (
            select 1 from next_lookups
            where next_lookups.identifier_kind = standing_lookups.identifier_kind
                and next_lookups.identifier = standing_lookups.identifier
                and next_lookups.person_id = standing_lookups.person_id
        )
        order by identifier_kind, identifier, person_id
        """
    ).to_arrow_table()
    added = connection.execute(
        """
        select identifier_kind, identifier, person_id, ? as valid_from_run
        from next_lookups
        where not exists (
            select 1 from standing_lookups
            where next_lookups.identifier_kind = standing_lookups.identifier_kind
                and next_lookups.identifier = standing_lookups.identifier
                and next_lookups.person_id = standing_lookups.person_id
        )
        order by identifier_kind, identifier, person_id
        """,
        [run.run_id],
    ).to_arrow_table()
    connection.unregister("standing_lookups")
    connection.execute("drop table next_lookups")
    if ended.num_rows:
        serving.execute("create table ended_lookups (identifier_kind text, identifier text, person_id text)")
        serving.load("ended_lookups", ended)
        serving.execute(
            f"""
            update {table} set valid_to_run = ?
            where valid_to_run is null
                and (identifier_kind, identifier, person_id) in (
                    select identifier_kind, identifier, person_id from ended_lookups
                )
            """,
            (run.run_id,),
        )
        serving.execute("drop table ended_lookups")
    if added.num_rows:
        serving.load(table, added)
    return {"lookups_added": added.num_rows, "lookups_ended": ended.num_rows}


def _remember_deliveries(connection: duckdb.DuckDBPyConnection, serving: store.Store, run: Run) -> None:
    """Note which content of the revocable sources the run knew: what it pinned, and older content of the same folders."""
    tables = ", ".join(f"('{source}', '{table}')" for source, table in REVOCABLE)
    known = connection.execute(
        f"""
        select distinct
            ? as run_id,
            keyed_hash(older.source || '.' || older.table_name || '/' || older.delivery) as folder,
            keyed_hash(older.delivery_id) as cause
        from state.pins as pins
        inner join state.deliveries as pinned on pins.delivery_id = pinned.delivery_id
        inner join state.deliveries as older
            on pinned.source = older.source and pinned.table_name = older.table_name and pinned.delivery = older.delivery
            and older.landed_seq <= pinned.landed_seq
        where pins.as_of = {sql_timestamp(run.as_of)} and (pinned.source, pinned.table_name) in ({tables})
        order by cause
        """,
        [run.run_id],
    ).to_arrow_table()
    serving.execute("delete from known_deliveries where run_id = ?", (run.run_id,))
    if known.num_rows:
        serving.load("known_deliveries", known)


def _end_suppressions(serving: store.Store, run: Run) -> int:
    """End the suppressions whose cause the run has taken into account itself; those it did not know stand."""
    known = "cause in (select cause from known_deliveries where run_id = ?)"
    ending = serving.rows(f"select count(*) from suppressions where ended_by_run is null and {known}", (run.run_id,))
    serving.execute(
        f"""
        update suppressions set until = case when since > ? then since else ? end, ended_by_run = ?
        where ended_by_run is null and {known}
        """,
        (instant_text(run.as_of), instant_text(run.as_of), run.run_id, run.run_id),
    )
    return int(ending[0][0])


def _prune(serving: store.Store) -> None:
    """Drop the offers of all but the latest runs, and the lookups that only those could have used."""
    kept = f"select run_id from runs where has_offers = 1 order by is_current desc, as_of desc, run_id limit {KEPT_RUNS}"
    serving.execute(f"delete from offers where run_id not in ({kept})")
    serving.execute(f"update runs set has_offers = 0 where has_offers = 1 and run_id not in ({kept})")
    serving.execute(
        "delete from person_lookup where valid_to_run is not null and valid_to_run in (select run_id from runs where has_offers = 0)"
    )
    for table in ("known_deliveries", "revocation_reads"):
        serving.execute(f"delete from {table} where run_id in (select run_id from runs where has_offers = 0)")
