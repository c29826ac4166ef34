"""Small vectorised helpers: seeded generators, ids that tell nothing, strings and times by the million."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

DAY = 86_400_000_000  # microseconds
HOUR = 3_600_000_000
MINUTE = 60_000_000
_ID_SPACE = 1 << 52
_ODD = 0x9E3779B97F4A7


def generator(seed: int, *scope: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and the scope alone, so that tables can be made in any order."""
    words = [zlib.crc32(str(part).encode()) for part in scope]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000 + instant.microsecond


def instant(value: int) -> datetime:
    """The aware instant of microseconds since 1970."""
    return datetime.fromtimestamp(value / 1_000_000, tz=UTC)


def ids(prefix: str, numbers: np.ndarray, salt: str) -> pl.Series:
    """Texts such as `ev-81273…`: one to one with `numbers` (below 2^51), in an order that says nothing."""
    offset = np.uint64(zlib.crc32(f"{prefix}{salt}".encode()) * 65_521 % _ID_SPACE)
    mixed = (numbers.astype(np.uint64) * np.uint64(_ODD) + offset) & np.uint64(_ID_SPACE - 1)
    return pl.select(pl.concat_str(pl.lit(prefix + "-"), pl.lit(pl.Series(mixed)).cast(pl.String).str.zfill(16))).to_series()


def hexes(rng: np.random.Generator, count: int, digits: int, prefix: str = "") -> pl.Series:
    """`count` texts of `digits` random hexadecimal digits."""
    raw = rng.bytes(count * digits // 2).hex().encode()
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int64) * digits)
    texts = pl.Series(pl.from_arrow(pa.LargeStringArray.from_buffers(count, offsets, pa.py_buffer(raw))))
    return (prefix + texts) if prefix else texts


def pick(choices: list[Any] | tuple[Any, ...], index: np.ndarray, dtype: Any = pl.String) -> pl.Series:
    """The choices at the indexes; an index of -1 gives null."""
    column = pl.Series(list(choices), dtype=dtype)
    known = pl.Series(index.astype(np.int64))
    return column.gather(known.set(known < 0, None))


def weighted(rng: np.random.Generator, weights: Any, count: int) -> np.ndarray:
    """Indexes drawn by weight."""
    edges = np.cumsum(np.asarray(weights, dtype=float))
    return np.searchsorted(edges / edges[-1], rng.random(count), side="right").clip(0, len(edges) - 1)


def times(values: np.ndarray, known: np.ndarray | None = None) -> pl.Series:
    """Instants from microseconds; where `known` is false, null."""
    column = pl.Series(values.astype(np.int64))
    if known is not None:
        column = column.set(pl.Series(~known), None)
    return column.cast(pl.Datetime("us", "UTC"))


def maybe(column: pl.Series, known: np.ndarray) -> pl.Series:
    """The column with null where `known` is false."""
    return column.set(pl.Series(~known), None)


def repeat(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each repetition the index it repeats, and its position among its repetitions."""
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - starts[owner]
