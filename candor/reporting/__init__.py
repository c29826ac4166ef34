"""What a run did, told to people: the terminal summary, the status, and one HTML page per run.

Reads the run's report folder and published files only, never the warehouse, so nobody waits for a lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor.errors import GateFailed
from candor.reporting.collect import collect
from candor.reporting.terminal import one_line, print_status, print_summary

if TYPE_CHECKING:
    from candor.settings import Settings

__all__ = ["collect", "one_line", "print_status", "print_summary", "run"]


def run(as_of: datetime, settings: Settings | None = None, *, raise_on_failure: bool = True) -> dict[str, Any]:
    """Write `summary.json` and `index.html` of the run; gives their folder and the run's status.

    Raises GateFailed when a stage of the run failed, so that a scheduler shows the run as failed although
    its last task, this one, did its work.
    """
    from candor.reporting.page import write_page
    from candor.settings import load

    settings = settings or load()
    summary = collect(as_of, settings)
    folder = settings.reports_dir / summary["run_id"]
    runs.write_json(folder / "summary.json", summary)
    write_page(summary, folder / "index.html")
    if raise_on_failure and summary["status"] not in ("done", "no champion"):
        failed = next(stage for stage in summary["stages"] if stage["status"] in ("refused", "failed"))
        raise GateFailed(
            f"the run of {summary['as_of']} stopped at {failed['stage']}: {failed['error'].splitlines()[0]}",
            hint=f"the offers published before stay live; read {folder / 'index.html'}",
        )
    return {"folder": str(folder), "status": summary["status"]}
