"""The SQLAlchemy dialect through which Great Expectations may read DuckDB.

Great Expectations closes its connection before it fetches, and DuckDB's cursor dies with the connection: every check then fails
with "list index out of range", reported as bad data. Here each result is fetched as soon as the statement has run.
"""

from __future__ import annotations

from typing import Any

import duckdb_engine
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.pool import NullPool, Pool


class _BufferedContext(duckdb_engine.Dialect.execution_ctx_cls):  # type: ignore[valid-type,misc]
    def post_exec(self) -> None:
        super().post_exec()
        if self.cursor is not None and self.cursor.description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(self.cursor, initial_buffer=self.cursor.fetchall())


class BufferedDuckDBDialect(duckdb_engine.Dialect):
    """`duckdb+buffered:///<path>`; connect_args may hold `attach`: {name: path}, opened read-only beside the main file."""

    execution_ctx_cls = _BufferedContext
    supports_statement_cache = False

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        # Great Expectations keeps two engines per data source, and a pool would hold the file's lock after the check.
        return NullPool

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        attach = dict(cparams.pop("attach", {}))
        connection = super().connect(*cargs, **cparams)
        connection.execute("set timezone = 'UTC'")
        for name, path in sorted(attach.items()):
            connection.execute(f"attach if not exists '{path}' as {name} (read_only)")
        return connection


registry.register("duckdb.buffered", __name__, "BufferedDuckDBDialect")
