"""Writes deliveries as the landing contract says: one whole extract, then gapless complete increments per table."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

import candor
from simulation.tools import DAY, MINUTE, generator, instant, micros

CONTRACT = Path(candor.__file__).parent / "contract.yml"
TYPES = {
    "string": pl.String, "json": pl.String, "country": pl.String, "region": pl.String, "instant": pl.Datetime("us", "UTC"), "date": pl.Date,
    "decimal": pl.Decimal(24, 8), "int": pl.Int64, "bool": pl.Boolean, "strings": pl.List(pl.String),
}  # fmt: skip
FORMATS = {"crm": "csv", "surveys": "jsonl"}  # the others Parquet, so that all three formats are exercised
INSTANT_TEXT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def contract_columns() -> dict[str, dict[str, Any]]:
    """The columns and types of every table of the contract, by `source.table`."""
    contract = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    columns = {}
    for source, entry in contract["sources"].items():
        for table, detail in entry["tables"].items():
            kinds = {name: kind["type"] if isinstance(kind, dict) else kind for name, kind in detail["columns"].items()}
            columns[f"{source}.{table}"] = {name: TYPES[kind.rstrip("?")] for name, kind in kinds.items()}
    return columns


def extracted_at(table: str, as_of: int, seed: int) -> int:
    """When a source extracted the delivery of a day: 5 to 40 minutes before `as_of`, on a whole second."""
    minutes = generator(seed, "extract", table, as_of // DAY).uniform(5, 40)
    return as_of - int(minutes * 60) * (MINUTE // 60)


def folder_name(at: int) -> str:
    """The delivery folder of an extraction instant."""
    return instant(at).strftime("%Y-%m-%dT%H%M%SZ")


def write(frame: pl.DataFrame, path: Path, form: str) -> None:
    """Write one file of a delivery; the same frame gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        frame.write_parquet(path, compression="zstd", compression_level=1, statistics=True)
    elif form == "csv":
        frame.write_csv(path, datetime_format=INSTANT_TEXT)
    else:
        instants = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
        decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
        frame = frame.with_columns(pl.col(instants).dt.strftime(INSTANT_TEXT), pl.col(decimals).cast(pl.Float64))
        frame.write_ndjson(path)


class Landing:
    """The deliveries of a span of days. Rows come with `_known` (microseconds); each goes to the first delivery that saw it."""

    def __init__(
        self, folder: Path, pending: Path, *, as_ofs: list[int], seed: int, covered_to: dict[str, int] | None = None
    ) -> None:
        self.folder, self.pending = folder, pending
        self.columns = contract_columns()
        self.covered_to = covered_to  # None: the first delivery is the whole extract
        self.extracts = {table: np.array([extracted_at(table, as_of, seed) for as_of in as_ofs]) for table in self.columns}
        self.rows = {table: np.zeros(len(as_ofs), dtype=np.int64) for table in self.columns}
        self.parts: dict[str, int] = dict.fromkeys(self.columns, 0)

    def add(self, table: str, frame: pl.DataFrame) -> int:
        """Land the rows of a table, in the order of when they became known; returns how many were landed by the last day."""
        columns, extracts = self.columns[table], self.extracts[table]
        source, name = table.split(".")
        form = FORMATS.get(source, "parquet")
        part = self.parts[table]
        self.parts[table] += 1
        frame = frame.sort("_known", maintain_order=True)
        slot = np.searchsorted(extracts, frame["_known"].to_numpy(), side="left")
        bounds = np.searchsorted(slot, np.arange(len(extracts) + 1), side="left")
        waiting = frame[int(bounds[-1]) :]
        if len(waiting):
            self.pending.mkdir(parents=True, exist_ok=True)
            waiting.write_parquet(self.pending / f"{table}-{part}.parquet", compression="zstd")
        missing = [pl.lit(None, dtype=kind).alias(column) for column, kind in columns.items() if column not in frame.columns]
        shaped = frame.with_columns(missing).select(pl.col(column).cast(kind) for column, kind in columns.items())
        for place, at in enumerate(extracts):
            rows = shaped[int(bounds[place]) : int(bounds[place + 1])]
            self.rows[table][place] += len(rows)
            if len(rows) or part == 0:
                write(rows, self.folder / source / name / folder_name(int(at)) / f"part-{part}.{form}", form)
        return int(bounds[-1])

    def finish(self) -> dict[str, int]:
        """Write the manifests of every delivery; returns rows landed by table."""
        for table, extracts in self.extracts.items():
            source, name = table.split(".")
            previous = None if self.covered_to is None else self.covered_to[table]
            for place, at in enumerate(extracts):
                manifest: dict[str, object] = {"complete": True}
                if previous is not None:
                    manifest["covers_from"] = _text(previous)
                manifest |= {"covers_to": _text(int(at)), "rows": int(self.rows[table][place])}
                folder = self.folder / source / name / folder_name(int(at))
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "_manifest.json").write_text(json.dumps(manifest) + "\n", encoding="utf-8")
                previous = int(at)
        return {table: int(counts.sum()) for table, counts in self.rows.items()}


def last_covered(folder: Path, as_of: int) -> dict[str, int]:
    """Up to when each table of a landing folder is covered at `as_of`, from its manifests."""
    covered = {}
    for table in contract_columns():
        source, name = table.split(".")
        latest = 0
        for manifest in sorted((folder / source / name).glob("*/_manifest.json")):
            to = json.loads(manifest.read_text(encoding="utf-8")).get("covers_to")
            if to is None:
                continue  # an increment that claims no completeness
            at = micros(datetime.fromisoformat(to))
            latest = max(latest, at if at <= as_of else 0)
        if latest == 0:
            raise ValueError(
                f"{folder} has no delivery of {table} covering up to {instant(as_of).isoformat()}: generate() first"
            )
        covered[table] = latest
    return covered


def _text(at: int) -> str:
    return instant(at).strftime("%Y-%m-%dT%H:%M:%SZ")
