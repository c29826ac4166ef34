"""The same deliveries in other clothes: rows shuffled, split over several files, columns in another order, other formats.

The landing contract says that none of this matters. `rewrite` makes the landing on which that can be seen.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path

import polars as pl

FORMATS = ("parquet", "csv", "jsonl")


def rewrite(landing: Path, target: Path, *, seed: int) -> dict[str, int]:
    """Files written per format. `target` holds the same deliveries as `landing`, with the same rows and manifests."""
    chance = random.Random(seed)
    written = dict.fromkeys(FORMATS, 0)
    for delivery in sorted(path for path in landing.glob("*/*/*") if path.is_dir()):
        into = target / delivery.relative_to(landing)
        into.mkdir(parents=True)
        rows = _rows(delivery, seed=chance.randrange(2**31))
        columns = chance.sample(rows.columns, len(rows.columns))
        parts = chance.randint(1, 3)
        for part in range(parts):
            kind = chance.choice(FORMATS)
            _write(rows.select(columns)[part::parts], into / f"other-{part}.{kind}")
            written[kind] += 1
        manifest = delivery / "_manifest.json"
        if manifest.exists():
            shutil.copyfile(manifest, into / manifest.name)
    return written


def _rows(delivery: Path, *, seed: int) -> pl.DataFrame:
    """All rows of a delivery as texts (lists as they are), shuffled."""
    frames = []
    for path in sorted(delivery.iterdir()):
        if path.suffix == ".parquet":
            frames.append(_as_texts(pl.read_parquet(path)))
        elif path.suffix == ".csv":
            frames.append(_csv(path))
        elif path.suffix == ".jsonl":
            objects = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
            frames.append(
                pl.DataFrame([{name: _text(value) for name, value in row.items()} for row in objects], infer_schema_length=None)
            )
    return pl.concat(frames, how="diagonal").sample(fraction=1.0, shuffle=True, seed=seed)


def _as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    texts = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if isinstance(kind, pl.Datetime):
            texts.append(column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
        elif not isinstance(kind, pl.List):
            texts.append(column.cast(pl.String))
    return frame.with_columns(texts)


def _csv(path: Path) -> pl.DataFrame:
    """One row per line that is a row. A line that is none is an error here: it could not be told again in another format."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = list(csv.reader(file, strict=True))
    if any(len(line) != len(header) for line in lines):
        raise ValueError(f"{path} has a line with another number of fields than its header")
    return pl.DataFrame(lines, schema=dict.fromkeys(header, pl.String), orient="row")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _write(rows: pl.DataFrame, path: Path) -> None:
    lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
    if path.suffix == ".parquet":
        rows.write_parquet(path)
    elif path.suffix == ".jsonl":
        rows.write_ndjson(path)
    else:
        as_json = {name: [None if value is None else json.dumps(value.to_list()) for value in rows[name]] for name in lists}
        rows.with_columns(pl.Series(name, values, dtype=pl.String) for name, values in as_json.items()).write_csv(path)
