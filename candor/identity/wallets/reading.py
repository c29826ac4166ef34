"""Edge lists as they come: which columns they have, which rows are refused, and integers instead of strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

REQUIRED = ("from_id", "to_id")
OPTIONAL = ("kind", "occurred_at", "amount")
COLUMNS = REQUIRED + OPTIONAL

# 0x and 40 hex digits in any case is one address: the capitals are only a checksum (EIP-55). Other chains' addresses are left
# alone, because in Base58 the case is part of the address.
EVM = "^0[xX][0-9a-fA-F]{40}$"


@dataclass(frozen=True)
class Intake:
    """What was read: columns used and ignored, rows read, and rows refused or values not understood, by reason."""

    used: tuple[str, ...]
    ignored: tuple[str, ...]
    rows: int
    refused: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)


def files_of(paths: list[Path]) -> list[Path]:
    """The CSV and Parquet files that the paths name, folders opened, sorted.

    Raises UsageError for a path that does not exist and for a set that holds no such file or both kinds.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no file or folder {path}", hint="give a .csv or .parquet file, or a folder of them")
        found += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    known = sorted({path for path in found if _suffix(path) in (".csv", ".parquet")})
    if not known:
        names = ", ".join(path.name for path in found[:3]) or "nothing"
        raise UsageError(
            f"no .csv or .parquet file among: {names}", hint="edge lists are read as CSV (also .csv.gz) or Parquet"
        )
    if len({_suffix(path) for path in known}) > 1:
        raise UsageError("the edge list is partly CSV and partly Parquet", hint="give one kind of file at a time")
    return known


def _suffix(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def open_files(connection: duckdb.DuckDBPyConnection, paths: list[Path]) -> str:
    """A view over the files, by name: every CSV column as text, Parquet columns with their types."""
    import duckdb

    files = files_of(paths)
    names = "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in files) + "]"
    reader = (
        f"read_parquet({names}, union_by_name = true)"
        if _suffix(files[0]) == ".parquet"
        else f"read_csv({names}, all_varchar = true, union_by_name = true, header = true)"
    )
    try:
        connection.execute(f"create or replace temp view edge_files as select * from {reader}")
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            f"cannot read {files[0].name}: {first}", hint="a CSV needs a header line with from_id and to_id"
        ) from error
    return "edge_files"


def columns_of(available: list[str], mapping: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """{our column: their column} and the columns that are not used.

    `mapping` is {their column: our column}; what it does not name is found under our own names. Raises UsageError that lists
    every unknown name and every missing column at once.
    """
    problems = [
        f"--map names the column {theirs!r}, which the file does not have" for theirs in mapping if theirs not in available
    ]
    problems += [
        f"--map gives {theirs!r} the name {ours!r}, which means nothing"
        for theirs, ours in mapping.items()
        if ours not in COLUMNS
    ]
    twice = sorted({ours for ours in mapping.values() if list(mapping.values()).count(ours) > 1})
    problems += [f"--map gives the name {ours!r} to more than one column" for ours in twice]
    chosen = {ours: theirs for theirs, ours in mapping.items()}
    lowered = {name.lower(): name for name in reversed(available) if name not in mapping}
    for name in COLUMNS:
        if name not in chosen and name in lowered:
            chosen[name] = lowered[name]
    problems += [f"no column {name}" for name in REQUIRED if name not in chosen]
    if problems:
        raise UsageError(
            "; ".join(problems) + f" (columns: {', '.join(available)})",
            hint=f"--map their=ours names a column; ours is one of {', '.join(COLUMNS)}",
        )
    return chosen, tuple(name for name in available if name not in chosen.values())


@dataclass(frozen=True)
class Rows:
    """Transfers as integers, and the ids behind them.

    ids: every id of the input once, sorted by its bytes; `node` is the node that each id spells. Nodes are numbered in the order of their
    keys, so the numbers do not depend on the order of rows. Rows are distinct and sorted by (source, target, occurred, amount, kind), NaN
    last: without a transaction hash an identical row is a repeated delivery. kind -1 and NaN mean unknown.
    """

    ids: pa.StringArray
    node: np.ndarray
    count: int
    source: np.ndarray
    target: np.ndarray
    kind: np.ndarray
    occurred: np.ndarray
    amount: np.ndarray
    intake: Intake


def intern(connection: duckdb.DuckDBPyConnection, source: str, mapping: dict[str, str] | None = None) -> Rows:
    """The rows of `source`, a table, a view or a bracketed query of `connection`, as integers.

    `occurred` is seconds, or whatever unit a number came in; only order and ratios are used.
    Raises UsageError when a column is missing or no row is left.
    """
    import numpy as np
    import pyarrow as pa

    described = connection.execute(f"describe select * from {source}").fetchall()
    types = {row[0]: row[1] for row in described}
    chosen, ignored = columns_of(list(types), mapping or {})
    table = connection.execute(f"select {_casts(chosen, types)} from {source}").to_arrow_table()
    names, one, other = _encoded(table["from_id"], table["to_id"])
    complete = (one >= 0) & (other >= 0)
    rows = int(complete.sum())
    refused = table.num_rows - rows
    if rows == 0:
        what = f"has no row with both ids ({refused:,} rows refused)" if refused else "has no rows"
        raise UsageError(f"the edge list {what}", hint="each row needs from_id and to_id")
    intake = Intake(
        used=tuple(name for name in COLUMNS if name in chosen),
        ignored=ignored,
        rows=table.num_rows,
        refused={"id_missing": refused} if refused else {},
        unreadable=_unreadable(table),
    )
    if refused:
        table, one, other = table.filter(pa.array(complete)), one[complete], other[complete]
    ids, node, place = _numbered(names, one, other)
    kind = _coded(table["kind"]) if "kind" in chosen else np.full(rows, -1, dtype=np.int32)
    occurred = _floats(table["occurred"]) if "occurred" in table.column_names else np.full(rows, np.nan)
    amount = _floats(table["amount"]) if "amount" in table.column_names else np.full(rows, np.nan)
    count = int(node.max()) + 1
    return Rows(ids, node, count, *_distinct(count, node[place[one]], node[place[other]], kind, occurred, amount), intake)


def _encoded(*columns: pa.ChunkedArray) -> tuple[Any, ...]:
    """The different texts of the columns, and each column as places among them; -1 for none and for blanks."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for column in columns for chunk in column.chunks]
    encoded = pa.chunked_array(chunks, type=columns[0].type).dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], columns[0].type).dictionary_encode()
    blank = pc.equal(pc.utf8_trim_whitespace(encoded.dictionary), "").to_numpy(zero_copy_only=False)
    place = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    place = np.where(np.append(blank, True)[place], -1, place)
    ends = np.cumsum([len(column) for column in columns])
    return (encoded.dictionary, *np.split(place, ends[:-1]))


def _numbered(names: pa.StringArray, one: np.ndarray, other: np.ndarray) -> tuple[pa.StringArray, np.ndarray, np.ndarray]:
    """The names in use as sorted ids; the node of each id; and the place among the ids of every name."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    used = np.flatnonzero(np.bincount(one, minlength=len(names)) + np.bincount(other, minlength=len(names)))
    given = names.take(pa.array(used))
    order = pc.sort_indices(given).to_numpy()
    ids = given.take(pa.array(order))
    place = np.full(len(names), -1, dtype=np.int32)
    place[used[order]] = np.arange(len(order), dtype=np.int32)
    is_evm = pc.match_substring_regex(ids, EVM)
    if not pc.any(is_evm).as_py():
        return ids, np.arange(len(ids), dtype=np.int32), place
    keys = pc.if_else(is_evm, pc.utf8_lower(ids), ids).dictionary_encode()
    key_order = pc.sort_indices(keys.dictionary).to_numpy()
    key_rank = np.empty(len(key_order), dtype=np.int32)
    key_rank[key_order] = np.arange(len(key_order), dtype=np.int32)
    return ids, key_rank[keys.indices.to_numpy()], place


def _coded(kinds: pa.ChunkedArray) -> np.ndarray:
    """Each kind's place among the sorted kinds, -1 where there is none."""
    import numpy as np
    import pyarrow.compute as pc

    names, place = _encoded(kinds)
    order = pc.sort_indices(names).to_numpy()
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1
    return rank[place]


def _floats(values: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    return pc.fill_null(values, float("nan")).to_numpy()


def _distinct(
    count: int, source: np.ndarray, target: np.ndarray, kind: np.ndarray, occurred: np.ndarray, amount: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The rows sorted by (source, target, occurred, amount, kind), each once."""
    import numpy as np

    pair = source.astype(np.int64) * count + target
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    same = pair[1:] == pair[:-1]
    if same.any():
        # Only pairs with several rows need the other columns.
        several = np.flatnonzero(np.append(False, same) | np.append(same, False))
        rows = order[several]
        order[several] = rows[np.lexsort((kind[rows], amount[rows], occurred[rows], pair[several]))]
        one, two = order[1:], order[:-1]
        same &= (kind[one] == kind[two]) & _equal(occurred[one], occurred[two]) & _equal(amount[one], amount[two])
        order = order[np.append(True, ~same)]
    return source[order], target[order], kind[order], occurred[order], amount[order]


def _equal(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one == two) | ((one != one) & (two != two))


def _unreadable(table: pa.Table) -> dict[str, int]:
    import pyarrow.compute as pc

    counts = {}
    for name, column in (("occurred_at", "occurred"), ("amount", "amount")):
        if column in table.column_names:
            counts[name] = pc.sum(pc.and_(table[f"{column}_given"], table[column].is_null())).as_py() or 0
    return {name: count for name, count in counts.items() if count}


def _casts(chosen: dict[str, str], types: dict[str, str]) -> str:
    def quoted(name: str) -> str:
        return '"' + chosen[name].replace('"', '""') + '"'

    parts = [f"{quoted(name)}::varchar as {name}" for name in (*REQUIRED, "kind") if name in chosen]
    if "occurred_at" in chosen:
        column, kind = quoted("occurred_at"), types[chosen["occurred_at"]]
        if kind.startswith(("TIMESTAMP", "DATE")):
            value = f"epoch({column}::timestamp)" if kind.startswith("DATE") else f"epoch({column})"
        elif kind == "VARCHAR":
            value = f"coalesce(try_cast({column} as double), epoch(try_cast({column} as timestamp)))"
        else:
            value = f"try_cast({column} as double)"
        parts += [
            f"case when isfinite({value}) then {value} end as occurred",
            f"coalesce(trim({column}::varchar), '') <> '' as occurred_given",
        ]
    if "amount" in chosen:
        column = quoted("amount")
        value = f"try_cast({column} as double)"
        parts += [
            f"case when {value} >= 0 and isfinite({value}) then {value} end as amount",
            f"coalesce(trim({column}::varchar), '') <> '' as amount_given",
        ]
    return ", ".join(parts)
