"""The chain: one entry per published run, each holding the hashes of the run's files and of the entry before it.

`<state>/published/chain/000001-<run_id>.json`, in the order in which runs were first published, whatever their days. An entry is made once and
never written again; there is no wall clock in it, so the same runs published in the same order give the same chain on every machine.

A run that was published keeps its content. Publishing it again gives the same rows, and changes nothing; other rows are refused before a
file is touched, because what customers were shown must stay provable. A day that has to be decided differently is another run: a later
`as_of`. Files whose rows are the same but whose bytes are not (another version of DuckDB wrote them) are left as they were published.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import CandorError
from candor.ledger.files import CHAINED_OPEN, CHAINED_RESTRICTED, catalogue_hash, digest
from candor.ledger.tombstones import Tombstones

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

SCHEMA = "candor-ledger/1"
DROPPED = "was dropped when its period of retention was over"


class LedgerBroken(CandorError):
    """The ledger is not what was published, or would not be. Exit code 1: nothing may rest on it until somebody has looked."""

    exit_code = 1


@dataclass(frozen=True)
class Entry:
    """One published run in the chain."""

    schema: str
    sequence: int
    run_id: str
    as_of: str
    batch_seq: int
    policy_version: str
    champion_version: str | None
    catalogue_hash: str
    files: dict[str, str]  # published/… and restricted/…, by name -> sha256
    previous: str | None
    hash: str

    def instant(self) -> datetime:
        """The run's as_of."""
        return datetime.fromisoformat(self.as_of.replace("Z", "+00:00")).astimezone(UTC)

    def computed_hash(self) -> str:
        """sha256 of everything in the entry but its hash."""
        content = {name: value for name, value in asdict(self).items() if name != "hash"}
        return digest(content)


@dataclass(frozen=True)
class Verdict:
    """What walking the chain found: `difference` names the first thing that is not as it was published."""

    runs: int
    files: int
    files_closed: int  # of the restricted face, which this account may not read
    head: str | None
    difference: str | None
    unchained: tuple[str, ...]  # published runs that have no entry
    files_dropped: int = 0  # whose period of retention was over, each with a tombstone that says so


def chain_dir(settings: Settings) -> Path:
    """The folder of the entries."""
    return settings.published_dir / "chain"


def entries(settings: Settings) -> list[Entry]:
    """All entries in order of publication. Raises LedgerBroken, naming the file, for one that cannot be read."""
    return [_read(path) for path in sorted(chain_dir(settings).glob("*.json"))]


def _read(path: Path) -> Entry:
    try:
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise LedgerBroken(
            f"{_named(path)} is no entry of the chain: {error}", hint="restore it from the write-once copy"
        ) from error


def _named(path: Path) -> str:
    return f"published/chain/{path.name}"


def of_run(settings: Settings, run_id: str) -> Entry | None:
    """The entry of a run; None when it was never published."""
    return next((entry for entry in entries(settings) if entry.run_id == run_id), None)


def folders(settings: Settings, run_id: str) -> dict[str, Path]:
    """Where the files of each face of a run are."""
    return {"published": settings.published_dir / run_id, "restricted": settings.restricted_published_dir / run_id}


def drop(settings: Settings, entry: Entry, keys: Iterable[str], *, as_of: datetime, months: int) -> int:
    """How many files of the run went, after a tombstone with their hashes was put down; a killed call is gone on with by the next.

    The entry stays as it is, so the chain holds; `verify` takes a tombstone for a file only as far as `tombstones.Tombstones` believes it.
    """
    stands = [(key, folders(settings, entry.run_id)[key.partition("/")[0]] / key.partition("/")[2]) for key in sorted(keys)]
    stands = [(key, path) for key, path in stands if path.is_file()]
    if not stands:
        return 0
    Tombstones(settings, tuple(entries(settings))).put(
        entry, {key: entry.files[key] for key, _ in stands}, as_of=as_of, months=months
    )
    for _, path in stands:
        path.unlink()
    return len(stands)


def chained_names() -> Iterator[tuple[str, str]]:
    """(face, file) of all that the chain vouches for."""
    yield from (("published", name) for name in CHAINED_OPEN)
    yield from (("restricted", name) for name in CHAINED_RESTRICTED)


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_published(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run, beside: dict[str, Path]) -> None:
    """Hold the files that are about to be published to those that the run published before, if it did.

    `beside` is where the new files of each face wait. Raises LedgerBroken, with nothing replaced, when rows differ.
    """
    entry = of_run(settings, run.run_id)
    if entry is None:
        return
    standing = folders(settings, run.run_id)
    for key, chained in sorted(entry.files.items()):  # what the entry lists, whatever a version of today would list
        face, _, name = key.partition("/")
        fresh, kept = beside[face] / name, standing[face] / name
        if not fresh.is_file():
            continue  # published by an older version only: it stays as it is
        if chained == file_hash(fresh):
            continue
        if not kept.is_file() or file_hash(kept) != chained:
            told = "the published file is gone or was changed, and the new one is not what the chain holds"
        elif (apart := _rows_apart(connection, kept, fresh)) == 0:
            shutil.copyfile(kept, fresh)
            continue
        else:
            told = f"{apart:,} rows are in one of them alone"
        raise LedgerBroken(
            f"run {run.run_id} of {entry.as_of} was published with another {key}: {told}",
            hint="a published run keeps its content; decide the day again under a later as_of, or with the version that decided it",
        )


def _rows_apart(connection: duckdb.DuckDBPyConnection, one: Path, other: Path) -> int:
    """How many rows are in one file and not in the other, copies counted."""
    left, right = (f"from read_parquet('{str(path).replace(chr(39), chr(39) * 2)}')" for path in (one, other))
    query = f"select count(*) from (({left} except all {right}) union all ({right} except all {left}))"
    return int(connection.execute(query).fetchall()[0][0])


def append(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> Entry:
    """The run's entry: the one it has, or a new one at the end of the chain, once and whole.

    To be called when the run's files stand and before anybody is shown an offer. Raises LedgerBroken when the run has another entry.
    """
    standing = folders(settings, run.run_id)
    known = entries(settings)
    before = next((entry for entry in known if entry.run_id == run.run_id), None)
    keys = before.files if before else [f"{face}/{name}.parquet" for face, name in chained_names()]
    files = {key: file_hash(standing[key.partition("/")[0]] / key.partition("/")[2]) for key in keys}
    previous = before.previous if before else (known[-1].hash if known else None)
    content = Entry(
        schema=SCHEMA,
        sequence=before.sequence if before else (known[-1].sequence if known else 0) + 1,
        run_id=run.run_id,
        as_of=f"{run.as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        batch_seq=run.batch_seq,
        policy_version=run.policy_version,
        champion_version=run.champion_version,
        catalogue_hash=catalogue_hash(connection),
        files=files,
        previous=previous,
        hash="",
    )
    made = Entry(**{**asdict(content), "hash": content.computed_hash()})
    if before is not None:
        if before != made:
            different = [name for name, value in asdict(made).items() if value != getattr(before, name) and name != "hash"]
            raise LedgerBroken(
                f"run {run.run_id} stands in the chain with other content: {', '.join(different)}",
                hint="candor ledger verify names the first file that is not what was published",
            )
        return before
    folder = chain_dir(settings)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{made.sequence:06}-{made.run_id}.json"
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(made), indent=2, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())  # an entry is there whole, after a power cut as well
    try:
        os.link(fresh, path)  # fails when it is there: an entry is never written twice
    finally:
        fresh.unlink()
    return made


def verify(settings: Settings, *, head: str | None = None, at: datetime | None = None) -> Verdict:
    """Walk the chain from its first entry, hash every file again, and stop at the first difference.

    `head` is the hash of an entry noted elsewhere: without it nobody can tell a chain whose end was cut off from one that ends there. `at` is
    now: a file that says it was dropped later than that is missed; without it that is not asked.
    """
    files = closed = dropped = 0
    previous: str | None = None
    seen: list[Entry] = []
    difference: str | None = None
    tombstones = Tombstones(settings, tuple(_readable(settings)), at)
    for number, path in enumerate(sorted(chain_dir(settings).glob("*.json")), start=1):
        try:
            entry = _read(path)
        except LedgerBroken as error:
            difference = error.message
            break
        if (difference := _entry_difference(entry, path, number, previous)) is not None:
            break
        for key in sorted(entry.files):
            state = _file_state(settings, entry, key, tombstones)
            if state == "closed":
                closed += 1
            elif state == DROPPED:
                dropped += 1
            elif state is None:
                files += 1
            else:
                difference = f"{key} of run {entry.run_id} (entry {entry.sequence}) {state}"
                break
        if difference is not None:
            break
        previous = entry.hash
        seen.append(entry)
    if difference is None and head is not None and head not in {entry.hash for entry in seen}:
        difference = f"no entry has the hash {head}: the end of the chain was cut off, or the chain was made anew"
    chained = {path.stem.partition("-")[2] for path in chain_dir(settings).glob("*.json")}
    published = {path.parent.name for path in settings.published_dir.glob("*/ledger.parquet")}
    return Verdict(len(seen), files, closed, previous, difference, tuple(sorted(published - chained)), dropped)


def _readable(settings: Settings) -> Iterator[Entry]:
    """The entries that can be read, in order: of the others `verify` speaks when it comes to them."""
    for path in sorted(chain_dir(settings).glob("*.json")):
        with suppress(LedgerBroken):
            yield _read(path)


def _entry_difference(entry: Entry, path: Path, number: int, previous: str | None) -> str | None:
    if entry.sequence != number or path.name != f"{entry.sequence:06}-{entry.run_id}.json":
        return f"{_named(path)} is entry {entry.sequence} of run {entry.run_id} where entry {number} should be"
    if entry.computed_hash() != entry.hash:
        return f"{_named(path)} was changed: its content has another hash than it says"
    if entry.previous != previous:
        return f"{_named(path)} does not follow from the entry before it"
    return None


def _file_state(settings: Settings, entry: Entry, key: str, tombstones: Tombstones) -> str | None:
    """None when the file is what was published, `closed` when this account may not read it, DROPPED, else what is wrong with it."""
    face, _, name = key.partition("/")
    path, expected = folders(settings, entry.run_id)[face] / name, entry.files[key]
    try:
        found = file_hash(path)
    except PermissionError:
        return "closed"
    except FileNotFoundError:
        return DROPPED if key in tombstones.files(entry) else "is gone"
    return None if found == expected else f"is not what was published: sha256 {found}, in the chain {expected}"


def check_files(settings: Settings, entry: Entry, faces: tuple[str, ...]) -> None:
    """Hold what an explanation is going to read to the chain. Raises LedgerBroken naming the first file that differs."""
    if entry.computed_hash() != entry.hash:
        raise LedgerBroken(f"the entry of run {entry.run_id} was changed", hint="candor ledger verify")
    tombstones = Tombstones(settings, tuple(_readable(settings)))
    for key in sorted(entry.files):
        if key.partition("/")[0] in faces and (state := _file_state(settings, entry, key, tombstones)) is not None:
            told = "may not be read by this account" if state == "closed" else state
            raise LedgerBroken(f"{key} of run {entry.run_id} {told}", hint="candor ledger verify; nothing is explained from it")
