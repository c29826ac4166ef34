"""The tables that keep what a library said about a value, each distinct value asked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# Values asked between two inserts: about 50 MB of Python strings.
BATCH = 200_000


def keep(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: dict[str, str],
    asked: str,
    answer: Callable[[list[tuple[Any, ...]]], Sequence[tuple[Any, ...]]],
) -> int:
    """How many values were new; each of them now has its row in `table`.

    columns: name and DuckDB type (varchar or boolean) of the table's columns; `asked` is the query that gives the values not yet in it,
    its columns the first ones of the table; `answer` gives the other columns of each row of a batch. Rows are written in the order of
    their values, so that the table's bytes do not depend on the order of the input.
    """
    import pyarrow

    values = connection.execute(f"select * from ({asked}) order by all").fetchall()
    kinds = [pyarrow.bool_() if kind.startswith("boolean") else pyarrow.string() for kind in columns.values()]
    for start in range(0, len(values), BATCH):
        batch = values[start : start + BATCH]
        rows = [(*given, *said) for given, said in zip(batch, answer(batch), strict=True)]
        arrays = [pyarrow.array(column, type=kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
        connection.register("new_answers", pyarrow.table(arrays, names=list(columns)))
        connection.execute(f"insert into {table} select * from new_answers")
        connection.unregister("new_answers")
    return len(values)


def table_ddl(table: str, columns: dict[str, str]) -> str:
    """Statements that make the table when it is missing."""
    schema = table.rpartition(".")[0]
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"create schema if not exists {schema}; create table if not exists {table} ({typed});"
