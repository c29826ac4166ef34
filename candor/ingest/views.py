"""The raw views: for each table of the contract the rows of the deliveries pinned to a run, typed and empty where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from candor.contract import Table
from candor.contract import load as load_contract
from candor.ingest.columns import literal, quoted
from candor.ingest.landing import raw_dir
from candor.runs import Run
from candor.warehouse import sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


@dataclass(frozen=True)
class Pinned:
    """A delivery that a run sees."""

    delivery_id: str
    table: str  # source.table
    extracted_at: datetime
    rows_loaded: int
    is_complete: bool
    covers_from: datetime | None
    covers_to: datetime | None
    segment: str

    @property
    def is_whole(self) -> bool:
        return self.is_complete and self.covers_from is None


def pinned_deliveries(connection: duckdb.DuckDBPyConnection, run: Run) -> dict[str, list[Pinned]]:
    """The run's deliveries by table, oldest first."""
    rows = connection.execute(
        f"""
        select deliveries.delivery_id, deliveries.source || '.' || deliveries.table_name, deliveries.extracted_at,
            deliveries.rows_loaded, deliveries.is_complete, deliveries.covers_from, deliveries.covers_to, deliveries.segment
        from state.pins
        inner join state.deliveries on pins.delivery_id = deliveries.delivery_id
        where pins.as_of = {sql_timestamp(run.as_of)}
        order by deliveries.extracted_at, deliveries.delivery_id
        """
    ).fetchall()
    found: dict[str, list[Pinned]] = {}
    for row in rows:
        found.setdefault(row[1], []).append(Pinned(*row))
    return found


def last_whole_at(pinned: list[Pinned]) -> datetime | None:
    """When the table was last extracted whole; deliveries from before that are superseded."""
    return max((delivery.extracted_at for delivery in pinned if delivery.is_whole), default=None)


def known_whole_at(pinned: list[Pinned]) -> datetime | None:
    """Up to when the table is known without a gap: its last whole extract, then increments that leave no gap. None: never."""
    whole = max(
        (delivery for delivery in pinned if delivery.is_whole), key=lambda delivery: delivery.extracted_at, default=None
    )
    if whole is None:
        return None
    known = whole.covers_to or whole.extracted_at
    increments = [
        (delivery.covers_from, delivery.covers_to)
        for delivery in pinned
        if delivery.is_complete and delivery.covers_from is not None and delivery.covers_to is not None
    ]
    for covers_from, covers_to in sorted(increments):
        if covers_from > known:
            break
        known = max(known, covers_to)
    return known


def _view_sql(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table, pinned: list[Pinned]) -> str:
    columns = [quoted(column.name) for column in table.columns]
    if not pinned:
        empty = ", ".join(f"null::{c.duckdb_type} as {quoted(c.name)}" for c in table.columns)
        return (
            f"select {empty}, null::uuid as _row_hash, null::varchar as _delivery_id, null::timestamp as _extracted_at, "
            "null::boolean as _is_superseded, null::varchar as _file, null::bigint as _line where false"
        )
    whole_at = last_whole_at(pinned)
    held = dict(
        connection.execute(
            "select segment, count(*) from state.deliveries where source = ? and table_name = ? group by segment",
            [table.source, table.name],
        ).fetchall()
    )
    by_segment: dict[str, list[Pinned]] = {}
    for delivery in pinned:
        by_segment.setdefault(delivery.segment, []).append(delivery)
    # The extraction time names a delivery among the pinned ones. Only a segment that also holds deliveries which are not
    # pinned (restated since, or later than the run) must be read apart, so that its other rows stay out.
    whole_segments = [segment for segment, own in by_segment.items() if len(own) == held[segment]]
    groups = [whole_segments] if whole_segments else []
    groups += [[segment] for segment in by_segment if segment not in whole_segments]
    folder = raw_dir(settings, table)
    selects = []
    for segments in groups:
        rows = ", ".join(
            f"({literal(delivery.delivery_id)}, timestamp '{delivery.extracted_at}', "
            f"{'true' if whole_at is not None and delivery.extracted_at < whole_at else 'false'})"
            for segment in segments
            for delivery in by_segment[segment]
        )
        paths = ", ".join(literal(str(folder / f"{segment}.parquet")) for segment in segments)
        selects.append(
            f"""
            select {", ".join(f"loaded.{column}" for column in columns)}, loaded._row_hash, pinned.delivery_id as _delivery_id,
                loaded._extracted_at, pinned.is_superseded as _is_superseded, loaded._file, loaded._line
            from read_parquet([{paths}], hive_partitioning = false) as loaded
            inner join (values {rows}) as pinned(delivery_id, extracted_at, is_superseded)
                on loaded._extracted_at = pinned.extracted_at
            """
        )
    return " union all ".join(selects)


def install_views(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> None:
    """Make `raw.*`, `vault.raw.*` and `raw.feeds` show what is pinned to `run`, in one transaction per database."""
    contract = load_contract()
    pinned = pinned_deliveries(connection, run)
    # DuckDB writes to one attached database per transaction.
    for database, is_restricted in (("vault.raw", True), ("raw", False)):
        connection.execute("begin")
        try:
            connection.execute(f"create schema if not exists {database}")
            for table in contract.tables:
                if table.restricted == is_restricted:
                    sql = _view_sql(connection, settings, table, pinned.get(table.full_name, []))
                    connection.execute(f"create or replace view {database}.{quoted(table.view)} as {sql}")
            if not is_restricted:
                _write_feeds(connection, contract.tables, pinned)
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise


def _write_feeds(connection: duckdb.DuckDBPyConnection, tables: tuple[Table, ...], pinned: dict[str, list[Pinned]]) -> None:
    connection.execute(
        """
        create or replace table raw.feeds (
            source varchar not null, table_name varchar not null, last_extracted_at timestamp, known_whole_at timestamp,
            delivery_count bigint not null, row_count bigint not null
        )
        """
    )
    for table in tables:
        own = pinned.get(table.full_name, [])
        last = max((delivery.extracted_at for delivery in own), default=None)
        connection.execute(
            "insert into raw.feeds values (?, ?, ?, ?, ?, ?)",
            [table.source, table.name, last, known_whole_at(own), len(own), sum(delivery.rows_loaded for delivery in own)],
        )
