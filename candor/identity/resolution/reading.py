"""Files of person records, as Arrow tables of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import UsageError
from candor.identity.resolution.columns import plain, rename

if TYPE_CHECKING:
    import duckdb
    import pyarrow

CSV_ENDINGS = {".csv", ".tsv", ".txt"}
PARQUET_ENDINGS = {".parquet", ".pq"}


def read(paths: Sequence[Path], mapping: Mapping[str, str] | None = None) -> dict[str, pyarrow.Table]:
    """{file stem: its rows, every column text under our names}; the stem is the source of rows that name none.

    CSV (any usual delimiter, UTF-8, first line = header) or Parquet. `mapping` is {their column: our name}.
    Raises UsageError: a missing, empty or unreadable file, bytes that are not UTF-8, a mapped column that no file has.
    """
    import duckdb

    mapping = mapping or {}
    _check_paths(paths)
    tables: dict[str, pyarrow.Table] = {}
    headers: list[str] = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for path in paths:
            table = _read_one(connection, path)
            headers += [plain(header) for header in table.column_names]
            names = rename(table.column_names, mapping, file=str(path))
            if "record_id" not in names.values():
                raise UsageError(
                    f"{path} has no column record_id; its columns are {', '.join(table.column_names)}",
                    hint="say which column identifies a row: --map their_id=record_id",
                )
            tables[path.stem] = table.rename_columns([names[header] for header in table.column_names])
    unknown = sorted(theirs for theirs in mapping if plain(theirs) not in headers)
    if unknown:
        raise UsageError(
            f"--map names {', '.join(map(repr, unknown))}, which no file has; columns: {', '.join(sorted(set(headers)))}",
            hint="write --map their_column=our_name with their column spelt as in the file",
        )
    return tables


def _check_paths(paths: Sequence[Path]) -> None:
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UsageError(f"no such file: {', '.join(missing)}", hint="give one or more CSV or Parquet files")
    strange = [str(path) for path in paths if path.suffix.lower() not in CSV_ENDINGS | PARQUET_ENDINGS]
    if strange:
        raise UsageError(f"neither CSV nor Parquet by its ending: {', '.join(strange)}", hint="use .csv, .tsv or .parquet")
    empty = [str(path) for path in paths if path.stat().st_size == 0]
    if empty:
        raise UsageError(f"empty file: {', '.join(empty)}", hint="a CSV needs a header and at least one row")
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise UsageError(
            f"several files are called {', '.join(map(repr, twice))}, and a file's name is the source of its records",
            hint="rename the files, or put them into one with a column source",
        )


def _read_one(connection: duckdb.DuckDBPyConnection, path: Path) -> pyarrow.Table:
    import duckdb

    try:
        if path.suffix.lower() in PARQUET_ENDINGS:
            relation = connection.read_parquet(str(path))
        else:
            relation = connection.read_csv(str(path), header=True, all_varchar=True)
        table = relation.select(", ".join(_as_text(name, kind) for name, kind in _columns(relation))).to_arrow_table()
    except duckdb.Error as error:
        first = str(error).strip().splitlines()[0]
        hint = (
            "save it as UTF-8"
            if "utf-8" in str(error).lower()
            else "check that the file is whole and of the kind its ending says"
        )
        raise UsageError(f"cannot read {path}: {first}", hint=hint) from error
    if table.num_rows == 0:
        raise UsageError(f"{path} has no rows", hint="a file of records needs a header and at least one row")
    return table


def _columns(relation: duckdb.DuckDBPyRelation) -> Iterable[tuple[str, str]]:
    return zip(relation.columns, map(str, relation.types), strict=True)


def _as_text(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind in {"DOUBLE", "FLOAT"}:  # 1234.0 is how other tools write an integer column with gaps
        return f"regexp_replace(cast({quoted} as varchar), '\\.0$', '') as {quoted}"
    if kind.startswith("TIMESTAMP"):
        return f"strftime({quoted}, '%Y-%m-%d') as {quoted}"
    return f"cast({quoted} as varchar) as {quoted}"
