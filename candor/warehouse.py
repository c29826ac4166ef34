"""Connections to the warehouse and the vault, always with the same settings.

One process holds the file at a time; every Airflow task that comes here shares a one-slot pool.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from candor.settings import Settings

# To open a file costs some 50 ms of processor, whatever is in it, and a small shop's day opened it a hundred times. What DuckDB keeps in memory of
# a file that stays open is at most the file: up to this size it does not matter; a larger one is given up between any two uses, as before.
HELD_UP_TO_BYTES = 1_000_000_000
# Below this size the statements are so short that sharing one among threads costs more than it saves: a quarter of the processor time
# of 2,500 people's day, in no less time, since dbt asks for two models at once anyway.
ONE_THREAD_UP_TO_BYTES = 250_000_000


@dataclass(frozen=True)
class Held:
    """A warehouse that this process holds open: by which connection, and what it was opened with."""

    connection: duckdb.DuckDBPyConnection
    threads: int
    config: Mapping[str, str]


_HELD: dict[Path, Held] = {}


@contextmanager
def connect(settings: Settings, *, restricted: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-write connection to the warehouse, closed on leaving; with `restricted`, the vault attached as `vault`."""
    import duckdb

    paths = [settings.warehouse_path] + ([settings.vault_path] if restricted else [])
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if path == settings.vault_path else 0o777)
    if restricted:
        settings.restricted_dir.chmod(0o700)
    holder = _HELD.get(settings.warehouse_path)
    # Two connections of one process share a file only when they ask for it in the same words.
    connection = duckdb.connect(str(settings.warehouse_path), config=dict(holder.config) if holder else {})
    try:
        configure(connection, settings)
        if restricted:
            connection.execute(f"attach if not exists '{settings.vault_path}' as vault")
        yield connection
    finally:
        connection.close()
        if restricted:
            detach_vault(settings)


@contextmanager
def reading(settings: Settings, *, restricted: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that only reads, which several processes may have at once while none writes; `restricted` as in `connect`."""
    import duckdb

    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        configure(connection, settings)
        if restricted:
            connection.execute(f"attach '{settings.vault_path}' as vault (read_only)")
        yield connection


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Until it is left, the warehouse of a small shop stays open in this process, so that `connect` and dbt need not open it anew each time.

    The vault is attached for as long as somebody asks for it and no longer. Nobody may open the file otherwise meanwhile: not read-only either.
    """
    import duckdb

    path = settings.warehouse_path
    if path in _HELD or _size(settings) > HELD_UP_TO_BYTES:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    threads = threads_for(settings)
    config = _open_config(settings, threads)
    _HELD[path] = Held(duckdb.connect(str(path), config=dict(config)), threads, config)
    try:
        yield
    finally:
        _HELD.pop(path).connection.close()


def threads_for(settings: Settings) -> int:
    """How many threads DuckDB may use for one statement: one while the shop is small, else as many as the settings say."""
    if holder := _HELD.get(settings.warehouse_path):
        return holder.threads
    return 1 if _size(settings) <= ONE_THREAD_UP_TO_BYTES else settings.threads


def _size(settings: Settings) -> int:
    """Bytes of the warehouse, the vault and all that a stage may bring into them; of a large shop at least as many as are asked about."""
    total = sum(path.stat().st_size for path in (settings.warehouse_path, settings.vault_path) if path.is_file())
    for folder in (settings.raw_dir, settings.restricted_raw_dir, settings.landing_dir):
        for root, _, names in os.walk(folder):
            if total > HELD_UP_TO_BYTES:
                return total
            for name in names:
                with suppress(OSError):  # a delivery being moved in, or one that this account may not read: of no size here
                    total += os.stat(os.path.join(root, name)).st_size
    return total


def detach_vault(settings: Settings) -> None:
    """See to it that a warehouse which is held open has no vault attached."""
    if holder := _HELD.get(settings.warehouse_path):
        holder.connection.execute("detach database if exists vault")


def _open_config(settings: Settings, threads: int) -> dict[str, str]:
    """What dbt opens the file with: `config_options` of dbt_project/profiles.yml, word by word."""
    return {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "threads": str(threads),
        "memory_limit": settings.memory_limit,
        "temp_directory": str(settings.tmp_dir),
    }


@contextmanager
def scratch(settings: Settings, *, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory connection configured like the warehouse, for work that must not open the file; `threads` for work on other files."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        configure(connection, settings)
        if threads is not None:
            connection.execute(f"set threads = {threads}")
        yield connection
    finally:
        connection.close()


def configure(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """UTC, no extension downloads, our share of the machine, spill files under the state folder."""
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    connection.execute("set timezone = 'UTC'")
    connection.execute("set autoinstall_known_extensions = false")
    connection.execute("set autoload_known_extensions = false")
    connection.execute(f"set threads = {threads_for(settings)}")
    connection.execute(f"set memory_limit = '{settings.memory_limit}'")
    # DuckDB refuses to be told again once it has spilled, even to the same folder, and a file that is held has been told before.
    if one_row(connection, "select current_setting('temp_directory')")[0] != str(settings.tmp_dir):
        connection.execute(f"set temp_directory = '{settings.tmp_dir}'")
    connection.execute("set enable_progress_bar = false")
    # dbt turns it off, and it belongs to the file that is open, not to the connection.
    connection.execute("set preserve_insertion_order = true")


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
