"""Turn newly landed withdrawals into suppressions, effective at once.

Every 15 minutes: consents, preferences, restrictions, screenings and KYC records that landed since the current run become rows of the
serving store's `suppressions`, which win at read time. It never opens the warehouse, so it never waits for a daily run.

If it fails, earlier suppressions stay in force and the next run, at most 15 minutes later, picks up what this one missed.
Nothing it does can make an offer visible.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag, get_current_context, task


@task
def resolve_as_of() -> str:
    from candor.runs import resolve_as_of

    context = get_current_context()
    return resolve_as_of(context["params"]["as_of"], context["dag_run"].logical_date)


@task(retries=3, retry_delay=timedelta(seconds=20))
def suppress(as_of: str) -> dict:
    from candor import revocations
    from candor.runs import parse_as_of

    return revocations.run(parse_as_of(as_of))


@dag(
    schedule="*/15 * * * *", start_date=datetime(2026, 11, 1, tzinfo=UTC), catchup=False, max_active_runs=1, doc_md=__doc__,
    tags=["serving", "tier-1"], default_args={"owner": "compliance-operations"},
    params={"as_of": Param(None, type=["null", "string"], description="Instant up to which deliveries count")},
)  # fmt: skip
def apply_revocations():
    suppress(resolve_as_of())


apply_revocations()
