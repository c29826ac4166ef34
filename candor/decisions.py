"""Who would be shown what: the arms, then the arbitration of scored candidates.

The rules of arbitration are SQL, in dbt_project/models/decisions; the slots and weights are policy.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import experiments, runs, transform
from candor import settings as settings_module
from candor.warehouse import connect

if TYPE_CHECKING:
    from candor.settings import Settings


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts per arm, of ranked candidates by what became of them, and of the offers staged for publication."""
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        current = runs.current(connection, as_of)
        arms = experiments.assign(connection, settings, current)
    built = transform.build("decisions", as_of, settings)
    with connect(settings) as connection:
        outcomes = connection.execute(
            "select coalesce(not_chosen_reason, 'chosen'), count(*) from decisions.ledger group by all order by all"
        ).fetchall()
        rows, people = connection.execute("select count(*), count(distinct person_id) from decisions.staged_offers").fetchall()[
            0
        ]
    return {
        "run_id": current.run_id,
        **arms,
        "candidates": dict(outcomes),
        "offers_staged": rows,
        "people_with_offers": people,
        "models": built["models"],
        "tests": built["tests"],
    }
