"""What is past its period goes: set-wise, per class of record of policy/retention.yml.

What an erasure held apart is deleted row by row on its own date. Landed rows whose period begins with their own instant go from the raw
segments, with the same record of sums that an erasure leaves. What the product makes: past decisions leave the warehouse, and files of past
runs that are not in the chain leave the published folder. The decision log goes run by run, and leaves a tombstone with the hashes of what went,
so that its chain still holds from the first entry to the last.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import warehouse
from candor.contract import load as load_contract
from candor.erasure import inventory, removing, subjects, turns
from candor.erasure.erase import opened, own_instant
from candor.ledger import chain
from candor.ledger.tombstones import RECORD_CLASS, Tombstones
from candor.policy import load as load_policy
from candor.policy.retention import RecordClass, months_from

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


def retain(as_of: datetime, settings: Settings, *, dry_run: bool = False) -> list[dict[str, Any]]:
    """Per class: how many records are past their period, and how many of them went. With `dry_run` none do.

    Raises UsageError while a run or an erasure is going on.
    """
    classes = {one.name: one for one in load_policy(settings.policy_dir, settings.shop).retention}
    told: dict[str, dict[str, Any]] = {
        name: {"record_class": name, "months": one.months, "past": 0, "dropped": 0} for name, one in classes.items()
    }
    with turns.alone(settings), opened(settings) as connection:
        for name, past, dropped in (
            *_held(connection, settings, as_of, dry_run),
            *_landed(connection, settings, classes, as_of, dry_run),
            *_made(connection, settings, classes, as_of, dry_run),
        ):
            told.setdefault(name, {"record_class": name, "months": None, "past": 0, "dropped": 0})
            told[name]["past"] += past
            told[name]["dropped"] += dropped
    return [told[name] for name in sorted(told)]


def _held(
    connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime, dry_run: bool
) -> list[tuple[str, int, int]]:
    """(class, rows past their date, rows dropped) of each file that erasures held apart; a file of which nothing is left goes."""
    done = []
    mine = f"held_until <= timestamp '{warehouse.utc(as_of)}'"
    for path in sorted((settings.restricted_dir / "held").glob("[!.]*.parquet")):
        past, rows = connection.execute(
            f"select count(*) filter (where {mine}), count(*) from {subjects.read([path])}"
        ).fetchall()[0]
        if past and not dry_run:
            if past == rows:
                path.unlink()
            else:
                removing.rewrite_file(connection, path, mine)
        done.append((path.name.split(".")[0], int(past), 0 if dry_run else int(past)))
    return done


def _landed(
    connection: duckdb.DuckDBPyConnection, settings: Settings, classes: dict[str, RecordClass], as_of: datetime, dry_run: bool
) -> list[tuple[str, int, int]]:
    """The same of raw rows whose period began with their own instant. Of several classes of a table the longest counts."""
    done = []
    connection.execute(subjects.TERMS)
    tables = {table.full_name: table for table in load_contract().tables}
    for full_name, table in tables.items():
        own = [one for one in classes.values() if full_name in one.tables]
        paths = subjects.segments(settings, table)
        if not own or not paths or any(one.begins_at_end or one.months is None for one in own):
            continue
        longest = max(own, key=lambda one: one.months or 0)
        ends = months_from(warehouse.utc(as_of), -(longest.months or 0))
        where = f"{own_instant({column.name for column in table.columns})} <= timestamp '{ends}'"
        (past,) = connection.execute(f"select count(*) from {subjects.read(paths)} where {where}").fetchall()[0]
        done.append((longest.name, int(past), 0 if dry_run else int(past)))
        connection.execute(
            f"insert into erased_terms select distinct 'row_hash', _row_hash::varchar from {subjects.read(paths)} where {where}"
        )
    if not dry_run and connection.execute("select 1 from erased_terms limit 1").fetchone():
        _drop_landed(connection, settings, as_of)
    return done


def _drop_landed(connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime) -> None:
    removing.removed_sums(connection, settings)
    removing.register_removed(connection, f"retention of {warehouse.utc(as_of).isoformat()}Z")
    removing.from_raw(connection, settings)


def _made(
    connection: duckdb.DuckDBPyConnection, settings: Settings, classes: dict[str, RecordClass], as_of: datetime, dry_run: bool
) -> list[tuple[str, int, int]]:
    """The same of what the product makes, in rows of decisions and files of published runs."""
    done = []
    entries = chain.entries(settings)
    if (scores := classes.get("features_and_scores")) and scores.months is not None:
        ends = months_from(warehouse.utc(as_of), -scores.months)
        has_decisions = connection.execute(
            "select 1 from duckdb_tables() where schema_name = 'state' and table_name = 'decisions'"
        ).fetchone()
        if has_decisions:
            (past,) = connection.execute("select count(*) from state.decisions where as_of <= ?", [ends]).fetchall()[0]
            if not dry_run:
                connection.execute("delete from state.decisions where as_of <= ?", [ends])
            done.append((scores.name, int(past), 0 if dry_run else int(past)))
        old = {entry.run_id for entry in entries if warehouse.utc(entry.instant()) <= ends}
        files = [
            path
            for store, name, path in removing.published_files(settings)
            if _run_of(settings, path) in old
            and any(line.does == "delete" and line.record_class == scores.name for line in inventory.of(store, name))
        ]
        for path in files if not dry_run else ():
            os.unlink(path)
        done.append((scores.name, len(files), 0 if dry_run else len(files)))
    if log := classes.get(RECORD_CLASS):
        done += _log(settings, log, entries, as_of, dry_run)
    return done


def _log(
    settings: Settings, log: RecordClass, entries: list[chain.Entry], as_of: datetime, dry_run: bool
) -> list[tuple[str, int, int]]:
    """(class, files of runs past the period, files dropped) of the decision log; none goes while the policy holds the class for the law."""
    months = Tombstones(settings, tuple(entries)).longest(log.months) if log.months is not None else None
    if months is None:
        return []
    ends = months_from(warehouse.utc(as_of), -months)
    past = dropped = 0
    for entry in entries:
        if warehouse.utc(entry.instant()) > ends:
            continue
        standing = [key for key in entry.files if _is_log(key) and _path(settings, entry, key).is_file()]
        past += len(standing)
        if not dry_run and not log.legal_hold:
            dropped += chain.drop(settings, entry, standing, as_of=as_of, months=months)
    return [(log.name, past, dropped)]


def _is_log(key: str) -> bool:
    """Whether the file of an entry is of the decision log, by the inventory: one of another class goes when that class says so."""
    face, _, name = key.partition("/")
    lines = inventory.of(face, name.removesuffix(".parquet"))
    return bool(lines) and all(line.record_class == RECORD_CLASS for line in lines)


def _path(settings: Settings, entry: chain.Entry, key: str) -> Path:
    face, _, name = key.partition("/")
    return chain.folders(settings, entry.run_id)[face] / name


def _run_of(settings: Settings, path: Path) -> str:
    base = settings.published_dir if path.is_relative_to(settings.published_dir) else settings.restricted_published_dir
    return path.relative_to(base).parts[0]
