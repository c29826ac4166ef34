"""What a run is built from, in numbers: the same for every rerun, because it is counted over the pinned deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from candor.contract import load as load_contract
from candor.ingest.columns import literal
from candor.ingest.landing import quarantine_dir
from candor.ingest.views import pinned_deliveries
from candor.runs import Run
from candor.warehouse import sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


def _reasons(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> dict[str, dict[str, int]]:
    """Refused rows of the pinned deliveries, by table and reason (a row with two reasons counts under both)."""
    found: dict[str, dict[str, int]] = {}
    pinned = pinned_deliveries(connection, run)
    for table in load_contract().tables:
        folder = quarantine_dir(settings, table)
        pairs = [(delivery.segment, delivery.extracted_at) for delivery in pinned.get(table.full_name, [])]
        pairs = [(segment, at) for segment, at in pairs if (folder / f"{segment}.parquet").exists()]
        if not pairs:
            continue
        paths = ", ".join(literal(str(folder / f"{segment}.parquet")) for segment in sorted({segment for segment, _ in pairs}))
        rows = ", ".join(f"({literal(segment)}, timestamp '{at}')" for segment, at in pairs)
        counted = connection.execute(
            f"""
            select reason, count(*)
            from (
                select unnest(refused.reasons) as reason
                from read_parquet([{paths}], filename = '_segment') as refused
                inner join (values {rows}) as pinned(segment, extracted_at)
                    on parse_filename(refused._segment, true) = pinned.segment and refused._extracted_at = pinned.extracted_at
            )
            group by reason order by reason
            """
        ).fetchall()
        if counted:
            found[table.full_name] = dict(counted)
    return found


def report(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run, landed: dict[str, Any]) -> dict[str, Any]:
    """Counts and watermarks per table of what is pinned to `run`, with what this call found new."""
    at = sql_timestamp(run.as_of)
    counts = connection.execute(
        f"""
        select deliveries.source || '.' || deliveries.table_name, count(*), sum(rows_read)::bigint, sum(rows_loaded)::bigint,
            sum(rows_quarantined)::bigint
        from state.pins inner join state.deliveries on pins.delivery_id = deliveries.delivery_id
        where pins.as_of = {at} group by 1
        """
    ).fetchall()
    notes = connection.execute(
        f"""
        select deliveries.source || '.' || deliveries.table_name, what, delivery_notes.file, detail, sum(n)::bigint
        from state.pins
        inner join state.deliveries on pins.delivery_id = deliveries.delivery_id
        inner join state.delivery_notes on pins.delivery_id = delivery_notes.delivery_id
        where pins.as_of = {at} group by all order by all
        """
    ).fetchall()
    feeds = {
        f"{source}.{table}": (last, whole)
        for source, table, last, whole in connection.execute(
            "select source, table_name, last_extracted_at, known_whole_at from raw.feeds"
        ).fetchall()
    }
    by_table = {row[0]: row[1:] for row in counts}
    reasons = _reasons(connection, settings, run)
    tables: dict[str, Any] = {}
    for table in load_contract().tables:
        name = table.full_name
        delivered, read, loaded, refused = by_table.get(name, (0, 0, 0, 0))
        own = [note[1:] for note in notes if note[0] == name]
        last, whole = feeds[name]
        tables[name] = {
            "deliveries": delivered,
            "rows_read": read,
            "rows_loaded": loaded,
            "rows_quarantined": refused,
            "quarantined_by_reason": reasons.get(name, {}),
            "files_rejected": {file: detail for what, file, detail, _ in own if what == "file_rejected"},
            "unknown_columns": sorted({detail for what, _, detail, _ in own if what == "unknown_column"}),
            "duplicate_rows": sum(n for what, _, _, n in own if what == "duplicate_rows"),
            "keys_with_different_values": sum(n for what, _, _, n in own if what == "keys_with_different_values"),
            "manifest_problems": sorted(f"{what}: {detail}" for what, _, detail, _ in own if what.startswith("manifest_")),
            "other_notes": sorted(
                f"{what}: {file or detail}" for what, file, detail, _ in own if what in ("unknown_file", "file_empty")
            ),
            "last_extracted_at": None if last is None else f"{last.isoformat()}Z",
            "known_whole_at": None if whole is None else f"{whole.isoformat()}Z",
        }
    totals = {
        key: sum(table[key] for table in tables.values())
        for key in ("deliveries", "rows_read", "rows_loaded", "rows_quarantined")
    }
    return {"run_id": run.run_id, "tables": tables, **totals, **landed}
