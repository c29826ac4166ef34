"""What must be the same bytes after any disturbance, as hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb

from benchmarks import channel

# The only columns that may differ between two runs of the same inputs: wall clocks.
WALL_CLOCK = {"runs": ["published_at"]}


def published_files(folder: Path) -> dict[str, str]:
    """sha256 of every published file below `folder`, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


def chain(folder: Path) -> dict[str, str]:
    """sha256 of every entry of the chain of published runs."""
    return {f"chain/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.json"))}


def serving_store(store: Path | str) -> dict[str, str]:
    """sha256 over all rows, ordered, of every table of the serving store, without the wall-clock columns; empty without a store.

    `store` is SQLite's file or a URL; the same rows give the same hashes on SQLite and on PostgreSQL.
    """
    hashes: dict[str, str] = {}
    if not channel.is_there(store):
        return hashes
    with channel.read(store) as reader:
        for table in reader.tables():
            kept = [column for column in reader.columns(table) if column not in WALL_CLOCK.get(table, [])]
            order = ", ".join(f"{column} nulls first" for column in kept)
            digest = hashlib.sha256()
            for row in reader.each(f"select {', '.join(kept)} from {table} order by {order}"):
                digest.update(repr(row).encode())
            hashes[table] = digest.hexdigest()
    return hashes


def state_tables(warehouse: Path) -> dict[str, str]:
    """A hash of the append-only tables that decide later runs (key map, arms, past decisions), order of rows aside."""
    hashes: dict[str, str] = {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        present = {
            row[0]
            for row in connection.execute("select table_name from duckdb_tables() where schema_name = 'state'").fetchall()
        }
        for table in ("key_map", "arms", "decisions"):
            if table in present:
                rows = connection.execute(f"select * from state.{table} order by all").fetchall()
                hashes[f"state/{table}"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return hashes


def of_state(state_dir: Path, store: str | None = None) -> dict[str, str]:
    """Every hash of one state folder: published files of both faces and their chain, serving store, key map, arms and past decisions.

    `store` is the URL of a serving store that is not the folder's own.
    """
    restricted = published_files(state_dir / "restricted" / "published")
    return {
        **{f"published/{name}": value for name, value in published_files(state_dir / "published").items()},
        **{f"restricted/{name}": value for name, value in restricted.items()},
        **chain(state_dir / "published" / "chain"),
        **{f"serving/{name}": value for name, value in serving_store(store or state_dir / "serving" / "offers.sqlite").items()},
        **state_tables(state_dir / "warehouse" / "candor.duckdb"),
    }


def raw(state_dir: Path) -> dict[str, str]:
    """What ingest made: per table the multiset of its rows with their deliveries, the quarantine, and what was registered."""
    hashes: dict[str, str] = {}
    with duckdb.connect() as connection:
        for face in ("raw", "quarantine", "restricted/raw", "restricted/quarantine"):
            for folder in sorted(path for path in (state_dir / face).glob("*/*") if path.is_dir()):
                if not any(folder.glob("*.parquet")):
                    continue
                rows = connection.execute(
                    "select filename[-24:], count(*), sum(hash(columns(* exclude (filename)))::hugeint) "
                    f"from read_parquet('{folder}/*.parquet', filename = true, union_by_name = true) group by all order by all"
                ).fetchall()
                hashes[folder.relative_to(state_dir).as_posix()] = hashlib.sha256(repr(rows).encode()).hexdigest()
    with duckdb.connect(str(state_dir / "warehouse" / "candor.duckdb"), read_only=True) as connection:
        rows = connection.execute("select * exclude (landed_seq) from state.deliveries order by all").fetchall()
        hashes["state/deliveries"] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return hashes
