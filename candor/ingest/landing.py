"""Landing: every new (delivery, content) pair is read once, kept for ever, and registered whole or not at all.

A table's new deliveries become one immutable segment and, where rows were refused, one quarantine file. Both are written
under another name, synced and renamed; only then one transaction registers the deliveries. A kill in between leaves a file
that nobody refers to, which the rerun writes again under the same name.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs
from candor.contract import Contract, Table
from candor.contract import load as load_contract
from candor.errors import CandorError
from candor.ingest import deliveries
from candor.ingest.columns import literal, quoted
from candor.ingest.deliveries import Folder
from candor.ingest.progress import progress
from candor.ingest.reading import File, Reading, look, mark_unreadable, queries
from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

STATE_TABLES = """
create table if not exists state.seen_folders (
    source varchar not null, table_name varchar not null, delivery varchar not null, fingerprint varchar not null,
    delivery_id varchar not null, primary key (source, table_name, delivery)
);
create table if not exists state.delivery_notes (
    delivery_id varchar not null, file varchar not null, what varchar not null, detail varchar not null, n bigint not null
);
"""
MULTISET = """
    count(*) as n,
    sum((md5_number(_row_hash::varchar) >> 64)::ubigint) as upper_sum,
    sum((md5_number(_row_hash::varchar) & 18446744073709551615::uhugeint)::ubigint) as lower_sum
"""


@dataclass(frozen=True)
class Content:
    """What one delivery was found to hold."""

    folder: Folder
    content_hash: str
    rows_read: int
    rows_loaded: int
    rows_quarantined: int
    is_complete: bool
    notes: tuple[tuple[str, str, str, int], ...]  # file, what, detail, n

    @property
    def delivery_id(self) -> str:
        return f"{self.folder.table.full_name}/{self.folder.name}@{self.content_hash[:12]}"


def raw_dir(settings: Settings, table: Table) -> Path:
    return (settings.restricted_raw_dir if table.restricted else settings.raw_dir) / table.source / table.name


def quarantine_dir(settings: Settings, table: Table) -> Path:
    base = settings.restricted_quarantine_dir if table.restricted else settings.quarantine_dir
    return base / table.source / table.name


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the state tables where they do not exist yet."""
    runs.prepare(connection)
    connection.execute(STATE_TABLES)


def empty_good(table: Table) -> str:
    """A query with the columns of `table` and no row."""
    columns = ", ".join(f"null::{column.duckdb_type} as {quoted(column.name)}" for column in table.columns)
    return (
        f"select {columns}, null::uuid as _row_hash, null::timestamp as _extracted_at, "
        "null::varchar as _file, null::bigint as _line where false"
    )


EMPTY_BAD = (
    "select null::uuid as _row_hash, null::timestamp as _extracted_at, null::varchar as _file, null::bigint as _line, "
    "null::varchar[] as reasons, null::varchar as raw where false"
)


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    connection.execute(f"copy ({query}) to {literal(str(path))} (format parquet)")


def write(
    connection: duckdb.DuckDBPyConnection, table: Table, contract: Contract, folders: list[Folder], good: Path, bad: Path
) -> Reading:
    """Read the folders and write their rows to the two Parquet files `good` and `bad`. Nothing is registered."""
    import duckdb

    files = look(connection, table, contract, folders)
    reading = queries(table, contract, files)
    try:
        _copy_all(connection, table, reading, good, bad)
    except duckdb.Error:
        if not mark_unreadable(connection, files):
            raise
        reading = queries(table, contract, files)
        _copy_all(connection, table, reading, good, bad)
    connection.execute("drop table ingest_lines")
    return reading


def _copy_all(connection: duckdb.DuckDBPyConnection, table: Table, reading: Reading, good: Path, bad: Path) -> None:
    """Read every row once; where some were refused, read those again with their reasons and take them out of `good`."""
    _copy(connection, reading.every or empty_good(table), good)
    connection.execute(
        f"""
        create or replace temp table ingest_refused as
        select _file, _line from read_parquet({literal(str(good))}) where _row_hash is null
        """
    )
    refused = connection.execute("select count(*) from ingest_refused").fetchone()
    if refused is None or not refused[0] or reading.bad is None:
        _copy(connection, EMPTY_BAD, bad)
        return
    _copy(connection, reading.bad, bad)
    only_good = good.with_name(".new-only-good.parquet")
    _copy(connection, f"select * from read_parquet({literal(str(good))}) where _row_hash is not null", only_good)
    os.replace(only_good, good)


def _content_hash(folder: Folder, is_complete: bool, counts: Iterable[tuple[int, int, int]]) -> str:
    """Independent of the order, split and format of the files: the multiset of row hashes, and what it is whole for."""
    total, upper, lower = (sum(part) for part in zip((0, 0, 0), *counts, strict=True))
    claim = f"|{folder.manifest.covers_from}|{folder.manifest.covers_to}" if is_complete else ""
    return hashlib.sha256(f"{total}|{upper}|{lower}{claim}".encode()).hexdigest()


def examine(
    connection: duckdb.DuckDBPyConnection, table: Table, folders: list[Folder], files: tuple[File, ...], good: Path, bad: Path
) -> list[Content]:
    """What each delivery holds, from what was written. Raises CandorError when a row was lost or doubled on the way."""
    per_file: dict[str, dict[str, tuple[int, int, int]]] = {"good": {}, "bad": {}}
    for which, path in (("good", good), ("bad", bad)):
        query = f"select _file, {MULTISET} from read_parquet({literal(str(path))}) group by _file"
        for name, count, upper, lower in connection.execute(query).fetchall():
            per_file[which][name] = (int(count), int(upper), int(lower))
    nothing = (0, 0, 0)
    for file in files:
        loaded, refused = per_file["good"].get(file.name, nothing)[0], per_file["bad"].get(file.name, nothing)[0]
        if file.rows != loaded + refused:
            raise CandorError(
                f"{file.name}: {file.rows} rows read, but {loaded} loaded + {refused} quarantined = {loaded + refused}",
                hint="this is a fault of ingest, not of the file; nothing of this table was registered",
            )
    repeated = _repeated_keys(connection, table, good)
    contents = []
    for folder in folders:
        own = [file for file in files if file.extracted_at == folder.extracted_at]
        counts = {which: [per_file[which].get(file.name, nothing) for file in own] for which in per_file}
        rows = sum(file.rows for file in own)
        notes = [("", what, detail, 1) for what, detail in folder.notes]
        notes += [(file.name, what, detail, file.rows) for file in own for what, detail in file.notes]
        notes += [("", what, ", ".join(table.key), n) for what, n in repeated.get(folder.extracted_at, ()) if n]
        is_complete = folder.manifest.complete and not any(file.rejected for file in own)
        if folder.manifest.rows is not None and folder.manifest.rows != rows:
            is_complete = False
            notes.append(("", "manifest_rows_differ", f"{folder.manifest.rows} promised, {rows} read", 1))
        contents.append(
            Content(
                folder=folder,
                content_hash=_content_hash(folder, is_complete, counts["good"] + counts["bad"]),
                rows_read=rows,
                rows_loaded=sum(count[0] for count in counts["good"]),
                rows_quarantined=sum(count[0] for count in counts["bad"]),
                is_complete=is_complete,
                notes=tuple(notes),
            )
        )
    return contents


def _repeated_keys(
    connection: duckdb.DuckDBPyConnection, table: Table, good: Path
) -> dict[datetime, tuple[tuple[str, int], tuple[str, int]]]:
    """Per delivery of an event table: how many rows repeat a key, and how many keys have rows that differ."""
    if table.kind != "event":
        return {}
    key = ", ".join(quoted(column) for column in table.key)
    rows = connection.execute(
        f"""
        select _extracted_at, sum(n - 1)::bigint, count(*) filter (where first_hash <> last_hash)
        from (
            select _extracted_at, count(*) as n, min(_row_hash) as first_hash, max(_row_hash) as last_hash
            from read_parquet({literal(str(good))}) group by _extracted_at, hash({key}) having count(*) > 1
        )
        group by _extracted_at
        """
    ).fetchall()
    return {at: (("duplicate_rows", int(more)), ("keys_with_different_values", int(differ))) for at, more, differ in rows}


def _sync_rename(beside: Path, final: Path) -> None:
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _known(connection: duckdb.DuckDBPyConnection, table: Table) -> tuple[dict[str, str], dict[str, str]]:
    """Fingerprints by folder as last seen, and the delivery that is current by folder (the content landed last)."""
    where = "where source = ? and table_name = ?"
    seen = connection.execute(f"select delivery, fingerprint from state.seen_folders {where}", [table.source, table.name])
    prints = dict(seen.fetchall())
    latest = connection.execute(
        f"select delivery, arg_max(delivery_id, landed_seq) from state.deliveries {where} group by delivery",
        [table.source, table.name],
    )
    return prints, dict(latest.fetchall())


def land_table(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    table: Table,
    folders: list[Folder],
    *,
    full_refresh: bool = False,
) -> list[Content]:
    """The deliveries of one table that were new, loaded and registered."""
    prints, current = _known(connection, table)
    todo = [folder for folder in folders if full_refresh or prints.get(folder.name) != folder.fingerprint]
    if not todo:
        return []
    raw, quarantine = raw_dir(settings, table), quarantine_dir(settings, table)
    for folder in (raw, quarantine):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700 if table.restricted else 0o777)
        for leftover in folder.glob(".new-*"):  # of a killed ingest: the warehouse's lock lets only one be at work
            leftover.unlink()
    good, bad = raw / ".new-good.parquet", quarantine / ".new-bad.parquet"
    reading = write(connection, table, load_contract(), todo, good, bad)
    contents = examine(connection, table, todo, reading.files, good, bad)
    where = [table.source, table.name]
    registered = {
        row[0]
        for row in connection.execute(
            "select delivery_id from state.deliveries where source = ? and table_name = ?", where
        ).fetchall()
    }
    new = [content for content in contents if content.delivery_id not in registered]
    returned = [c for c in contents if c.delivery_id in registered and current[c.folder.name] != c.delivery_id]
    segment = hashlib.sha256("\n".join(content.delivery_id for content in new).encode()).hexdigest()[:16]
    if new:
        if any(content.rows_quarantined for content in new):
            _keep(connection, bad, quarantine / f"{segment}.parquet", contents, new)
        _keep(connection, good, raw / f"{segment}.parquet", contents, new)
    for beside in (good, bad):
        beside.unlink(missing_ok=True)
    connection.execute("begin")
    try:
        _register(connection, contents, new, returned, segment)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return new


def _keep(
    connection: duckdb.DuckDBPyConnection, beside: Path, final: Path, contents: list[Content], new: list[Content]
) -> None:
    """Move a written file to its place, without the deliveries that were known already."""
    if len(new) < len(contents):
        instants = ", ".join(f"timestamp '{content.folder.extracted_at}'" for content in new)
        only_new = beside.with_name(f".new-only-{beside.name.removeprefix('.new-')}")
        _copy(connection, f"select * from read_parquet({literal(str(beside))}) where _extracted_at in ({instants})", only_new)
        os.replace(only_new, beside)
    _sync_rename(beside, final)


def _register(
    connection: duckdb.DuckDBPyConnection, contents: list[Content], new: list[Content], returned: list[Content], segment: str
) -> None:
    row = connection.execute("select coalesce(max(landed_seq), 0) from state.deliveries").fetchone()
    landed_seq = int(row[0]) if row is not None else 0
    # A source that takes a restatement back makes an older content the newest landed again.
    numbered = [(content, landed_seq + place) for place, content in enumerate([*new, *returned], start=1)]
    is_new = {content.delivery_id for content in new}
    rows = [
        (
            content.delivery_id, content.folder.table.source, content.folder.table.name, content.folder.name,
            content.folder.extracted_at, content.content_hash, seq, content.rows_read, content.rows_loaded,
            content.rows_quarantined, content.is_complete, content.folder.manifest.covers_from,
            content.folder.manifest.covers_to, segment,
        )
        for content, seq in numbered if content.delivery_id in is_new
    ]  # fmt: skip
    _insert(connection, "insert", "deliveries", rows)
    _insert(connection, "insert", "delivery_notes", [(c.delivery_id, *note) for c in new for note in c.notes])
    for content, seq in numbered:
        if content.delivery_id not in is_new:
            connection.execute("update state.deliveries set landed_seq = ? where delivery_id = ?", [seq, content.delivery_id])
    folders = [(content.folder, content.delivery_id) for content in contents]
    seen = [(f.table.source, f.table.name, f.name, f.fingerprint, delivery_id) for f, delivery_id in folders]
    _insert(connection, "insert or replace", "seen_folders", seen)


def _insert(connection: duckdb.DuckDBPyConnection, how: str, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Write `rows` to a table of the schema `state` in one statement: one a row cost 3 ms each."""
    import pyarrow as pa

    if rows:
        columns = [pa.array(list(values)) for values in zip(*rows, strict=True)]
        connection.register("ingest_state", pa.table(columns, names=[f"c{place}" for place in range(len(columns))]))
        connection.execute(f"{how} into state.{table} select * from ingest_state")
        connection.unregister("ingest_state")


def land(
    connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime, *, full_refresh: bool = False
) -> dict[str, Any]:
    """Load the deliveries extracted up to `as_of` that are new in name or content; what was new, and what was out of place.

    `full_refresh` reads every delivery again, also those whose files look untouched.
    """
    prepare(connection)
    contract = load_contract()
    found, problems = deliveries.find(settings.landing_dir, contract, until=utc(as_of))
    by_table: dict[str, list[Folder]] = defaultdict(list)
    for folder in found:
        by_table[folder.table.full_name].append(folder)
    new: dict[str, int] = {}
    connection.execute("set preserve_insertion_order = false")  # rows are a multiset; saves memory on large tables
    try:
        for table in progress(contract.tables, "ingest", lambda table: table.full_name):
            landed = land_table(connection, settings, table, by_table[table.full_name], full_refresh=full_refresh)
            if landed:
                new[table.full_name] = len(landed)
    finally:
        connection.execute("set preserve_insertion_order = true")
    return {"new_deliveries": new, "problems": problems}
