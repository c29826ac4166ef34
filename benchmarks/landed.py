"""What sources have delivered up to an instant, read straight from the landing folder: for judges that must not share the pipeline's reading.

Files that the made-up shop writes are whole and well formed; this reader takes them at their word and fails on anything else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from simulation.landing import FORMATS, INSTANT_TEXT, contract_columns, folder_name, write
from simulation.tools import micros

FOLDER = "%Y-%m-%dT%H%M%SZ"


def _read(path: Path, columns: dict[str, Any]) -> pl.DataFrame:
    """The rows of one file, with the types of the contract."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).select(pl.col(name).cast(kind) for name, kind in columns.items())
    if path.suffix != ".csv":
        raise ValueError(f"{path} is neither Parquet nor CSV")
    texts = pl.read_csv(path, infer_schema=False)
    shaped = []
    for name, kind in columns.items():
        column = pl.col(name)
        if isinstance(kind, pl.Datetime):
            column = column.str.to_datetime(INSTANT_TEXT, time_unit="us", time_zone="UTC")
        elif kind == pl.Boolean:
            column = column == "true"
        shaped.append(column.cast(kind).alias(name))
    return texts.select(shaped)


class Landed:
    """Tables of DuckDB named `<table>`: the contract's columns and `landed_at`. `read` takes in what was extracted since."""

    def __init__(self, folder: Path, tables: tuple[str, ...]) -> None:
        self.folder = folder
        self.connection = duckdb.connect()
        self.connection.execute("set timezone = 'UTC'")
        self._columns = {table: contract_columns()[table] for table in tables}
        self._seen: set[Path] = set()
        for table, columns in self._columns.items():
            empty = pl.DataFrame(schema=columns | {"landed_at": pl.Datetime("us", "UTC")}).to_arrow()
            self.connection.register("landed_rows", empty)
            self.connection.execute(f"create table {table.split('.')[1]} as from landed_rows")

    def read(self, until: datetime) -> int:
        """Take in every delivery extracted up to `until` that was not read yet; gives how many."""
        taken = 0
        for table, columns in self._columns.items():
            source, name = table.split(".")
            for folder in sorted((self.folder / source / name).glob("[0-9]*Z")):
                at = datetime.strptime(folder.name, FOLDER).replace(tzinfo=UTC)
                if at > until or folder in self._seen:
                    continue
                self._seen.add(folder)
                taken += 1
                for path in sorted(folder.glob("part-*")):
                    rows = _read(path, columns).with_columns(landed_at=pl.lit(at).dt.cast_time_unit("us"))
                    self.connection.register("landed_rows", rows.to_arrow())
                    self.connection.execute(f"insert into {name} by name from landed_rows")
        return taken

    def rows(self, sql: str, **parameters: Any) -> pl.DataFrame:
        """The answer of a query."""
        return self.connection.execute(sql, parameters).pl()


def deliver(landing: Path, table: str, rows: pl.DataFrame, at: datetime) -> int:
    """Land rows of a table as an increment that claims no completeness, extracted at `at`; gives how many. No rows, no delivery."""
    if rows.is_empty():
        return 0
    columns = contract_columns()[table]
    source, name = table.split(".")
    form = FORMATS.get(source, "parquet")
    missing = [pl.lit(None, dtype=kind).alias(column) for column, kind in columns.items() if column not in rows.columns]
    shaped = rows.with_columns(missing).select(pl.col(column).cast(kind) for column, kind in columns.items())
    folder = landing / source / name / folder_name(micros(at))
    folder.mkdir(parents=True, exist_ok=True)
    write(shaped, folder / f"part-0.{form}", form)
    (folder / "_manifest.json").write_text(json.dumps({"complete": False, "rows": rows.height}) + "\n", encoding="utf-8")
    return rows.height
