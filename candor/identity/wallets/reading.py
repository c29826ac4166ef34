"""Edge lists as they come: which columns they have, which rows are refused, and integers instead of strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REQUIRED = ("from_id", "to_id")
OPTIONAL = ("kind", "occurred_at", "amount")
COLUMNS = REQUIRED + OPTIONAL

# 0x and 40 hex digits in any case is one address: the capitals are only a checksum (EIP-55). Other chains' addresses are left
# alone, because in Base58 the case is part of the address.
KEY = "case when regexp_full_match({id}, '0[xX][0-9a-fA-F]{{40}}') then lower({id}) else {id} end"


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


def intern(connection: duckdb.DuckDBPyConnection, source: str, mapping: dict[str, str] | None = None) -> Intake:
    """The temp tables `wallet_ids` (id, node) and `wallet_rows` (source, target, kind, occurred, amount), and what was read.

    `source` is a table, a view or a bracketed query. Nodes are numbered from 0 in the order of their keys, so the numbers do not
    depend on the order of rows. `occurred` is seconds, or whatever unit a number came in; only order and ratios are used.
    Identical rows count once: without a transaction hash a repeated row is a repeated delivery.
    Raises UsageError when a column is missing or no row is left.
    """
    described = connection.execute(f"describe select * from {source}").fetchall()
    types = {row[0]: row[1] for row in described}
    chosen, ignored = columns_of(list(types), mapping or {})
    connection.execute(f"create or replace temp table wallet_read as select {_casts(chosen, types)} from {source}")
    checks = ["count(*)", "count(*) filter (where from_id is null or to_id is null)"]
    checks += [
        f"count(*) filter (where {name}_given and {name} is null)" for name in ("occurred", "amount") if _has(chosen, name)
    ]
    counted = connection.execute(f"select {', '.join(checks)} from wallet_read").fetchone()
    assert counted is not None
    rows, refused = counted[:2]
    if rows == refused:
        what = "has no rows" if rows == 0 else f"has no row with both ids ({rows:,} rows refused)"
        raise UsageError(f"the edge list {what}", hint="each row needs from_id and to_id")
    unreadable = dict(zip([name for name in ("occurred", "amount") if _has(chosen, name)], counted[2:], strict=True))
    connection.execute(
        f"""
        create or replace temp table wallet_ids as
        with

        ids as (

            select from_id as id from wallet_read where from_id is not null and to_id is not null
            union
            select to_id as id from wallet_read where from_id is not null and to_id is not null

        ),

        keyed as (

            select id, {KEY.format(id="id")} as key from ids

        )

        select id, (dense_rank() over (order by key) - 1)::integer as node from keyed order by node, id
        """
    )
    connection.execute(
        """
        create or replace temp table wallet_kinds as
        select kind, (row_number() over (order by kind) - 1)::integer as code
        from (select distinct kind from wallet_read where kind is not null)
        """
    )
    connection.execute(
        """
        create or replace temp table wallet_rows as
        select distinct
            one.node as source,
            other.node as target,
            coalesce(wallet_kinds.code, -1)::integer as kind,
            coalesce(wallet_read.occurred, 'nan'::double) as occurred,
            coalesce(wallet_read.amount, 'nan'::double) as amount
        from wallet_read
        inner join wallet_ids as one
            on wallet_read.from_id = one.id
        inner join wallet_ids as other
            on wallet_read.to_id = other.id
        left join wallet_kinds
            on wallet_read.kind = wallet_kinds.kind
        """
    )
    connection.execute("drop table wallet_read")
    return Intake(
        used=tuple(name for name in COLUMNS if name in chosen),
        ignored=ignored,
        rows=int(rows),
        refused={"id_missing": int(refused)} if refused else {},
        unreadable={name: int(count) for name, count in unreadable.items() if count},
    )


def _has(chosen: dict[str, str], name: str) -> bool:
    return ("occurred_at" if name == "occurred" else name) in chosen


def _casts(chosen: dict[str, str], types: dict[str, str]) -> str:
    def quoted(name: str) -> str:
        return '"' + chosen[name].replace('"', '""') + '"'

    parts = [f"nullif(trim({quoted(name)}::varchar), '') as {name}" for name in REQUIRED]
    parts.append(f"nullif(trim({quoted('kind')}::varchar), '') as kind" if "kind" in chosen else "null::varchar as kind")
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
            f"nullif(trim({column}::varchar), '') is not null as occurred_given",
        ]
    else:
        parts.append("null::double as occurred")
    if "amount" in chosen:
        column = quoted("amount")
        value = f"try_cast({column} as double)"
        parts += [
            f"case when {value} >= 0 and isfinite({value}) then {value} end as amount",
            f"nullif(trim({column}::varchar), '') is not null as amount_given",
        ]
    else:
        parts.append("null::double as amount")
    return ", ".join(parts)


def kind_names(connection: duckdb.DuckDBPyConnection) -> pa.Array:
    """The kinds by their code."""
    return connection.execute("select kind from wallet_kinds order by code").to_arrow_table().column(0).combine_chunks()
