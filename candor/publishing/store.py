"""The serving store: its tables, and the transactions in which runs are loaded and go live.

A file of SQLite or a database of PostgreSQL, by CANDOR_SERVING_URL; `candor.publishing.dialects` has what differs. Instants are text in UTC,
`2026-11-23T15:00:00Z`, which compares as time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from candor.publishing import dialects

if TYPE_CHECKING:
    import pyarrow as pa

    from candor.publishing.dialects import Dialect
    from candor.settings import Settings

# `{text}`, `{now}` and `{make_view}` are the dialect's. Whole numbers are bigint: loading them wants 64 bits, as Arrow has them.
TABLES = (
    """
    create table if not exists runs (
        run_id {text} primary key, as_of {text} not null, published_at {text} not null, is_current bigint not null,
        rows bigint not null, people bigint not null, counts {text} not null, audit {text} not null, staged_hash {text} not null,
        has_offers bigint not null, model_version {text}, policy_version {text} not null, rolled_back_from {text}
    )
    """,
    "create unique index if not exists runs_one_current on runs (is_current) where is_current = 1",
    """
    create table if not exists offers (
        decision_id {text} not null, run_id {text} not null, person_id {text} not null, channel {text} not null, market {text}, segment {text},
        slot bigint not null, rank bigint not null, offer_id {text} not null, offer_version bigint not null,
        creative_id {text} not null, locale {text} not null, title {text} not null, body {text} not null, reason_text {text} not null,
        disclosures {text} not null, arm {text} not null, valid_from {text} not null, valid_until {text} not null, send_after {text},
        send_before {text}, model_version {text} not null, policy_version {text} not null
    )
    """,
    # Person first: with the run first SQLite scans the run for every reader.
    "create index if not exists offers_by_person on offers (person_id, run_id)",
    "create index if not exists offers_by_run on offers (run_id)",
    """
    create table if not exists person_lookup (
        identifier_kind {text} not null, identifier {text} not null, person_id {text} not null, valid_from_run {text} not null,
        valid_to_run {text}
    )
    """,
    "create index if not exists person_lookup_by_identifier on person_lookup (identifier_kind, identifier)",
    # What hangs on a weak link: restrictions find the person by it, channels do not.
    """
    create table if not exists likely_lookup (
        identifier_kind {text} not null, identifier {text} not null, person_id {text} not null, valid_from_run {text} not null,
        valid_to_run {text}
    )
    """,
    "create index if not exists likely_lookup_by_identifier on likely_lookup (identifier_kind, identifier)",
    """
    create table if not exists suppressions (
        suppression_id {text} primary key, person_id {text}, offer_id {text}, channel {text}, market {text}, segment {text},
        reason_kind {text} not null, since {text} not null, until {text}, cause {text}, ended_by_run {text}
    )
    """,
    "create index if not exists suppressions_by_person on suppressions (person_id)",
    # Which product line an offer is of: a kill switch may name the line.
    "create table if not exists offer_lines (offer_id {text} primary key, product_line {text} not null)",
    # Offers that teach and promote nothing: what stops promotions leaves them alone.
    "create table if not exists lessons (offer_id {text} primary key)",
    # What the current run already knew of the sources that can revoke, and what was read since. Folders and deliveries are keyed hashes:
    # beside a suppression, the name of a source would tell why.
    "create table if not exists known_deliveries (run_id {text}, folder {text}, cause {text}, primary key (run_id, cause))",
    "create table if not exists revocation_reads (run_id {text}, folder {text}, files_hash {text}, primary key (run_id, folder, files_hash))",
    """
    {make_view} live_offers as
    select offers.*
    from offers
    where offers.run_id = (select run_id from runs where is_current = 1)
        and offers.valid_from <= {now}
        and offers.valid_until > {now}
        and not exists (
            select 1 from suppressions
            where suppressions.person_id = offers.person_id
                and (suppressions.offer_id is null or suppressions.offer_id = offers.offer_id)
                and (suppressions.channel is null or suppressions.channel = offers.channel)
                and (suppressions.market is null or suppressions.market = offers.market)
                and (suppressions.segment is null or suppressions.segment = offers.segment)
                and suppressions.since <= {now}
                and (suppressions.until is null or suppressions.until > {now})
        )
        and not exists (
            select 1 from suppressions
            where suppressions.person_id is null
                and (suppressions.offer_id is null or suppressions.offer_id = offers.offer_id)
                and (suppressions.channel is null or suppressions.channel = offers.channel)
                and (suppressions.market is null or suppressions.market = offers.market)
                and (suppressions.segment is null or suppressions.segment = offers.segment)
                and suppressions.since <= {now}
                and (suppressions.until is null or suppressions.until > {now})
        )
    """,
)

# What a store has that is ready: the names in the statements above.
NAMES = {re.search(r"(?:if not exists|\{make_view\}) (\w+)", statement).group(1) for statement in TABLES}  # type: ignore[union-attr]


class Store:
    """A connection to the serving store, inside a transaction."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        """Run one statement that gives no rows; a parameter is written `?`."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._dialect.placeholders(sql), parameters)

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, for small answers."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._dialect.placeholders(sql), parameters)
            return cursor.fetchall()

    def arrow(self, sql: str, parameters: tuple[Any, ...] = ()) -> pa.Table:
        """All rows of a query, for large answers."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._dialect.placeholders(sql), parameters)
            return cursor.fetch_arrow_table()

    def load(self, table: str, data: pa.Table | pa.RecordBatchReader, *, is_last: bool = True) -> None:
        """Append `data`, whose columns are those of `table`: texts and 64-bit integers only, anything else ADBC writes in its own way.

        When more of the same follows in other transactions, `is_last` is false, and `analyse` is called after the last.
        """
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, data, mode="append")
        if is_last:
            self.analyse(table)

    def analyse(self, table: str) -> None:
        """Let the database see what size `table` has now."""
        for statement in self._dialect.loaded(table):
            self.execute(statement)

    def delete_some(self, table: str, condition: str, parameters: tuple[Any, ...], at_most: int) -> bool:
        """Delete at most so many of the rows for which `condition` holds; gives whether any are left."""
        row = self._dialect.row
        self.execute(
            f"delete from {table} where {row} in (select {row} from {table} where {condition} limit {at_most})", parameters
        )
        return bool(self.rows(f"select 1 from {table} where {condition} limit 1", parameters))


class Writer:
    """One connection for many write transactions, each open to other writers as soon as it has ended."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """A write transaction: committed on leaving, undone when anything was raised."""
        try:
            self._dialect.lock(self._connection, has_tables=True)
            yield Store(self._connection, self._dialect)
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()


def check(settings: Settings) -> None:
    """Raises UsageError for a store that nobody can use and CandorError for one that nobody can reach; writes nothing."""
    dialects.of(settings).exists()


def prepare(settings: Settings) -> None:
    """Make the store and its tables where need be. A store that has them is only looked at."""
    dialect = dialects.of(settings)
    dialect.make()
    statements = [statement.format(text=dialect.text, now=dialect.now, make_view=dialect.make_view) for statement in TABLES]
    with dialect.connect(autocommit=True) as connection:
        present = {name for (name,) in Store(connection, dialect).rows(dialect.names)}
    if present.issuperset(NAMES):
        return
    with dialect.connect(autocommit=False) as connection:
        dialect.lock(connection, has_tables=False)
        for statement in statements:
            Store(connection, dialect).execute(statement)
        connection.commit()


@contextmanager
def writing(settings: Settings) -> Iterator[Writer]:
    """The prepared store for many write transactions, one after the other."""
    dialect = dialects.of(settings)
    with dialect.connect(autocommit=False) as connection:
        yield Writer(connection, dialect)


@contextmanager
def transaction(settings: Settings) -> Iterator[Store]:
    """A write transaction on the prepared store: committed on leaving, undone when anything was raised. One writer at a time."""
    with writing(settings) as writer, writer.transaction() as store:
        yield store


def only_publisher(settings: Settings) -> AbstractContextManager[None]:
    """Wait until nobody else publishes or rolls back, and keep others waiting until it is left. Other writers, and readers, go on."""
    return dialects.of(settings).only_publisher()


def let_others_in() -> None:
    """Between two transactions of many: time enough for a writer that waits to begin."""
    time.sleep(dialects.POLL_S * 3)


def analyse(settings: Settings, table: str) -> None:
    """Let the database see what size `table` has now, keeping no writer waiting."""
    with reading(settings) as store:
        store.analyse(table)


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """The store for one query at a time: what is committed, without waiting for a writer."""
    dialect = dialects.of(settings)
    with dialect.connect(autocommit=True) as connection:
        yield Store(connection, dialect)


def list_runs(settings: Settings) -> list[dict[str, Any]]:
    """The runs in the serving store, newest as_of first; empty before anything was published."""
    if not dialects.of(settings).exists():
        return []
    columns = ["run_id", "as_of", "published_at", "is_current", "rows", "people", "model_version", "policy_version"]
    with reading(settings) as store:
        found = store.rows(f"select {', '.join(columns)} from runs order by as_of desc, run_id")
    return [dict(zip(columns, row, strict=True)) for row in found]
