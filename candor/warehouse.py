"""Connections to the warehouse and the vault, always with the same settings.

One process holds the file at a time; every Airflow task that comes here shares a one-slot pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


@contextmanager
def connect(settings: Settings, *, restricted: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-write connection to the warehouse, closed on leaving; with `restricted`, the vault attached as `vault`."""
    import duckdb

    paths = [settings.warehouse_path] + ([settings.vault_path] if restricted else [])
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if path == settings.vault_path else 0o777)
    if restricted:
        settings.restricted_dir.chmod(0o700)
    connection = duckdb.connect(str(settings.warehouse_path))
    try:
        configure(connection, settings)
        if restricted:
            connection.execute(f"attach '{settings.vault_path}' as vault")
        yield connection
    finally:
        connection.close()


@contextmanager
def scratch(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory connection configured like the warehouse, for work that must not open the file."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        configure(connection, settings)
        yield connection
    finally:
        connection.close()


def configure(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """UTC, no extension downloads, our share of the machine, spill files under the state folder."""
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    connection.execute("set timezone = 'UTC'")
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    connection.execute(f"set threads = {settings.threads}")
    connection.execute(f"set memory_limit = '{settings.memory_limit}'")
    connection.execute(f"set temp_directory = '{settings.tmp_dir}'")
    connection.execute("set enable_progress_bar = false")


def one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The only row of a query that always has one, such as a count."""
    row = connection.execute(query).fetchone()
    assert row is not None, query
    return row


def utc(as_of: datetime) -> datetime:
    """`as_of` as a naive UTC datetime, the form kept in the warehouse. Raises UsageError without a zone."""
    if as_of.tzinfo is None:
        raise UsageError(f"as_of must carry a time zone: {as_of.isoformat()}", hint="write 2026-11-23T15:00:00Z")
    return as_of.astimezone(UTC).replace(tzinfo=None)


def sql_timestamp(as_of: datetime) -> str:
    """`as_of` as a SQL literal in UTC."""
    return f"timestamp '{utc(as_of):%Y-%m-%d %H:%M:%S.%f}'"


def instant_text(instant: datetime) -> str:
    """An aware instant as text, as the serving store and files of the state folder have it: 2026-11-23T15:00:00Z."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
