"""Decide, prove and publish today's offers.

Lands what six silos delivered, works out who is who, scores with the champion, keeps every offer inside the rules, lets a second
implementation prove each row, and publishes whole or not at all.

Runs daily at 15:00 UTC; `as_of` is the run's parameter, else its logical date. Any day can be run again or backfilled:
the same `as_of` gives the same bytes.

If it fails, yesterday's offers stay live: nothing reaches the serving store before the audit and every gate have passed.
The failed task names the gate, the rows and the file; `report` writes var/reports/<run_id>/index.html either way.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, Param, TaskGroup, chain, dag, get_current_context, task

STAGES = {
    "land": ["ingest", "gate_raw"],
    "who_is_who": ["staging", "identity", "gate_identity", "core"],
    "may_they_see_it": ["features", "eligibility", "gate_features"],
    "should_they_see_it": ["champion", "score", "decide"],
    "prove_and_publish": ["audit", "gate_served", "publish"],
    "did_it_help": ["measure"],
}
# Tasks that open the warehouse share a pool with one slot: DuckDB lets one process hold the file.
OPTIONS = {"pool": "warehouse", "retries": 2, "retry_delay": timedelta(seconds=30)}
# A gate or the audit says no for a reason, and asking again does not change the data.
NO_RETRY = {"retries": 0}
SPECIAL = {
    **dict.fromkeys(("gate_raw", "gate_identity", "gate_features", "gate_served", "audit"), NO_RETRY),
    "publish": {"outlets": [Asset("candor://serving/offers")]},
    # Written whatever happened, and failing itself when a stage failed, so that the run shows red.
    "report": {"trigger_rule": "all_done", **NO_RETRY},
}


@task
def resolve_as_of() -> str:
    from candor.runs import resolve_as_of

    context = get_current_context()
    return resolve_as_of(context["params"]["as_of"], context["dag_run"].logical_date)


def stage(name: str, as_of: str):
    @task(task_id=name, **{**OPTIONS, **SPECIAL.get(name, {})})
    def run(as_of: str) -> dict:
        from candor.pipeline import run_stage

        return run_stage(name, as_of)

    @task.short_circuit(task_id=name, ignore_downstream_trigger_rules=False, **{**OPTIONS, **NO_RETRY})
    def run_or_end_here(as_of: str) -> bool:
        from candor.pipeline import run_stage_unless_no_champion

        return run_stage_unless_no_champion(as_of)

    return run_or_end_here(as_of) if name == "champion" else run(as_of)


@dag(
    schedule="0 15 * * *", start_date=datetime(2026, 11, 1, tzinfo=UTC), catchup=False, max_active_runs=1, doc_md=__doc__,
    tags=["serving", "tier-1"], default_args={"owner": "personalisation"},
    params={"as_of": Param(None, type=["null", "string"], description="Instant to run for, e.g. 2026-11-23T15:00:00Z")},
)  # fmt: skip
def daily_offers():
    as_of = resolve_as_of()
    steps = [as_of]
    for group, names in STAGES.items():
        with TaskGroup(group):
            steps += [stage(name, as_of) for name in names]
    chain(*steps, stage("report", as_of))


daily_offers()
