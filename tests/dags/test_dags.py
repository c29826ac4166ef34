"""Every DAG file defines one DAG, says what happens when it fails, and keeps to the rules of the room."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from candor.settings import PROJECT_ROOT

DAG_FILES = sorted((PROJECT_ROOT / "dags").glob("*.py"))
WAREHOUSE_STAGES_WITHOUT_RETRY = ("gate_", "audit")


@pytest.fixture(scope="module")
def dag_bag(tmp_path_factory: pytest.TempPathFactory):
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "false")
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT_ROOT / "dags"))


def test_every_file_parses_without_errors(dag_bag):
    assert dag_bag.import_errors == {}


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_file_defines_one_dag_of_its_own_name_that_says_what_happens_if_it_fails(dag_bag, path: Path):
    dag = dag_bag.dags.get(path.stem)
    assert dag is not None, f"{path.name} must define exactly one DAG with dag_id {path.stem!r}"
    assert "If it fails" in dag.doc_md, f"{path.name} must say what happens if it fails"
    assert dag.max_active_runs == 1, f"{path.name} must not run twice at once"
    assert not dag.catchup, f"{path.name} must not fill the past by itself: backfills are asked for"
    assert "as_of" in dag.params, f"{path.name} must take the instant as a parameter"


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_file_is_a_table_of_contents(path: Path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) < 80, f"{path.name} has {len(lines)} lines: move logic into candor/"
    assert not re.search(r"\bselect\b.*\bfrom\b", text, re.IGNORECASE | re.DOTALL) or "select" not in text.lower(), (
        "SQL belongs in dbt"
    )
    heavy = {"duckdb", "polars", "lightgbm", "mlflow", "pandas", "numpy", "great_expectations", "dbt", "candor", "training"}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            assert not heavy & {name.split(".")[0] for name in names}, f"{path.name} line {node.lineno}: import inside the task"


def test_every_task_that_opens_the_warehouse_shares_the_one_slot_pool(dag_bag):
    for dag_id, free in (
        ("daily_offers", {"resolve_as_of"}),
        ("train_offer_model", set()),
        ("review_decisions", {"resolve_as_of", "as_actions", "decide"}),
    ):
        outside = {task.task_id for task in dag_bag.dags[dag_id].tasks if task.pool != "warehouse"}
        assert outside == free, f"{dag_id}: {outside - free} open the warehouse outside the pool"


def test_an_action_that_nobody_answers_decides_nothing(dag_bag):
    decide = dag_bag.dags["review_decisions"].get_task("decide")
    given = decide.partial_kwargs
    assert (given["defaults"], given["options"]) == ("later", ["release", "uphold", "later"])
    assert given["response_timeout"] is not None


def test_revocations_never_use_the_warehouse_pool(dag_bag):
    assert {task.pool for task in dag_bag.dags["apply_revocations"].tasks} == {"default_pool"}


def test_verdicts_are_not_retried(dag_bag):
    for task in dag_bag.dags["daily_offers"].tasks:
        if task.task_id.rpartition(".")[2].startswith(WAREHOUSE_STAGES_WITHOUT_RETRY):
            assert task.retries == 0, f"{task.task_id}: asking a gate again does not change the data"


def test_the_daily_dag_runs_the_stages_of_the_pipeline_in_its_order(dag_bag):
    from candor.pipeline import NAMES

    dag = dag_bag.dags["daily_offers"]
    order = [task.task_id.rpartition(".")[2] for task in dag.topological_sort()]
    assert [name for name in order if name in NAMES] == list(NAMES)


def test_the_report_is_written_whatever_happened(dag_bag):
    assert dag_bag.dags["daily_offers"].get_task("report").trigger_rule == "all_done"
