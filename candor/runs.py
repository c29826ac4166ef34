"""What a run is: one `as_of`, the deliveries pinned to it, its place in the order of runs.

The tables live in schema `state` of the warehouse and survive a full refresh.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

STATE_TABLES = """
create schema if not exists state;
create table if not exists state.deliveries (
    delivery_id varchar primary key, source varchar not null, table_name varchar not null, delivery varchar not null,
    extracted_at timestamp not null, content_hash varchar not null, landed_seq bigint not null,
    rows_read bigint not null, rows_loaded bigint not null, rows_quarantined bigint not null,
    is_complete boolean not null, covers_from timestamp, covers_to timestamp, segment varchar not null
);
create table if not exists state.batches (
    batch_seq bigint primary key, as_of timestamp not null unique, run_id varchar not null unique,
    policy_version varchar not null, champion_version varchar
);
create table if not exists state.pins (as_of timestamp not null, delivery_id varchar not null);
create table if not exists state.current_run (as_of timestamp not null);
create table if not exists state.key_map (
    person_id varchar not null, identifier_kind varchar not null, identifier varchar not null, batch_seq bigint not null,
    evidence varchar
);
create table if not exists state.hygiene_history (
    batch_seq bigint not null, metric varchar not null, source varchar not null, table_name varchar not null, key varchar not null,
    value double, n bigint
);
create table if not exists state.arms (person_id varchar not null, arm varchar not null, batch_seq bigint not null);
"""


@dataclass(frozen=True)
class Run:
    """One `as_of` and what was pinned to it when it first ran."""

    as_of: datetime  # aware, UTC
    run_id: str
    batch_seq: int
    policy_version: str
    champion_version: str | None


def parse_as_of(text: str) -> datetime:
    """The instant written in `text` (ISO 8601; without a zone it is UTC). Raises UsageError for anything else."""
    try:
        instant = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"not an instant: {text!r}", hint="write 2026-11-23T15:00:00Z") from None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def resolve_as_of(as_of: str | None, logical_date: datetime | None) -> str:
    """The instant of a scheduled or triggered run as text: the parameter, else the logical date.

    Raises UsageError when there is neither, as when a run is triggered by hand without a date.
    """
    if as_of:
        return parse_as_of(as_of).isoformat()
    if logical_date is None:
        raise UsageError(
            "the run has neither an as_of nor a logical date", hint='trigger it with {"as_of": "2026-11-23T15:00:00Z"}'
        )
    return logical_date.astimezone(UTC).isoformat()


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the state tables where they do not exist yet."""
    connection.execute(STATE_TABLES)


def pin(connection: duckdb.DuckDBPyConnection, as_of: datetime, *, policy_version: str) -> Run:
    """The run of `as_of`, made current. Its first call pins the deliveries known now; later calls change nothing.

    Pinned is, for each delivery folder extracted up to `as_of`, the content that landed last.
    Raises UsageError when nothing has been delivered up to `as_of`.
    """
    prepare(connection)
    instant = utc(as_of)
    connection.execute("begin")
    try:
        known = connection.execute("select 1 from state.batches where as_of = ?", [instant]).fetchone()
        if known is None:
            pinned = [
                row[0]
                for row in connection.execute(
                    """
                    select delivery_id from state.deliveries where extracted_at <= ?
                    qualify row_number() over (partition by source, table_name, delivery order by landed_seq desc) = 1
                    order by delivery_id
                    """,
                    [instant],
                ).fetchall()
            ]
            if not pinned:
                raise UsageError(
                    f"no delivery was extracted up to {instant.isoformat()}Z",
                    hint="check CANDOR_LANDING_DIR and the names of the delivery folders",
                )
            inputs = json.dumps([instant.isoformat(), pinned, policy_version])
            run_id = "r" + hashlib.sha256(inputs.encode()).hexdigest()[:16]
            connection.execute(
                "insert into state.batches select coalesce(max(batch_seq), 0) + 1, ?, ?, ?, null from state.batches",
                [instant, run_id, policy_version],
            )
            connection.execute("insert into state.pins select ?, unnest(?)", [instant, pinned])
        connection.execute("delete from state.current_run")
        connection.execute("insert into state.current_run values (?)", [instant])
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return get(connection, as_of)


def get(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> Run:
    """The run of `as_of`. Raises UsageError when it was never ingested."""
    prepare(connection)
    row = connection.execute(
        "select as_of, run_id, batch_seq, policy_version, champion_version from state.batches where as_of = ?", [utc(as_of)]
    ).fetchone()
    if row is None:
        raise UsageError(
            f"there is no run of {utc(as_of).isoformat()}Z", hint=f"candor ingest --as-of {utc(as_of).isoformat()}Z"
        )
    return Run(row[0].replace(tzinfo=UTC), row[1], row[2], row[3], row[4])


def current(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> Run:
    """The run of `as_of`, which must be the one the warehouse is built for.

    Raises UsageError when another run was ingested since: its tables are not those of `as_of`.
    """
    run = get(connection, as_of)
    row = connection.execute("select as_of from state.current_run").fetchone()
    if row is None or row[0] != utc(as_of):
        holds = "nothing" if row is None else f"the run of {row[0].isoformat()}Z"
        raise UsageError(
            f"the warehouse holds {holds}, not that of {utc(as_of).isoformat()}Z",
            hint=f"candor run --as-of {utc(as_of).isoformat()}Z builds it again, with the same result as before",
        )
    return run


def set_champion(connection: duckdb.DuckDBPyConnection, as_of: datetime, champion_version: str) -> None:
    """Remember which champion the run of `as_of` uses, so that reruns use the same."""
    connection.execute("update state.batches set champion_version = ? where as_of = ?", [champion_version, utc(as_of)])


def report_dir(settings: Settings, run: Run) -> Path:
    """The run's folder of reports, made if need be."""
    path = settings.reports_dir / run.run_id
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` whole or not at all, keys sorted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    os.replace(beside, path)
