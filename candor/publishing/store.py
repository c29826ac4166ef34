"""The serving store: its tables, and the one transaction in which a run goes live.

Everything here goes through ADBC, never Python's own sqlite3: the two carry their own copies of SQLite, and two copies in one process
on one file undo each other's locks. Instants are text in UTC, `2026-11-23T15:00:00Z`, which SQLite compares as time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from candor.settings import Settings

# A reader never waits in WAL mode; a writer waits for another writer. Publishing a million people holds the write lock for seconds.
BUSY_TIMEOUT_MS = 120_000

TABLES = (
    """
    create table if not exists runs (
        run_id text primary key, as_of text not null, published_at text not null, is_current integer not null,
        rows integer not null, people integer not null, counts text not null, audit text not null, staged_hash text not null,
        has_offers integer not null, model_version text, policy_version text not null, rolled_back_from text
    )
    """,
    "create unique index if not exists runs_one_current on runs (is_current) where is_current = 1",
    """
    create table if not exists offers (
        decision_id text not null, run_id text not null, person_id text not null, channel text not null, market text, segment text,
        slot integer not null, rank integer not null, offer_id text not null, offer_version integer not null,
        creative_id text not null, locale text not null, title text not null, body text not null, reason_text text not null,
        disclosures text not null, arm text not null, valid_from text not null, valid_until text not null, send_after text,
        send_before text, model_version text not null, policy_version text not null
    )
    """,
    # Person first: with the run first SQLite scans the run for every reader.
    "create index if not exists offers_by_person on offers (person_id, run_id)",
    "create index if not exists offers_by_run on offers (run_id)",
    """
    create table if not exists person_lookup (
        identifier_kind text not null, identifier text not null, person_id text not null, valid_from_run text not null,
        valid_to_run text
    )
    """,
    "create index if not exists person_lookup_by_identifier on person_lookup (identifier_kind, identifier)",
    # What hangs on a weak link: restrictions find the person by it, channels do not.
    """
    create table if not exists likely_lookup (
        identifier_kind text not null, identifier text not null, person_id text not null, valid_from_run text not null,
        valid_to_run text
    )
    """,
    "create index if not exists likely_lookup_by_identifier on likely_lookup (identifier_kind, identifier)",
    """
    create table if not exists suppressions (
        suppression_id text primary key, person_id text, offer_id text, channel text, market text, segment text,
        reason_kind text not null, since text not null, until text, cause text, ended_by_run text
    )
    """,
    "create index if not exists suppressions_by_person on suppressions (person_id)",
    # What the current run already knew of the sources that can revoke, and what was read since. Folders and deliveries are keyed hashes:
    # beside a suppression, the name of a source would tell why.
    "create table if not exists known_deliveries (run_id text, folder text, cause text, primary key (run_id, cause))",
    "create table if not exists revocation_reads (run_id text, folder text, files_hash text, primary key (run_id, folder, files_hash))",
    """
    create view if not exists live_offers as
    select offers.*
    from offers
    where offers.run_id = (select run_id from runs where is_current = 1)
        and offers.valid_from <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
        and offers.valid_until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
        and not exists (
            select 1 from suppressions
            where suppressions.person_id = offers.person_id
                and (suppressions.offer_id is null or suppressions.offer_id = offers.offer_id)
                and (suppressions.channel is null or suppressions.channel = offers.channel)
                and (suppressions.market is null or suppressions.market = offers.market)
                and (suppressions.segment is null or suppressions.segment = offers.segment)
                and suppressions.since <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
                and (suppressions.until is null or suppressions.until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
        )
        and not exists (
            select 1 from suppressions
            where suppressions.person_id is null
                and (suppressions.offer_id is null or suppressions.offer_id = offers.offer_id)
                and (suppressions.channel is null or suppressions.channel = offers.channel)
                and (suppressions.market is null or suppressions.market = offers.market)
                and (suppressions.segment is null or suppressions.segment = offers.segment)
                and suppressions.since <= strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
                and (suppressions.until is null or suppressions.until > strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
        )
    """,
)


def path(settings: Settings) -> Path:
    """Where the SQLite file is. Raises UsageError for a store of another kind."""
    prefix = "sqlite:///"
    if not settings.serving_url.startswith(prefix):
        scheme = settings.serving_url.partition("://")[0]
        raise UsageError(
            f"the serving store cannot be {scheme} in this version, only sqlite",
            hint="unset CANDOR_SERVING_URL, or set it to sqlite:/// and an absolute path",
        )
    return Path(settings.serving_url[len(prefix) :])


class Store:
    """A connection to the serving store, inside a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        """Run one statement."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, for small answers."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def arrow(self, sql: str, parameters: tuple[Any, ...] = ()) -> pa.Table:
        """All rows of a query, for large answers."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetch_arrow_table()

    def load(self, table: str, data: pa.Table | pa.RecordBatchReader) -> None:
        """Append `data`, whose columns are those of `table`: texts and 64-bit integers only, anything else ADBC writes in its own way."""
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, data, mode="append")


def prepare(settings: Settings) -> Path:
    """The store's file, made with its tables where need be."""
    from adbc_driver_sqlite import dbapi

    file = path(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    with dbapi.connect(str(file), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.fetchall()
        cursor.execute("pragma journal_mode = wal")
        cursor.fetchall()
    with transaction(settings, making_tables=True) as store:
        for statement in TABLES:
            store.execute(statement)
    return file


@contextmanager
def transaction(settings: Settings, *, making_tables: bool = False) -> Iterator[Store]:
    """A write transaction on the prepared store: committed on leaving, undone when anything was raised."""
    from adbc_driver_sqlite import dbapi

    with dbapi.connect(str(path(settings)), autocommit=False) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
            cursor.fetchall()
        try:
            store = Store(connection)
            if not making_tables:
                # Takes the write lock now, waiting for it if need be: SQLite does not wait when a reading transaction turns into a
                # writing one after somebody else wrote.
                store.execute("delete from runs where false")
            yield store
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def list_runs(settings: Settings) -> list[dict[str, Any]]:
    """The runs in the serving store, newest as_of first; empty before anything was published."""
    if not path(settings).is_file():
        return []
    columns = ["run_id", "as_of", "published_at", "is_current", "rows", "people", "model_version", "policy_version"]
    with transaction(settings) as store:
        found = store.rows(f"select {', '.join(columns)} from runs order by as_of desc, run_id")
    return [dict(zip(columns, row, strict=True)) for row in found]
