"""How clean what landed is and how well people are stitched together, measured every run and held against the runs before.

The measures and their judgement are SQL, in dbt_project/models/hygiene; what is remembered of each run is `state.hygiene_history`.
A run is judged by runs of an earlier as_of that came before it, never by itself: running a day again gives the same verdicts.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs, transform
from candor import settings as settings_module
from candor.warehouse import connect

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# The relations that hold measures, by the schema that the stage built. Each owns its metrics in the history.
METRICS = {"hygiene": "hygiene.metrics", "core": "core.hygiene_metrics"}


def run(part: str, as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """{hygiene_metrics, hygiene_changes: what differs from usual for the worse} of a part, measured and remembered."""
    settings = settings or settings_module.load()
    if part == "hygiene":
        transform.build("hygiene", as_of, settings)
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
        remembered = remember(connection, METRICS[part], current.batch_seq)
        trends = METRICS[part].replace("metrics", "trends")
        cursor = connection.execute(
            f"select metric, source, table_name, key, value, n, runs, usual, tolerance, verdict, is_bad, earlier_values from {trends} "
            "order by metric, source, table_name, key"
        )
        names = [column[0] for column in cursor.description]
        judged = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        changed = connection.execute(
            f"select concat_ws(' ', metric, source, table_name, key, verdict) from {trends} where is_bad order by all"
        ).fetchall()
    _report(runs.report_dir(settings, current) / "hygiene.json", part, judged)
    return {f"{part}_metrics": remembered, f"{part}_changes": [row[0] for row in changed]}


def _report(path: Path, part: str, judged: list[dict[str, Any]]) -> None:
    """Put the verdicts of a part into the run's report, which is there also when a gate stops the run after it."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    runs.write_json(path, {**known, part: judged})


def remember(connection: duckdb.DuckDBPyConnection, relation: str, batch_seq: int) -> int:
    """Put the measures of `relation` into the history in place of what this batch said of the same metrics; gives their number."""
    connection.execute("begin")
    try:
        connection.execute(
            f"delete from state.hygiene_history where batch_seq = ? and metric in (select metric from {relation})", [batch_seq]
        )
        row = connection.execute(
            f"""
            insert into state.hygiene_history by name
            select ?::bigint as batch_seq, metric, source, table_name, key, value, n from {relation}
            order by metric, source, table_name, key
            """,
            [batch_seq],
        ).fetchone()
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return int(row[0]) if row else 0
