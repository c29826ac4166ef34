"""Which delivery folders there are, what is in them, and what their manifests claim."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candor.contract import Contract, Table

MANIFEST = "_manifest.json"
FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl"}
FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}T\d{6}Z")


@dataclass(frozen=True)
class Manifest:
    """What the source claims about a delivery. Without a usable manifest: an increment of unknown extent."""

    complete: bool = False
    covers_from: datetime | None = None  # naive, UTC, as in the warehouse
    covers_to: datetime | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Folder:
    """One delivery folder as it lies there now."""

    table: Table
    name: str
    path: Path
    extracted_at: datetime  # naive, UTC
    files: tuple[Path, ...]
    manifest: Manifest
    notes: tuple[tuple[str, str], ...]  # (what, detail)
    fingerprint: str


def extracted_at(name: str) -> datetime | None:
    """The instant that a delivery folder is named by (naive, UTC), or None when the name is no such instant."""
    if not FOLDER.fullmatch(name):
        return None
    try:
        return datetime.strptime(name, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC).replace(tzinfo=None)
    except ValueError:  # 2026-02-30T000000Z
        return None


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"not an instant: {value!r}")
    instant = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def read_manifest(path: Path) -> tuple[Manifest, str | None]:
    """The manifest at `path`, and what is wrong with it. A broken one proves nothing: it counts as no manifest."""
    if not path.exists():
        return Manifest(), None
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(given, dict):
            raise ValueError(f"not an object: {type(given).__name__}")
        complete, rows = given.get("complete", False), given.get("rows")
        if not isinstance(complete, bool):
            raise ValueError(f"complete is not true or false: {complete!r}")
        if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 0):
            raise ValueError(f"rows is not a count: {rows!r}")
        covers_from, covers_to = _instant(given.get("covers_from")), _instant(given.get("covers_to"))
        if covers_from is not None and covers_to is None and complete:
            raise ValueError("complete with covers_from needs covers_to")
        if covers_from is not None and covers_to is not None and covers_to < covers_from:
            raise ValueError(f"covers_to {covers_to} is before covers_from {covers_from}")
    except (ValueError, UnicodeDecodeError) as problem:
        return Manifest(), str(problem)
    return Manifest(complete, covers_from, covers_to, rows), None


def read_folder(path: Path, table: Table) -> Folder | None:
    """The delivery at `path`, or None when its name is no instant or it holds nothing that could be a delivery."""
    instant = extracted_at(path.name)
    if instant is None:
        return None
    files, notes, prints = [], [], []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue  # a file still being written
        if entry.name == MANIFEST or (entry.is_file() and entry.suffix.lower() in FORMATS):
            stat = entry.stat()
            # ctime as well: a copy that keeps the old mtime and size still changes it.
            prints.append([entry.name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
            if entry.name != MANIFEST:
                files.append(entry)
        else:
            notes.append(("unknown_file", entry.name))
    manifest, problem = read_manifest(path / MANIFEST)
    if problem is not None:
        notes.append(("manifest_broken", problem))
    if not files and not manifest.complete:
        return None
    fingerprint = hashlib.sha256(json.dumps(prints).encode()).hexdigest()
    return Folder(table, path.name, path, instant, tuple(files), manifest, tuple(notes), fingerprint)


def find(
    landing_dir: Path, contract: Contract, *, until: datetime | None = None, tables: tuple[str, ...] | None = None
) -> tuple[list[Folder], list[dict[str, str]]]:
    """All deliveries extracted up to `until` (naive, UTC), in the contract's order and by time; and what lies there besides.

    `tables` (full names) limits the search. A source writes a delivery under a name that starts with "." or "_" and
    renames it when whole; such folders are passed over.
    """
    known = {table.full_name: table for table in contract.tables}
    sources = {source.name for source in contract.sources}
    found: list[Folder] = []
    problems: list[dict[str, str]] = []

    def entries(folder: Path) -> list[Path]:
        return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "_"))]

    for source in entries(landing_dir) if landing_dir.is_dir() else []:
        if not source.is_dir() or source.name not in sources:
            problems.append({"what": "unknown_source", "where": source.name})
            continue
        for table_dir in entries(source):
            full_name = f"{source.name}.{table_dir.name}"
            if not table_dir.is_dir() or full_name not in known:
                problems.append({"what": "unknown_table", "where": full_name})
                continue
            if tables is not None and full_name not in tables:
                continue
            for delivery in entries(table_dir):
                where = f"{source.name}/{table_dir.name}/{delivery.name}"
                instant = extracted_at(delivery.name) if delivery.is_dir() else None
                if instant is None:
                    problems.append({"what": "name_is_no_instant", "where": where})
                elif until is None or instant <= until:
                    folder = read_folder(delivery, known[full_name])
                    if folder is None:
                        problems.append({"what": "empty_delivery", "where": where})
                    else:
                        found.append(folder)
    order = {table.full_name: place for place, table in enumerate(contract.tables)}
    found.sort(key=lambda folder: (order[folder.table.full_name], folder.name))
    return found, problems
