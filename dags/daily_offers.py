"""Decide, prove and publish today's offers.

Lands what six silos delivered, works out who is who, learns nothing new, scores with the champion, keeps every offer inside the
rules, lets a second implementation prove each row, and publishes whole or not at all.

Runs daily at 15:00 UTC; `as_of` is the run's parameter, else its logical date. Any day can be run again or backfilled:
the same `as_of` gives the same bytes.

If it fails, yesterday's offers stay live: nothing reaches the serving store before the audit and every gate have passed.
The failed task names the gate, the rows and the file; `report` writes var/reports/<run_id>/index.html either way.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import Asset, Param, dag, get_current_context, task, task_group

OFFERS = Asset("candor://serving/offers")
# Tasks that open the warehouse share a pool with one slot: DuckDB lets one process hold the file.
WAREHOUSE = {"pool": "warehouse", "retries": 2, "retry_delay": timedelta(seconds=30)}
# A gate or the audit says no for a reason; asking again does not change the data.
VERDICT = {"pool": "warehouse", "retries": 0}


@task
def resolve_as_of() -> str:
    from candor.runs import resolve_as_of

    context = get_current_context()
    return resolve_as_of(context["params"]["as_of"], context["dag_run"].logical_date)


def stage(name: str, as_of: str, **options):
    @task(task_id=name, **options)
    def run(as_of: str) -> dict:
        from candor.pipeline import run_stage

        return run_stage(name, as_of)

    return run(as_of)


@task.short_circuit(task_id="champion", ignore_downstream_trigger_rules=False, **VERDICT)
def champion(as_of: str) -> bool:
    from candor.pipeline import run_stage_unless_no_champion

    return run_stage_unless_no_champion(as_of)


@dag(
    schedule="0 15 * * *", start_date=datetime(2026, 11, 1, tzinfo=timezone.utc), catchup=False, max_active_runs=1, doc_md=__doc__,
    tags=["serving", "tier-1"], default_args={"owner": "personalisation"},
    params={"as_of": Param(None, type=["null", "string"], description="Instant to run for, e.g. 2026-11-23T15:00:00Z")},
)  # fmt: skip
def daily_offers():
    as_of = resolve_as_of()

    @task_group
    def land():
        return stage("ingest", as_of, **WAREHOUSE) >> stage("gate_raw", as_of, **VERDICT)

    @task_group
    def who_is_who():
        return stage("staging", as_of, **WAREHOUSE) >> stage("identity", as_of, **WAREHOUSE) >> stage("gate_identity", as_of, **VERDICT)

    @task_group
    def may_they_see_it():
        core, features = stage("core", as_of, **WAREHOUSE), stage("features", as_of, **WAREHOUSE)
        return core >> features >> stage("eligibility", as_of, **WAREHOUSE) >> stage("gate_features", as_of, **VERDICT)

    @task_group
    def should_they_see_it():
        return champion(as_of) >> stage("score", as_of, **WAREHOUSE) >> stage("decide", as_of, **WAREHOUSE)

    @task_group
    def prove_and_publish():
        audit, gate = stage("audit", as_of, **VERDICT), stage("gate_served", as_of, **VERDICT)
        return audit >> gate >> stage("publish", as_of, outlets=[OFFERS], **WAREHOUSE) >> stage("measure", as_of, **WAREHOUSE)

    # The report is written whatever happened, and fails itself when a stage failed, so that the run shows red.
    report = stage("report", as_of, trigger_rule="all_done", **VERDICT)
    as_of >> land() >> who_is_who() >> may_they_see_it() >> should_they_see_it() >> prove_and_publish() >> report


daily_offers()
