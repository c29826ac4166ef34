"""A serving store as a channel reads it: Python's own sqlite3 or psycopg, never the code that writes it.

No process may hold this and `candor.publishing` open on one SQLite file at once (`candor/publishing/dialects.py` says why).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

Errors = (sqlite3.Error, psycopg.Error)


class Channel:
    """A connection; parameters are written `?` on both stores."""

    def __init__(self, connection: sqlite3.Connection | psycopg.Connection[Any]) -> None:
        self._connection: Any = connection
        self.is_sqlite = isinstance(connection, sqlite3.Connection)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return list(self.each(sql, *parameters))

    def each(self, sql: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one after the other."""
        yield from self._connection.execute(self._in_its_words(sql), parameters)

    def write(self, sql: str, *parameters: Any) -> None:
        """Run one statement, committed at once."""
        self._connection.execute(self._in_its_words(sql), parameters)

    def begin(self) -> None:
        """From here on every query sees the same moment, until `end`."""
        self._connection.execute("begin" if self.is_sqlite else "begin isolation level repeatable read read only")

    def end(self) -> None:
        """The end of what `begin` began."""
        self._connection.execute("rollback")

    def tables(self) -> list[str]:
        """The names of its tables, in order."""
        listed = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        if not self.is_sqlite:
            listed = "select tablename from pg_tables where schemaname = current_schema()"
        return sorted(row[0] for row in self._connection.execute(listed))

    def columns(self, table: str) -> list[str]:
        """The columns of a table, in order."""
        return [column[0] for column in self._connection.execute(f"select * from {table} limit 0").description]

    def has_live_offers(self) -> bool:
        """Whether the store was ever prepared."""
        there = (
            "select 1 from sqlite_master where name = 'live_offers'" if self.is_sqlite else "select to_regclass('live_offers')"
        )
        return self.rows(there) not in ([], [(None,)])

    def _in_its_words(self, sql: str) -> str:
        return sql if self.is_sqlite else sql.replace("%", "%%").replace("?", "%s")


@contextmanager
def read(store: Path | str, *, writable: bool = False, timeout: float = 5) -> Iterator[Channel]:
    """The store, by its file or its URL; SQLite's must be there."""
    url = str(store)
    if url.startswith("postgresql://"):
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            yield Channel(connection)
    else:
        file = url.removeprefix("sqlite:///")
        mode = "rw" if writable else "ro"
        with closing(
            sqlite3.connect(f"file:{file}?mode={mode}", uri=True, timeout=timeout, isolation_level=None)
        ) as connection:
            yield Channel(connection)


def is_there(store: Path | str) -> bool:
    """Whether there is something to connect to: a server is taken to be up."""
    return str(store).startswith("postgresql://") or Path(str(store).removeprefix("sqlite:///")).is_file()
