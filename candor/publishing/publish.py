"""Publish one run: files, memory of what was decided, its rows in the serving store, and last the pointer in one transaction.

The order is chosen for a kill at any point. Files nobody points to yet do no harm, nor do rows of a run that is not in `runs`: they are
loaded a few at a time, so that a withdrawal that lands beside it waits for one such transaction and not for all, and the next publisher drops
what a killed one left. The run's entry in the chain stands before anybody sees an offer of it. `state.decisions` counts against frequency
caps before the first customer can see an offer, never after. The one commit that moves the pointer is the moment the run is live.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from candor import runs
from candor import settings as settings_module
from candor.hashing import install
from candor.ledger import chain
from candor.publishing import export, store
from candor.publishing.lookups import LOOKUPS
from candor.publishing.staged import require_permission
from candor.warehouse import connect, instant_text, sql_timestamp

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

# Rows written or dropped in one transaction: well under half a second, which is what another writer waits.
CHUNK_ROWS = 25_000

# The runs that have rows in `offers`, each found by one look into the index, and whether their rows may be shown.
RUNS_WITH_ROWS = """
with recursive found (run_id) as (

    select min(run_id) from offers
    union all
    select (select min(offers.run_id) from offers where offers.run_id > found.run_id)
    from found
    where found.run_id is not null

)

select found.run_id
from found
where found.run_id is not null and found.run_id not in (select run_id from runs where has_offers = 1)
"""


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
    """Make the staged rows the run's offers, and the run the current one; readers see the run before or the whole run after."""
    rows, people, model_version = connection.execute(
        "select count(*), count(distinct person_id), max(model_version) from decisions.staged_offers"
    ).fetchall()[0]
    as_of = instant_text(run.as_of)
    store.prepare(settings)
    with store.only_publisher(settings):
        drop_rows_of_no_run(settings)
        are_loaded = _load_offers(connection, settings, run, audit["staged_hash"])
        changes = {table: _lookup_changes(connection, settings, run, table, query) for table, query in LOOKUPS.items()}
        with store.transaction(settings) as serving:
            if not are_loaded:
                _replace_live_offers(connection, serving, run)
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
                for table, (ending, added) in changes.items():
                    _change_lookups(serving, run, table, ending, added)
                    lookups["lookups_added"] += added.num_rows
                    lookups["lookups_ended"] += ending.num_rows
                _remember_deliveries(connection, serving, run)
                _remember_lines(connection, serving)
                ended = _end_suppressions(serving, run)
                _prune(serving)
        drop_rows_of_no_run(settings)
        _drop_lookups_of_no_run(settings)
    return {
        "offers": rows,
        "people_with_offers": people,
        "is_current": bool(becomes_current or stays_current),
        **lookups,
        "suppressions_ended": ended,
    }


def drop_rows_of_no_run(settings: Settings) -> None:
    """Drop the rows of runs that were pruned, or whose publisher was killed, some at a time. For the only publisher."""
    with store.reading(settings) as reader:
        dropped_runs = [run_id for (run_id,) in reader.rows(RUNS_WITH_ROWS)]
    if not dropped_runs:
        return
    with store.writing(settings) as writer:
        for run_id in dropped_runs:
            are_left = True
            while are_left:
                with writer.transaction() as serving:
                    are_left = serving.delete_some("offers", "run_id = ?", (run_id,), CHUNK_ROWS)
                store.let_others_in()


def _drop_lookups_of_no_run(settings: Settings) -> None:
    """Drop the lookups that only runs without offers could have used."""
    pruned = "select run_id from runs where has_offers = 0"
    with store.transaction(settings) as serving:
        for table in LOOKUPS:
            serving.execute(f"delete from {table} where valid_to_run is not null and valid_to_run in ({pruned})")


def _staged_rows(connection: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """The staged rows as the store holds them, in batches of at most CHUNK_ROWS."""
    texts = ", ".join(f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ') as {name}" for name in INSTANT_COLUMNS)
    return connection.execute(
        f"""
        select * replace ({texts}, slot::bigint as slot, rank::bigint as rank, offer_version::bigint as offer_version)
        from decisions.staged_offers
        order by person_id, channel, slot
        """
    ).to_arrow_reader(CHUNK_ROWS)


def _load_offers(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run, content: str) -> bool:
    """Bring the run's offers into the store where nobody reads them yet, some at a time, unless exactly these are there already.

    Gives false, and brings nothing, when readers are at the run's rows now and its content is another.
    """
    with store.transaction(settings) as serving:
        standing = serving.rows("select staged_hash, has_offers, is_current from runs where run_id = ?", (run.run_id,))
        if standing and standing[0][:2] == (content, 1):
            return True
        if standing and standing[0][2]:
            return False
        serving.execute("update runs set has_offers = 0 where run_id = ?", (run.run_id,))
    drop_rows_of_no_run(settings)
    with store.writing(settings) as writer:
        for batch in _staged_rows(connection):
            with writer.transaction() as serving:
                serving.load("offers", pa.Table.from_batches([batch]), is_last=False)
            store.let_others_in()
    store.analyse(settings, "offers")
    return True


def _replace_live_offers(connection: duckdb.DuckDBPyConnection, serving: store.Store, run: Run) -> None:
    """Other offers for the run that readers are at: all in the caller's transaction, so other writers wait for it. Only a defect needs it."""
    serving.execute("delete from offers where run_id = ?", (run.run_id,))
    serving.load("offers", _staged_rows(connection))


def _lookup_changes(
    connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run, table: str, query: str
) -> tuple[pa.Table, pa.Table]:
    """The lookups of `table` that no longer hold, and the new ones. Only a publisher changes lookups, so they stay true while it is the only one."""
    with store.reading(settings) as reader:
        standing = reader.arrow(f"select identifier_kind, identifier, person_id from {table} where valid_to_run is null")
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
    return ended, added


def _change_lookups(serving: store.Store, run: Run, table: str, ended: pa.Table, added: pa.Table) -> None:
    """End the lookups of `table` that no longer hold and add the new ones; those that stay are not written again."""
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


def _remember_lines(connection: duckdb.DuckDBPyConnection, serving: store.Store) -> None:
    """Note of every offer that was weighed which product line it is of and whether it only teaches; what earlier runs offered stays known."""
    lines = connection.execute(
        """
        select offer_id, product_line, (not bool_or(coalesce(is_promotion, true)))::bigint as is_lesson
        from decisions.ledger where product_line is not null group by all order by offer_id
        """
    ).to_arrow_table()
    if not lines.num_rows:
        return
    serving.execute("create table lines_of_run (offer_id text, product_line text, is_lesson bigint)")
    serving.load("lines_of_run", lines)
    serving.execute("delete from offer_lines where offer_id in (select offer_id from lines_of_run)")
    serving.execute("insert into offer_lines (offer_id, product_line) select offer_id, product_line from lines_of_run")
    serving.execute("delete from lessons where offer_id in (select offer_id from lines_of_run)")
    serving.execute("insert into lessons (offer_id) select offer_id from lines_of_run where is_lesson = 1")
    serving.execute("drop table lines_of_run")


def _end_suppressions(serving: store.Store, run: Run) -> int:
    """End the suppressions whose cause the run has taken into account itself, a rollback's masks and a market's; those it did not know stand.

    A mask is about rows of one earlier run: those that go live now have passed their own audit.
    """
    known = "(cause in (select cause from known_deliveries where run_id = ?) or reason_kind in ('rollback', 'market'))"
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
    """Take the offers of all but the latest runs out of reach; their rows are dropped after the pointer has moved."""
    kept = f"select run_id from runs where has_offers = 1 order by is_current desc, as_of desc, run_id limit {KEPT_RUNS}"
    serving.execute(f"update runs set has_offers = 0 where has_offers = 1 and run_id not in ({kept})")
    for table in ("known_deliveries", "revocation_reads"):
        serving.execute(f"delete from {table} where run_id in (select run_id from runs where has_offers = 0)")
