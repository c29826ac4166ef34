"""Train a candidate on what was known at the latest run, and promote it when it is good enough.

Runs daily, two hours after `daily_offers`; `as_of` is the parameter, else that of the latest run up to the logical date.
The new champion serves runs with a later `as_of`, never the one it was trained on.

If it fails, the champion in use stays: nothing changes for readers, and the next day's run scores with it.
Candidates, their plots and the reasons for a refusal are in the MLflow UI, under the model `offer_model`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, Param, dag, get_current_context, task

CHAMPION = Asset("candor://models/offer_model/champion")
WAREHOUSE = {"pool": "warehouse", "retries": 1, "retry_delay": timedelta(seconds=30)}


@task(pool="warehouse")
def resolve_as_of() -> str:
    from candor.pipeline import resolve_training_as_of

    context = get_current_context()
    return resolve_training_as_of(context["params"]["as_of"], context["dag_run"].logical_date)


@task(**WAREHOUSE)
def examples(as_of: str) -> dict:
    from candor.pipeline import prepare_training

    return prepare_training(as_of)


@task(**WAREHOUSE)
def fit_evaluate_register(as_of: str) -> dict:
    from candor.pipeline import train

    return train(as_of)


@task(pool="warehouse", outlets=[CHAMPION], retries=0)
def promote(as_of: str) -> dict:
    from candor.pipeline import promote

    return promote(as_of)


@dag(
    schedule="0 17 * * *", start_date=datetime(2026, 11, 1, tzinfo=UTC), catchup=False, max_active_runs=1, doc_md=__doc__,
    tags=["training", "tier-2"], default_args={"owner": "data-science"},
    params={"as_of": Param(None, type=["null", "string"], description="Instant to train for, e.g. 2026-11-22T15:00:00Z")},
)  # fmt: skip
def train_offer_model():
    as_of = resolve_as_of()
    examples(as_of) >> fit_evaluate_register(as_of) >> promote(as_of)


train_offer_model()
