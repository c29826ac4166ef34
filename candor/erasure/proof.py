"""What proves an erasure: every place counted again, then the whole state folder searched, logically and byte by byte.

Whatever is found must be something that the inventory says is kept. The search knows nothing of the steps that removed anything: a table, a file or
a column that they forgot is found by it.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import warehouse
from candor.erasure import inventory, removing, subjects
from candor.ingest.columns import literal, quoted

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# What is looked for everywhere: how a person is found from outside, in the clear and hashed, and their rows.
SEARCHED = (*subjects.IDENTIFIERS, "email_hash", "phone_hash", "person", "row_hash", "event", "session", "assignment")
# What is also looked for in the bytes of files.
IN_BYTES = (*subjects.IDENTIFIERS, "email_hash", "phone_hash")
_TEXT_TYPES = ("VARCHAR", "UUID", "JSON", "VARCHAR[]", "UUID[]")


def counts(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows that name the person in each place of the inventory, by the keys that it says: the warehouse is open in `connection`."""
    found: dict[str, int] = {}
    for name, table, relation in removing.tables(connection):
        for line in inventory.of(name, table):
            if line.does in ("delete", "blank"):
                found[f"{name}.{table}"] = found.get(f"{name}.{table}", 0) + removing.found_in(connection, relation, line)
            elif line.does == "clear":
                found[f"{name}.{table}"] = int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])
    found |= removing.count_raw(connection, settings)
    found |= removing.count_serving(connection, settings)
    for name, file, path in removing.published_files(settings):
        for line in inventory.of(name, file):
            if line.does == "delete":
                key = f"{name}.{file}"
                found[key] = found.get(key, 0) + removing.found_in(connection, subjects.read([path]), line)
    return found


def unknown_places(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Tables and files that are in no line of the inventory: nobody can say what an erasure does there."""
    found = [f"{name}.{table}" for name, table, _ in removing.tables(connection) if not inventory.of(name, table)]
    found += [f"{name}.{file}" for name, file, _ in removing.published_files(settings) if not inventory.of(name, file)]
    for path in _files(settings):
        relative = str(path.relative_to(settings.state_dir))
        if not inventory.of("state", relative):
            found.append(f"state.{relative}")
    return sorted(set(found))


def _files(settings: Settings, *, landing: bool = False) -> Iterator[Path]:
    """Every file of the state folder; the sources' own folder only when asked for, the folders of the erasure at work never."""
    for folder, names, files in os.walk(settings.state_dir):
        here = Path(folder)
        names[:] = sorted(
            name
            for name in names
            if (landing or here / name != settings.landing_dir)
            and not (here == settings.restricted_dir / "erasures" and name.startswith("plan-"))
        )
        yield from (here / name for name in sorted(files))


def _search(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, int]:
    """{column/kind: values} of one relation that are, or have in them, one of the person's terms."""
    parts = []
    for column, kind_of_type in [
        (row[0], row[1]) for row in connection.execute(f"describe select * from {relation}").fetchall()
    ]:
        if kind_of_type in _TEXT_TYPES:
            value = f"{'unnest(' if kind_of_type.endswith('[]') else '('}{quoted(column)})::varchar"
            parts.append(
                f"select {literal(column)} as name, {value} as value from {relation} where {quoted(column)} is not null"
            )
    if not parts:
        return {}
    rows = connection.execute(
        f"""
        with there as ({" union all ".join(parts)})
        select there.name, coalesce(terms.kind, 'within'), count(*)
        from there
        left join erased_search as terms on there.value = terms.value
        where terms.kind is not null or (length(there.value) >= 8 and regexp_matches(there.value, getvariable('erased_pattern')))
        group by all order by all
        """
    ).fetchall()
    return {f"{name}/{kind}": int(count) for name, kind, count in rows}


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """What a search looks for, from the terms in `connection`."""
    kinds = list(SEARCHED)
    connection.execute("create or replace temp table erased_search as select distinct kind, value from erased_terms where kind in (select unnest(?))",
                       [kinds])  # fmt: skip
    connection.execute(
        "insert into erased_search select 'row_hash', replace(value, '-', '') from erased_terms where kind = 'row_hash'"
    )
    connection.execute(
        "insert into erased_search select kind, value from erased_written where value not in (select value from erased_search)"
    )
    connection.execute("set variable erased_pattern = ?", [subjects.pattern(connection)])


def search(connection: duckdb.DuckDBPyConnection, settings: Settings) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(what was found though nothing says that it is kept, how much was searched). `connection` has the terms, and no database attached."""
    prepare(connection)
    rests: list[dict[str, Any]] = []
    searched = {"tables": 0, "files": 0, "bytes": 0}

    def told(store: str, name: str, found: dict[str, int]) -> None:
        for where, count in found.items():
            column, _, kind = where.rpartition("/")
            if kind == "person" and _may_have_person_ids(store, name):
                continue
            if store == "state" and name.startswith("restricted/held/"):
                continue
            rests.append({"store": store, "name": name, "column": column, "kind": kind, "values": count})

    for store, path in (("warehouse", settings.warehouse_path), ("vault", settings.vault_path)):
        if not path.is_file():
            continue
        connection.execute(f"attach {literal(str(path))} as searched (read_only)")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'searched' order by all"
        ).fetchall():
            told(store, f"{schema}.{table}", _search(connection, f"searched.{quoted(schema)}.{quoted(table)}"))
            searched["tables"] += 1
        connection.execute("detach searched")
    values = connection.execute("select kind, value from erased_search").fetchall()
    needles = [
        (kind, form.encode())
        for kind, value in connection.execute(
            "select kind, value from erased_search where kind in (select unnest(?)) order by all", [[*IN_BYTES]]
        ).fetchall()
        for form in {value, value.lower()}
        if len(value) >= 8
    ]
    for path in _files(settings):
        name = str(path.relative_to(settings.state_dir))
        searched["files"] += 1
        searched["bytes"] += path.stat().st_size
        if path.suffix == ".parquet":
            store, file = _published_name(settings, path) or ("state", name)
            told(store, file, _search(connection, subjects.read([path])))
        elif _is_sqlite(path):
            for table, found in _search_sqlite(path, values).items():
                told("serving" if path.parent.name == "serving" else "state", table, found)
                searched["tables"] += 1
        told("state", name, _search_bytes(path, needles))
    if settings.serving_url.startswith("postgresql"):
        for table, count in removing.count_serving(connection, settings).items():
            told("serving", table, {"person_id/person": count} if count else {})
    return rests, searched


def _may_have_person_ids(store: str, name: str) -> bool:
    """Whether the decision log has its rows there."""
    if store in ("published", "restricted"):
        return any(line.does == "keep" for line in inventory.of(store, name))
    return False


def _published_name(settings: Settings, path: Path) -> tuple[str, str] | None:
    for store, folder in (("published", settings.published_dir), ("restricted", settings.restricted_published_dir)):
        if path.is_relative_to(folder) and len(path.relative_to(folder).parts) > 1:
            return store, str(Path(*path.relative_to(folder).parts[1:]).with_suffix(""))
    return None


def _is_sqlite(path: Path) -> bool:
    if path.suffix not in (".sqlite", ".db"):
        return False
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def _search_sqlite(path: Path, values: list[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """{table: {column/kind: rows}} of an SQLite file."""
    found: dict[str, dict[str, int]] = {}
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        connection.execute("pragma temp_store = memory")
        connection.execute("create temp table wanted (kind text, value text)")
        connection.executemany("insert into wanted values (?, ?)", values)
        connection.execute("create index wanted_by_value on wanted (value)")
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in connection.execute(f"pragma table_info({quoted(table)})").fetchall():
                for kind, count in connection.execute(
                    f"select wanted.kind, count(*) from {quoted(table)} as there inner join wanted on there.{quoted(row[1])} = wanted.value "
                    "group by wanted.kind"
                ).fetchall():
                    found.setdefault(table, {})[f"{row[1]}/{kind}"] = count
    finally:
        connection.close()
    return found


def _search_bytes(path: Path, needles: list[tuple[str, bytes]]) -> dict[str, int]:
    """{bytes/kind: needles that are somewhere in the file}."""
    if path.stat().st_size == 0:
        return {}
    found: dict[str, int] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for kind, needle in needles:
            if content.find(needle) >= 0:
                found[f"bytes/{kind}"] = found.get(f"bytes/{kind}", 0) + 1
    return found


def landed(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """How many delivery folders of the sources name the person in the clear: theirs to erase."""
    needles = [
        (kind, value.encode())
        for kind, value in connection.execute(
            "select distinct kind, value from erased_terms where kind in (select unnest(?)) and length(value) >= 8",
            [list(subjects.IDENTIFIERS)],
        ).fetchall()
    ]
    folders = set()
    by_table: dict[Path, list[Path]] = {}
    for path in sorted(settings.landing_dir.rglob("*")):
        if path.suffix == ".parquet":
            by_table.setdefault(path.parent.parent, []).append(path)
        elif path.is_file() and _search_bytes(path, needles):
            folders.add(path.parent)
    for paths in by_table.values():
        files = f"read_parquet([{', '.join(literal(str(path)) for path in paths)}], union_by_name = true, filename = true, hive_partitioning = false)"
        columns = [
            row[0]
            for row in connection.execute(f"describe select * from {files}").fetchall()
            if row[1] == "VARCHAR" and row[0] != "filename"
        ]
        if columns:
            named = " or ".join(f"trim({quoted(column)}) in (select value from erased_search)" for column in columns)
            folders |= {
                Path(row[0]).parent
                for row in connection.execute(f"select distinct filename from {files} where {named}").fetchall()
            }
    return len(folders)


def raw_verified(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Deliveries whose rows, with the sums of what was erased, are not those that their content hash was made of; none is as it should be."""
    import hashlib

    from candor.contract import load as load_contract
    from candor.ingest.landing import MULTISET

    connection.execute(removing.ERASED_ROWS)
    broken = []
    for table in load_contract().tables:
        paths = [*subjects.segments(settings, table), *subjects.refused(settings, table)]
        if not paths:
            continue
        parts = " union all ".join(
            f"select {literal(path.stem)} as segment, _extracted_at, n, upper_sum, lower_sum from "
            f"(select _extracted_at, {MULTISET} from {subjects.read([path])} group by _extracted_at)"
            for path in paths
        )
        rows = connection.execute(
            f"""
            with there as (
                select segment, _extracted_at, sum(n) as n,
                    sum(upper_sum::decimal(38, 0)) as upper_sum, sum(lower_sum::decimal(38, 0)) as lower_sum
                from ({parts}) group by segment, _extracted_at
            ),
            gone as (
                select delivery_id, sum(rows_loaded + rows_quarantined) as n,
                    sum(upper_sum::decimal(38, 0)) as upper_sum, sum(lower_sum::decimal(38, 0)) as lower_sum
                from state.erased_rows group by delivery_id
            )
            select deliveries.delivery_id, deliveries.content_hash, deliveries.is_complete, deliveries.covers_from, deliveries.covers_to,
                coalesce(there.n, 0) + coalesce(gone.n, 0),
                coalesce(there.upper_sum, 0) + coalesce(gone.upper_sum, 0),
                coalesce(there.lower_sum, 0) + coalesce(gone.lower_sum, 0)
            from state.deliveries as deliveries
            left join there on deliveries.segment = there.segment and deliveries.extracted_at = there._extracted_at
            left join gone on deliveries.delivery_id = gone.delivery_id
            where deliveries.source = ? and deliveries.table_name = ?
            order by deliveries.delivery_id
            """,
            [table.source, table.name],
        ).fetchall()
        for delivery_id, content_hash, is_complete, covers_from, covers_to, n, upper, lower in rows:
            claim = f"|{covers_from}|{covers_to}" if is_complete else ""
            if hashlib.sha256(f"{int(n)}|{int(upper)}|{int(lower)}{claim}".encode()).hexdigest() != content_hash:
                broken.append(delivery_id)
    return broken


def open_terms(settings: Settings, folder: Path) -> Any:
    """An in-memory connection with the terms of a plan, to search with."""
    return _Terms(settings, folder)


class _Terms:
    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        self._context = warehouse.scratch(self._settings)
        connection = self._context.__enter__()
        load_terms(connection, self._folder)
        return connection

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


TERM_TABLES = ("erased_terms", "erased_members", "erased_written", "erased_shared", "erased_sums")


def load_terms(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The tables of a plan, as they were when it was made."""
    for name in TERM_TABLES:
        connection.execute(
            f"create or replace temp table {name} as select * from read_parquet({literal(str(folder / f'{name}.parquet'))})"
        )
    connection.execute("set variable erased_pattern = ?", [subjects.pattern(connection)])
