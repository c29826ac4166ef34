"""Put the most urgent items of the review queue before a person, and record what they say.

Every two hours on working days: up to ten items that compliance may decide become required actions, each with its rule, its facts and the
offer's words. "later" decides nothing, and so does an action that nobody answers within a day. Holds with restricted codes are never
shown here, because others read this page: fincrime staff decide them with `candor review`. Who may answer is in policy/review.yml (reviewers);
an answer by anybody else is refused and told in the log of `record`.

If it fails, what is held stays held, and `candor review list` still has the queue.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, dag, get_current_context, task

MOST = 10


@task
def resolve_as_of() -> str:
    from candor.runs import resolve_as_of

    context = get_current_context()
    return resolve_as_of(context["params"]["as_of"], context["dag_run"].logical_date)


@task(pool="warehouse")
def ask(as_of: str) -> list[dict]:
    from candor.review.deciding import questions
    from candor.runs import parse_as_of

    return questions(parse_as_of(as_of), "compliance", MOST)


@task
def as_actions(questions: list[dict]) -> list[dict]:
    return [{"subject": one["subject"], "body": one["body"]} for one in questions]


@task(pool="warehouse", retries=0)
def record(questions: list[dict], answers: list[dict]) -> dict:
    from candor.review.deciding import record

    return record(questions, list(answers), "compliance")


@dag(
    schedule="0 7-19/2 * * 1-5", start_date=datetime(2026, 11, 1, tzinfo=UTC), catchup=False, max_active_runs=1, doc_md=__doc__,
    tags=["review"], default_args={"owner": "compliance-operations"},
    params={"as_of": Param(None, type=["null", "string"], description="Instant at which the items are shown")},
)  # fmt: skip
def review_decisions():
    asked = ask(resolve_as_of())
    answers = HITLOperator.partial(
        task_id="decide",
        options=["release", "uphold", "later"],
        defaults="later",
        response_timeout=timedelta(days=1),
        params={"reason": Param("", type="string", description="What was looked at, and what it showed")},
    ).expand_kwargs(as_actions(asked))
    record(asked, answers.output)


review_decisions()
