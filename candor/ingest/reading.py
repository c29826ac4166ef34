"""From the files of one table's deliveries to two SQL queries: the rows let in, and the rows refused with their reasons.

Files are looked at one by one only for what stands in their head (schema, header, row count); rows are read set-wise, all
files with the same head by one statement.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from candor.contract import Column, Contract, Table
from candor.ingest.columns import SEPARATOR, TEXT, Check, canonical, checks, literal, native_type, parsed, quoted
from candor.ingest.deliveries import FORMATS, Folder
from candor.ingest.text import BLOCK_BYTES, read_lines

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

UNREADABLE = "file_unreadable"


@dataclass
class File:
    """One file of a delivery: what its head says, and how many rows it holds by a count apart from the reading."""

    number: int
    path: Path
    name: str  # <source>/<table>/<delivery>/<file>
    extracted_at: datetime
    format: str
    rows: int = 0
    rejected: str | None = None  # why none of its rows can be let in
    unreadable: bool = False  # its rows cannot even be quarantined with their content
    notes: list[tuple[str, str]] = field(default_factory=list)
    head: tuple[tuple[str, str], ...] = ()  # (column, native type), in the file's order


@dataclass(frozen=True)
class Reading:
    """Two queries over the files; both have `_row_hash, _extracted_at, _file, _line`. None where there is nothing to read.

    `every` has the contract's columns first; its `_row_hash` is null where a row is refused. `bad` has `reasons` and `raw`
    of the rows that stand in the temporary table `ingest_refused` (_file, _line).
    """

    files: tuple[File, ...]
    every: str | None
    bad: str | None


def _parquet_head(connection: duckdb.DuckDBPyConnection, file: File, described: dict[str, tuple[tuple[str, str], ...]]) -> None:
    import duckdb
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file.path) as opened:
            file.rows = opened.metadata.num_rows
            schema = opened.metadata.schema.to_arrow_schema().remove_metadata().to_string()
        if schema not in described:
            rows = connection.execute(f"describe select * from read_parquet({literal(str(file.path))})").fetchall()
            described[schema] = tuple((row[0], native_type(row[1])) for row in rows)
        file.head = described[schema]
    except (pyarrow.ArrowException, OSError, duckdb.Error) as problem:
        file.rejected, file.unreadable = f"{UNREADABLE}: {str(problem).splitlines()[0][:200]}", True


def _csv_header(line: str) -> list[str] | None:
    """The column names of a header line, or None when it is not one by the rules of docs/contract.md."""
    try:
        return [name.strip() for name in next(csv.reader([line], strict=True))]
    except (csv.Error, StopIteration):
        return None


class _LineStore:
    """The lines of many files on their way into the temporary table `ingest_lines`, in few and large inserts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.pending: list[pa.Table] = []
        connection.execute(
            """
            create or replace temp table ingest_lines (
                line_no bigint, text varchar, problem varchar, shown varchar, digest varchar, file_no integer
            )
            """
        )

    def add(self, block: pa.Table, file_no: int) -> None:
        import pyarrow as pa

        self.pending.append(block.append_column("file_no", pa.repeat(pa.scalar(file_no, type=pa.int32()), block.num_rows)))
        if sum(waiting.nbytes for waiting in self.pending) > BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self.pending:
            self.connection.register("ingest_block", pa.concat_tables(self.pending))
            self.connection.execute("insert into ingest_lines select * from ingest_block")
            self.connection.unregister("ingest_block")
            self.pending = []


def _csv_head(store: _LineStore, file: File, limit: int) -> None:
    """Store the file's lines, read its header."""
    header: list[str] | None = None
    is_first = True
    for lines in read_lines(file.path, limit):
        block = lines.table
        file.rows += lines.count
        if is_first and lines.count:
            is_first = False
            file.rows -= 1
            problem = block["problem"][0].as_py()
            header = _csv_header(block["text"][0].as_py()) if problem is None else None
            if header is None:
                file.rejected = f"file_header_unusable: {problem or 'its quotes do not close'}"
            block = block.slice(1)
        store.add(block, file.number)
    if is_first:
        file.notes.append(("file_empty", "not even a header"))
    names = header or []
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice and file.rejected is None:
        file.rejected = f"file_column_twice: {', '.join(twice)}"
    file.head = tuple((name, TEXT) for name in names)


def _jsonl_lines(store: _LineStore, file: File, limit: int) -> None:
    for lines in read_lines(file.path, limit):
        file.rows += lines.count
        store.add(lines.table, file.number)
    if not file.rows:
        file.notes.append(("file_empty", "no line"))


def _jsonl_heads(connection: duckdb.DuckDBPyConnection, files: list[File]) -> None:
    """The keys that any object of a file has are its columns."""
    numbers = ", ".join(str(file.number) for file in files if file.format == "jsonl")
    if not numbers:
        return
    keys = connection.execute(
        f"""
        select file_no, list(distinct key order by key)
        from (
            select file_no, unnest(json_keys(text)) as key from ingest_lines
            where file_no in ({numbers}) and problem is null and json_valid(text) and json_type(text) = 'OBJECT'
        )
        group by file_no
        """
    ).fetchall()
    for number, names in keys:
        files[number].head = tuple((name, TEXT) for name in names)


def _check_head(file: File, table: Table) -> None:
    """Reject the file that lacks a required column or has one of an impossible type; note the columns nobody knows."""
    known = {column.name: column for column in table.columns}
    names = [name for name, _ in file.head]
    file.notes += [("unknown_column", name) for name in names if name not in known]
    if file.rejected is not None or not file.head:
        return
    missing = [name for name in table.required if name not in names]
    wrong = [
        f"{name} is {native}, not {known[name].type}"
        for name, native in file.head
        if name in known and parsed(known[name], "x", native) is None
    ]
    if missing:
        file.rejected = f"file_without_column: {', '.join(missing)}"
        if file.format == "csv" and len(names) == 1:
            seen = next((mark for mark in (";", "\t", "|") if mark in names[0]), None)
            if seen is not None:
                file.rejected += f" (columns are separated by {seen!r} instead of a comma)"
    elif wrong:
        file.rejected = f"file_of_wrong_type: {', '.join(wrong)}"


def look(connection: duckdb.DuckDBPyConnection, table: Table, contract: Contract, folders: list[Folder]) -> tuple[File, ...]:
    """The files of the deliveries with their heads; the lines of text files stand in the temporary table `ingest_lines`."""
    store = _LineStore(connection)
    described: dict[str, tuple[tuple[str, str], ...]] = {}
    files: list[File] = []
    for folder in folders:
        for path in folder.files:
            name = f"{table.source}/{table.name}/{folder.name}/{path.name}"
            file = File(len(files), path, name, folder.extracted_at, FORMATS[path.suffix.lower()])
            if file.format == "parquet":
                _parquet_head(connection, file, described)
            elif file.format == "csv":
                _csv_head(store, file, contract.max_line_bytes)
            else:
                _jsonl_lines(store, file, contract.max_line_bytes)
            files.append(file)
    store.flush()
    _jsonl_heads(connection, files)
    for file in files:
        _check_head(file, table)
        if file.rejected is not None:
            file.notes.append(("file_rejected", file.rejected))
    return tuple(files)


def mark_unreadable(connection: duckdb.DuckDBPyConnection, files: tuple[File, ...]) -> bool:
    """Reject the Parquet files whose pages cannot be read although their head could; whether there were any."""
    import duckdb

    found = False
    for file in files:
        if file.format == "parquet" and not file.unreadable:
            try:
                every = ", ".join(f"count({quoted(name)})" for name, _ in file.head)
                connection.execute(f"select {every} from read_parquet({literal(str(file.path))})").fetchall()
                connection.execute(
                    f"select md5(cast(r as varchar)) from read_parquet({literal(str(file.path))}) as r"
                ).fetchall()
            except duckdb.Error as problem:
                file.rejected, file.unreadable, found = f"{UNREADABLE}: {str(problem).splitlines()[0][:200]}", True, True
                file.notes.append(("file_rejected", file.rejected))
    return found


def _values(files: list[File]) -> str:
    rows = ", ".join(
        f"({file.number}, {literal(str(file.path))}, {literal(file.name)}, timestamp '{file.extracted_at}', "
        f"{'null' if file.rejected is None else literal(file.rejected)}, {file.rows})"
        for file in files
    )
    return f"(values {rows}) as files(file_no, path, name, extracted_at, rejected, row_count)"


PLACE = "files.extracted_at as _extracted_at, files.name as _file"


def _only(line: str, is_refused: bool) -> str:
    """The filter of a source on the rows that were refused when all were read, so that only those are read again."""
    return f"where (files.name, {line}) in (select _file, _line from ingest_refused)" if is_refused else ""


def _parquet_source(files: list[File], table: Table, is_refused: bool) -> str:
    head = dict(files[0].head)
    delivered = ", ".join(
        f"rows.{quoted(column.name)} as {quoted('r_' + column.name)}" for column in table.columns if column.name in head
    )
    fields = ", ".join(f"{literal(name)}: rows.{quoted(name)}" for name in head)
    paths = ", ".join(literal(str(file.path)) for file in files)
    return f"""
        select {PLACE}, rows.file_row_number + 1 as _line, files.rejected as _problem, null::varchar as _digest,
            to_json({{{fields}}})::varchar as _raw{", " + delivered if delivered else ""}
        from read_parquet([{paths}], filename = '_candor_file', file_row_number = true, hive_partitioning = false) as rows
        inner join {_values(files)} on rows._candor_file = files.path
        {_only("rows.file_row_number + 1", is_refused)}
    """


def _csv_source(files: list[File], table: Table, is_refused: bool) -> str:
    names = [name for name, _ in files[0].head]
    count = max(len(names), 1)

    def value(column: Column) -> str:
        return f"nullif(_fields[{names.index(column.name) + 1}], '') as {quoted('r_' + column.name)}"

    delivered = ", ".join(value(column) for column in table.columns if column.name in names)
    one_field = '("(?:[^"]|"")*"|[^",]*)'
    unquoted = "lambda field: case when starts_with(field, '\"') then replace(field[2:-2], '\"\"', '\"') else field end"
    has_quotes = "contains(lines.text, '\"')"
    return f"""
        select _extracted_at, _file, _line, _digest, _raw, _fields,
            case
                when _given_problem is not null then _given_problem
                when not _is_quoted_well then 'quotes_do_not_close'
                when len(_fields) <> {count} then 'wrong_number_of_fields: ' || len(_fields) || ' instead of {count}'
            end as _problem{", " + delivered if delivered else ""}
        from (
            select {PLACE}, lines.line_no as _line, lines.digest as _digest, coalesce(lines.shown, lines.text) as _raw,
                coalesce(files.rejected, lines.problem) as _given_problem,
                not {has_quotes} or regexp_full_match(lines.text, '{one_field}(,{one_field})*') as _is_quoted_well,
                case
                    when {has_quotes} then list_transform(regexp_extract_all(',' || lines.text, ',{one_field}', 1), {unquoted})
                    else string_split(lines.text, ',')
                end as _fields
            from ingest_lines as lines
            inner join {_values(files)} on lines.file_no = files.file_no
            {_only("lines.line_no", is_refused)}
        )
    """


def _jsonl_source(files: list[File], table: Table, is_refused: bool) -> str:
    names = {name for name, _ in files[0].head}
    given = [column for column in table.columns if column.name in names]
    paths = ", ".join(literal('$."' + column.name + '"') for column in given)
    delivered = ", ".join(f"nullif(_values[{place}], '') as {quoted('r_' + c.name)}" for place, c in enumerate(given, start=1))
    values = f"json_extract_string(lines.text, [{paths}])" if given else "[]::varchar[]"
    return f"""
        select _extracted_at, _file, _line, _digest, _raw, _problem{", " + delivered if delivered else ""}
        from (
            select {PLACE}, lines.line_no as _line, lines.digest as _digest, coalesce(lines.shown, lines.text) as _raw,
                case
                    when coalesce(files.rejected, lines.problem) is not null then coalesce(files.rejected, lines.problem)
                    when not json_valid(lines.text) then 'not_json'
                    when json_type(lines.text) <> 'OBJECT' then 'not_a_json_object'
                end as _problem,
                case when _problem is null then {values} end as _values
            from ingest_lines as lines
            inner join {_values(files)} on lines.file_no = files.file_no
            {_only("lines.line_no", is_refused)}
        )
    """


SOURCES = {"parquet": _parquet_source, "csv": _csv_source, "jsonl": _jsonl_source}


def _queries(table: Table, contract: Contract, files: list[File]) -> tuple[str, str]:
    """All rows, and the refused ones, of files that share one format and head."""
    head = dict(files[0].head)
    is_rejected = files[0].rejected is not None
    typed, canon, delivered_texts = [], [], []
    every_check: list[Check] = []
    for column in table.columns:
        raw = quoted("r_" + column.name)
        native = head.get(column.name)
        if native is None or is_rejected:
            typed.append(f"null::{column.duckdb_type} as {quoted(column.name)}")
            canon.append("''")
            delivered_texts.append("''")
            if not column.nullable:
                every_check.append(Check(f"missing_value:{column.name}", "true"))
            continue
        expression = parsed(column, raw, native) or "null"
        typed.append(f"{expression} as {quoted(column.name)}")
        # A value that is already of the contract's type is compared as it is, so that a scan can skip the check.
        value = raw if expression == raw else quoted(column.name)
        canon.append(canonical(column, quoted(column.name)))
        delivered_texts.append(f"coalesce(nullif({canonical(column, quoted(column.name))}, ''), {raw}::varchar, '')")
        every_check += checks(column, typed=value, delivered=raw, native=native, contract=contract)
    fails = [f"coalesce({check.fails}, false)" for check in every_check]
    any_fails = " or ".join(["_problem is not null", *fails])
    columns = ", ".join(quoted(column.name) for column in table.columns)
    sources = [SOURCES[files[0].format](files, table, is_refused) for is_refused in (False, True)]
    parsed_rows = [f"select *, {', '.join(typed)} from ({source})" for source in sources]
    every = f"""
        select {columns}, case when not ({any_fails}) then md5(concat_ws({SEPARATOR}, {", ".join(canon)})) end::uuid as _row_hash,
            _extracted_at, _file, _line
        from ({parsed_rows[0]})
    """
    reasons = ", ".join(
        f"case when {fail} then {literal(check.reason)} end" for check, fail in zip(every_check, fails, strict=True)
    )
    all_reasons = f"list_filter([{reasons}]::varchar[], lambda x: x is not null)"
    bad = f"""
        select coalesce(_digest, case when _problem is null then md5(_text) else md5(_raw) end)::uuid as _row_hash,
            _extracted_at, _file, _line, case when _problem is not null then [_problem] else {all_reasons} end as reasons, _raw as raw
        from (select *, concat_ws({SEPARATOR}, {", ".join(delivered_texts)}) as _text from ({parsed_rows[1]}))
    """
    return every, bad


def queries(table: Table, contract: Contract, files: tuple[File, ...]) -> Reading:
    """The two queries over `files` as they were looked at."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...], str | None], list[File]] = {}
    lost: list[File] = []
    for file in files:
        if file.unreadable:
            lost.append(file)
        elif file.rows:
            groups.setdefault((file.format, file.head, file.rejected), []).append(file)
    every, bad = [], []
    for group in groups.values():
        all_rows, refused = _queries(table, contract, group)
        every.append(all_rows)
        bad.append(refused)
    if any(file.rows for file in lost):
        nothing = ", ".join(f"null::{column.duckdb_type} as {quoted(column.name)}" for column in table.columns)
        numbered = f"{_values(lost)}, unnest(range(1, files.row_count + 1)) as numbers(number)"
        every.append(f"select {nothing}, null::uuid as _row_hash, {PLACE}, number as _line from {numbered}")
        bad.append(
            f"""
            select md5(files.name || '#' || number)::uuid as _row_hash, {PLACE}, number as _line, [files.rejected] as reasons,
                null::varchar as raw
            from {numbered}
            """
        )
    return Reading(files, " union all ".join(every) or None, " union all ".join(bad) or None)
