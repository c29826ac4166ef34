"""CSV and JSONL files as numbered physical lines, looked at as bytes before anything parses them.

A line that is not UTF-8, holds a NUL or passes the limit costs itself, never the file.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 32 * 1024 * 1024
SHOWN_BYTES = 2000  # of a line that cannot be kept as text
PROBLEMS = {1: "line_too_long", 2: "nul_byte", 3: "not_utf8"}


@dataclass(frozen=True)
class Lines:
    """Some consecutive lines: their numbers, texts (empty where unusable), and what is wrong with the unusable ones."""

    table: pa.Table  # line_no, text, problem, shown, digest
    count: int


class _Positions:
    """A codec error handler that remembers where the bytes were wrong and goes on."""

    def __init__(self) -> None:
        self.starts: list[int] = []

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        self.starts.append(error.start)
        return "\ufffd", error.end


def _bad_utf8(buffer: bytes) -> list[int]:
    try:
        buffer.decode("utf-8")
    except UnicodeDecodeError:
        positions = _Positions()
        codecs.register_error("candor-positions", positions)
        buffer.decode("utf-8", errors="candor-positions")
        return positions.starts
    return []


def _lines(buffer: bytes, first_line: int, limit: int) -> tuple[Lines, int]:
    """The lines of `buffer`, and how many physical lines there were; empty ones are no rows and left out."""
    import numpy as np
    import pyarrow as pa

    data = np.frombuffer(buffer, dtype=np.uint8)
    ends = np.flatnonzero(data == 10)
    if len(data) and data[-1] != 10:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else np.zeros(0, dtype=np.int64)
    stops = ends.copy()
    ends_in_cr = (stops > starts) & (data[np.maximum(stops - 1, 0)] == 13) if len(ends) else np.zeros(0, dtype=bool)
    stops = stops - ends_in_cr
    problem = np.zeros(len(ends), dtype=np.uint8)
    problem[np.searchsorted(ends, np.array(_bad_utf8(buffer), dtype=np.int64))] = 3
    problem[np.searchsorted(ends, np.flatnonzero(data == 0))] = 2
    problem[(stops - starts) > limit] = 1

    lengths = np.where(problem == 0, stops - starts, 0)
    is_kept = data != 10
    is_kept[stops[ends_in_cr]] = False
    for place in np.flatnonzero(problem > 0):  # only broken lines
        is_kept[starts[place] : stops[place]] = False
    kept = data[is_kept]
    is_row = stops > starts
    offsets = np.concatenate([[0], np.cumsum(lengths[is_row])]).astype(np.int64)
    text = pa.LargeStringArray.from_buffers(int(is_row.sum()), pa.py_buffer(offsets), pa.py_buffer(kept.tobytes()))

    rows = np.flatnonzero(is_row)
    names: list[Any] = [None] * len(rows)
    shown: list[Any] = [None] * len(rows)
    digests: list[Any] = [None] * len(rows)
    for place in np.flatnonzero(problem[rows] > 0):  # only broken lines
        line = buffer[starts[rows[place]] : stops[rows[place]]]
        names[place] = PROBLEMS[int(problem[rows[place]])]
        shown[place] = line[:SHOWN_BYTES].decode("utf-8", errors="backslashreplace").replace("\0", "\\x00")
        digests[place] = hashlib.md5(line, usedforsecurity=False).hexdigest()
    table = pa.table(
        {
            "line_no": pa.array(rows + first_line, type=pa.int64()),
            "text": text,
            "problem": pa.array(names, type=pa.string()),
            "shown": pa.array(shown, type=pa.string()),
            "digest": pa.array(digests, type=pa.string()),
        }
    )
    return Lines(table, len(rows)), len(ends)


def read_lines(path: Path, limit: int) -> Iterator[Lines]:
    """The non-empty lines of a file in blocks, without byte order mark and line ends, numbered from 1."""
    first_line, rest = 1, b""
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(BLOCK_BYTES):
            buffer = rest + block
            cut = buffer.rfind(b"\n") + 1
            rest = buffer[cut:]
            if cut:
                lines, count = _lines(buffer[:cut], first_line, limit)
                first_line += count
                yield lines
    if rest:
        yield _lines(rest, first_line, limit)[0]
