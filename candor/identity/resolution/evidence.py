"""Pairs of records as arrays: at which level each column of each pair compares, and how frequent the shared values are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column
from candor.identity.resolution.comparisons import levels, missing

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt

# Random pairs from which it is learned how strangers compare: a level that one in 10,000 strangers reaches is seen about 60 times.
RANDOM_PAIRS = 600_000

# Pairs compared at once: their text, both sides, is about 1 KB each.
BATCH = 500_000


@dataclass(frozen=True)
class Pairs:
    """Compared pairs: uids `left` < `right`, and `level[pair, column]`, 0 = the best, -1 = one of the two has no value."""

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    level: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.left)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Pairs:
        return Pairs(self.left[rows], self.right[rows], self.level[rows])


def compare(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], table: str) -> Pairs:
    """The pairs of `table` (l, r), compared, ordered by (l, r)."""
    import numpy as np

    names = [row[0] for row in connection.execute("describe records").fetchall() if row[0] != "uid"]
    sides = ", ".join(f'{side}."{name}" as "{name}_{side}"' for side in ("l", "r") for name in names)
    cases = ", ".join(f"{_case(column)} as g{number}" for number, column in enumerate(columns))
    connection.execute(
        f"create or replace temp table to_compare as select l::integer as l, r::integer as r from {table} order by l, r"
    )
    row = connection.execute("select count(*) from to_compare").fetchone()
    count = int(row[0]) if row else 0
    made = Pairs(np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros((count, len(columns)), np.int8))
    for start in range(0, count, BATCH):
        result = connection.execute(f"""
            with sides as (
                select pairs.l, pairs.r, {sides}
                from to_compare as pairs
                inner join records as l on l.uid = pairs.l
                inner join records as r on r.uid = pairs.r
                where pairs.rowid >= {start} and pairs.rowid < {start + BATCH}
            )
            select l, r, {cases} from sides
        """).fetchnumpy()
        order = np.lexsort((result["r"], result["l"]))
        rows = slice(start, start + len(order))
        made.left[rows], made.right[rows] = result["l"][order], result["r"][order]
        for number in range(len(columns)):
            made.level[rows, number] = result[f"g{number}"][order]
    connection.execute("drop table to_compare")
    return made


def compare_again(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], numbers: Sequence[int], pairs: Pairs
) -> Pairs:
    """`pairs` with the columns of these numbers compared anew, after table `records` changed."""
    import pyarrow

    if not numbers:
        return pairs
    connection.register("again", pyarrow.table({"l": pairs.left, "r": pairs.right}))
    fresh = compare(connection, [columns[number] for number in numbers], "again")
    connection.unregister("again")
    level = pairs.level.copy()
    level[:, list(numbers)] = fresh.level
    return Pairs(pairs.left, pairs.right, level)


def _case(column: Column) -> str:
    whens = " ".join(
        f"when {level.condition} then {number}" if level.condition != "else" else f"else {number}"
        for number, level in enumerate(levels(column))
    )
    return f"(case when {missing(column)} then -1 {whens} end)::tinyint"


def strangers(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], seed: int) -> Pairs:
    """Pairs drawn at random, compared: all there are when those are few, else RANDOM_PAIRS of them, drawn by hash and `seed`."""
    row = connection.execute("select count(*) from records").fetchone()
    records = int(row[0]) if row else 0
    if records * (records - 1) // 2 <= RANDOM_PAIRS:
        drawn = "select a.uid as l, b.uid as r from records as a inner join records as b on a.uid < b.uid"
    else:
        drawn = f"""
            select distinct least(a, b) as l, greatest(a, b) as r from (
                select (hash({seed}, 'left', range) % {records})::bigint as a, (hash({seed}, 'right', range) % {records})::bigint as b
                from range({RANDOM_PAIRS})
            ) where a <> b
        """
    connection.execute(f"create or replace temp table random_pairs as {drawn}")
    return compare(connection, columns, "random_pairs")


def value_codes(connection: duckdb.DuckDBPyConnection, column: Column) -> npt.NDArray[np.int32]:
    """For every record, by uid: a number for its value of `column`, the same for the same value; -1 = no value."""
    import numpy as np

    name = f'"{column.name}"'
    rows = connection.execute(f"""
        select coalesce(code, -1)::integer as code
        from records left join (
            select value, row_number() over (order by value) - 1 as code
            from (select {name}::varchar as value from records where {name} is not null group by value)
        ) on {name}::varchar = value
        order by uid
    """).fetchnumpy()
    return np.asarray(rows["code"], dtype=np.int32)


def uses_frequency(column: Column) -> bool:
    """Whether how frequent a value is matters for any level of the column."""
    return any(level.frequency_of for level in levels(column))
