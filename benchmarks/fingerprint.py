"""What must be the same bytes after any disturbance, as hashes."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

# The only columns that may differ between two runs of the same inputs: wall clocks.
WALL_CLOCK = {"runs": ["published_at"]}


def published_files(folder: Path) -> dict[str, str]:
    """sha256 of every published file below `folder`, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def serving_store(path: Path) -> dict[str, str]:
    """sha256 over all rows, ordered, of every table of the serving store, without the wall-clock columns."""
    hashes: dict[str, str] = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table' order by 1")]
        for table in tables:
            if table.startswith("sqlite_"):
                continue
            columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            kept = ", ".join(column for column in columns if column not in WALL_CLOCK.get(table, []))
            digest = hashlib.sha256()
            for row in connection.execute(f"select {kept} from {table} order by {kept}"):
                digest.update(repr(row).encode())
            hashes[table] = digest.hexdigest()
    return hashes


def key_map(warehouse: Path) -> str:
    """A hash of the append-only key map, order aside."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        rows = connection.execute("select * from state.key_map order by all").fetchall()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def of_state(state_dir: Path) -> dict[str, str]:
    """Every hash of one state folder: published files, serving store, key map."""
    return {
        **{f"published/{name}": value for name, value in published_files(state_dir / "published").items()},
        **{f"serving/{name}": value for name, value in serving_store(state_dir / "serving" / "offers.sqlite").items()},
        "key_map": key_map(state_dir / "warehouse" / "candor.duckdb"),
    }
