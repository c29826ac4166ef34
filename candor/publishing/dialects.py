"""What SQLite and PostgreSQL call differently, and nothing else: connecting, the lock of the one writer, now, placeholders, texts.

All that is written here goes through ADBC: the same calls and bulk loading on both. For SQLite never Python's own sqlite3 beside it: the two carry
their own copies of SQLite, and two copies in one process on one file undo each other's locks.
"""

from __future__ import annotations

import fcntl
import itertools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from candor.errors import CandorError, UsageError
from candor.settings import without_password

if TYPE_CHECKING:
    from candor.settings import Settings

# How long a writer waits for another writer: longer than publishing millions of rows takes on a busy machine.
LOCK_TIMEOUT_MS = 600_000

# How often a writer of SQLite looks whether it may begin. SQLite has no queue: who waits must find the moment between two transactions.
POLL_S = 0.01

# A server that does not answer is unreachable after this long, unless the URL says otherwise.
CONNECT_TIMEOUT_S = 10


class Dialect(Protocol):
    """One kind of serving store."""

    text: str  # the type of a text that compares byte by byte
    now: str  # the present instant, as the store writes instants
    make_view: str  # how a view is made that may be there
    names: str  # a query for the names of what is in the store
    row: str  # what names a row of a table as long as it is not written

    def connect(self, *, autocommit: bool) -> Any:
        """An ADBC connection. Raises CandorError, without the password, when there is none to be had."""

    def exists(self) -> bool:
        """Whether there is a store to read. Raises CandorError when that cannot be known."""

    def make(self) -> None:
        """Make the place where the tables will be, where need be."""

    def lock(self, connection: Any, *, has_tables: bool) -> None:
        """Wait until no other writer is at work, and keep others waiting until the transaction ends. Readers never wait."""

    def only_publisher(self) -> AbstractContextManager[None]:
        """Wait until nobody else is in it. Whoever is killed has left it."""

    def placeholders(self, sql: str) -> str:
        """`sql`, whose parameters are written `?`, as the database wants it."""

    def loaded(self, table: str) -> list[str]:
        """What to run after many rows were loaded into `table`."""


def of(settings: Settings) -> Dialect:
    """The dialect of the store that the settings name. Raises UsageError for a store of another kind."""
    scheme, _, rest = settings.serving_url.partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        return SQLite(Path(rest[1:]))
    if scheme == "postgresql":
        return PostgreSQL(settings.serving_url)
    raise UsageError(
        f"the serving store cannot be {scheme}, only sqlite or postgresql",
        hint="unset CANDOR_SERVING_URL, or set it to sqlite:/// and an absolute path, or to postgresql://user@host/database",
    )


@dataclass(frozen=True)
class SQLite:
    """A file in WAL mode: readers see what was committed when they began, and never wait."""

    file: Path
    text = "text"
    now = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"
    make_view = "create view if not exists"
    names = "select name from sqlite_master"
    row = "rowid"

    def connect(self, *, autocommit: bool) -> Any:
        from adbc_driver_sqlite import dbapi

        connection = dbapi.connect(str(self.file), autocommit=autocommit)
        _run(connection, f"pragma busy_timeout = {LOCK_TIMEOUT_MS}")
        return connection

    def exists(self) -> bool:
        return self.file.is_file()

    def make(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.connect(autocommit=True) as connection:
            _run(connection, "pragma journal_mode = wal")

    def lock(self, connection: Any, *, has_tables: bool) -> None:
        # SQLite does not wait when a reading transaction turns into a writing one after somebody else wrote: it writes, nothing, at once.
        # Its own waiting sleeps up to 100 ms, longer than a publisher leaves between two of its transactions.
        if not has_tables:
            return
        _run(connection, f"pragma busy_timeout = {int(POLL_S * 1000)}")
        give_up = time.monotonic() + LOCK_TIMEOUT_MS / 1000
        while True:
            try:
                _run(connection, "delete from runs where false")
            except Exception as error:
                if "locked" not in str(error):
                    raise
                if time.monotonic() > give_up:
                    raise _waited_too_long() from error
                connection.rollback()
            else:
                break
        _run(connection, f"pragma busy_timeout = {LOCK_TIMEOUT_MS}")

    @contextmanager
    def only_publisher(self) -> Iterator[None]:
        give_up = time.monotonic() + LOCK_TIMEOUT_MS / 1000
        with self.file.with_name(f"{self.file.name}.publisher").open("w") as held:
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    if time.monotonic() > give_up:
                        raise _waited_too_long() from error
                    time.sleep(POLL_S)
                else:
                    break
            yield

    def placeholders(self, sql: str) -> str:
        return sql

    def loaded(self, table: str) -> list[str]:
        return []


@dataclass(frozen=True)
class PostgreSQL:
    """A database, or a schema of one (`?options=-csearch_path%3Dname`): readers see what was committed, and never wait."""

    url: str
    text = 'text collate "C"'
    now = """to_char(statement_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
    make_view = "create or replace view"
    names = """
        select pg_class.relname::text
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where pg_namespace.nspname = current_schema()
    """
    row = "ctid"

    def connect(self, *, autocommit: bool) -> Any:
        import adbc_driver_manager
        from adbc_driver_manager import dbapi

        try:
            database = _database(self._complete_url())
            # One at a time: a database of ADBC counts its connections without a lock.
            with _CONNECTING:
                connection = adbc_driver_manager.AdbcConnection(database._db)
            return dbapi.Connection(database, connection, autocommit=autocommit)
        except dbapi.Error as error:
            raise CandorError(
                f"the serving store {without_password(self.url)} cannot be reached: {self._reason(error)}",
                hint="is the server up, and do host, database, user and password in CANDOR_SERVING_URL hold?",
            ) from None  # what the driver says may hold the password

    def exists(self) -> bool:
        with self.connect(autocommit=True) as connection:
            return "runs" in {name for (name,) in _run(connection, self.names)}

    def make(self) -> None:
        """Nothing to make: a database is made by whoever runs the server. Raises CandorError when it is not there."""
        self.connect(autocommit=True).close()

    def lock(self, connection: Any, *, has_tables: bool) -> None:
        self._wait(connection, "candor serving store ")

    @contextmanager
    def only_publisher(self) -> Iterator[None]:
        with self.connect(autocommit=False) as connection:
            self._wait(connection, "candor publisher ")
            yield
            connection.rollback()

    def _wait(self, connection: Any, lock: str) -> None:
        """Take the lock of that name, which ends with the transaction; who waited longest is next."""
        # Under read committed what is read after the wait is what the other writer committed.
        _run(connection, "set transaction isolation level read committed")
        _run(connection, f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
        # The server notices within a second that a writer was killed, also in the middle of a long statement, and lets the next one in.
        _run(connection, "set local client_connection_check_interval = 1000")
        _wait(connection, f"select pg_advisory_xact_lock(hashtextextended('{lock}' || current_schema(), 0))::text")

    def placeholders(self, sql: str) -> str:
        numbers = itertools.count(1)
        return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)

    def loaded(self, table: str) -> list[str]:
        return [f"analyze {table}"]  # without it readers are planned by the size that the table had before

    def _complete_url(self) -> str:
        given = dict(parse_qsl(self.url.partition("?")[2], keep_blank_values=True))
        defaults = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "candor"}
        missing = "&".join(f"{name}={value}" for name, value in defaults.items() if name not in given)
        return f"{self.url}{'&' if given else '?'}{missing}" if missing else self.url

    def _reason(self, error: Exception) -> str:
        reason = str(error).replace("IO: [libpq] Failed to connect: ", "").strip()
        parts = urlsplit(self.url)
        secrets = [unquote(parts.password or ""), parts.password, dict(parse_qsl(parts.query)).get("password")]
        for secret in filter(None, secrets):
            reason = reason.replace(secret, "***")
        return reason


_CONNECTING = threading.Lock()


@lru_cache(maxsize=8)
def _database(url: str) -> Any:
    """The driver's database at a URL, kept as long as the process lives. Raises dbapi.Error, and is tried again, when there is none.

    Making one connects and asks the server for all of its types: ten times what a connection takes, and a publication needs a dozen. It
    holds no connection open.
    """
    import adbc_driver_postgresql
    from adbc_driver_manager import dbapi

    return dbapi._SharedDatabase(adbc_driver_postgresql.connect(url))


def _run(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement and take what it gives: the next one may only begin then."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def _wait(connection: Any, sql: str) -> None:
    """Run the statement that takes the lock. Raises CandorError when another writer does not give it up in time."""
    from adbc_driver_manager import dbapi

    try:
        _run(connection, sql)
    except dbapi.Error as error:
        if "lock" not in str(error):
            raise
        raise _waited_too_long() from error


def _waited_too_long() -> CandorError:
    return CandorError(
        f"another writer has held the lock of the serving store for {LOCK_TIMEOUT_MS / 1000:g} seconds",
        hint="see whether a publisher hangs; nothing was written and yesterday's offers are still live, so call again",
    )
