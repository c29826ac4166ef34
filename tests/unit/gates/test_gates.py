"""A gate through the real dialect on a real file: what passes, what warns, what stops the run, and what it says."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from candor import gates, runs, settings
from candor.errors import GateFailed, UsageError
from candor.gates.checks import Table, no_rows
from candor.warehouse import connect

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> settings.Settings:
    """A warehouse with one run and one table of three people."""
    given = replace(settings.load({"CANDOR_STATE_DIR": str(tmp_path)}), memory_limit="1GB")
    with connect(given) as connection:
        runs.prepare(connection)
        connection.execute(
            "insert into state.deliveries values "
            "('d', 's', 't', 'f', '2026-11-23 14:00', 'h', 1, 3, 3, 0, true, null, null, 'x')"
        )
        runs.pin(connection, AS_OF, policy_version="p")
        connection.execute("create schema identity")
        connection.execute(
            "create table identity.people as select * from (values ('ann', 34), ('bob', 51), ('cy', 17)) t(person_id, age)"
        )
    return given


def served_by(monkeypatch: pytest.MonkeyPatch, *expectations: object) -> None:
    """Put a made-up suite in the place of the identity gate's."""
    module = types.ModuleType("expectations.identity")
    table = Table("people", "select * from identity.people", list(expectations), keys=("person_id",))
    module.tables = lambda inputs: [table]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "expectations.identity", module)


def age_between(low: int, high: int, severity: str) -> object:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeBetween(
        column="age", min_value=low, max_value=high, severity=severity, notes="Ages outside are typing errors."
    )


def report(state: settings.Settings) -> dict:
    return json.loads(next(state.reports_dir.glob("*/gates/identity.json")).read_text())


def test_a_passing_suite_lets_the_run_pass_and_leaves_json_and_data_docs(state, monkeypatch):
    served_by(
        monkeypatch,
        age_between(0, 120, "critical"),
        no_rows("no unnamed person", "select * from {batch} where person_id is null", note="n"),
    )
    result = gates.run("identity", AS_OF, state)
    assert (result["passed"], result["checks"], result["warnings"]) == (True, 2, 0)
    assert [check["success"] for check in report(state)["checks"]] == [True, True]
    assert list(state.reports_dir.glob("*/data_docs/identity/index.html"))
    assert "identity/index.html" in next(state.reports_dir.glob("*/data_docs/index.html")).read_text()


def test_a_critical_failure_stops_the_run_and_shows_table_rows_note_and_hint(state, monkeypatch):
    served_by(monkeypatch, age_between(18, 120, "critical"))
    with pytest.raises(GateFailed) as refused:
        gates.run("identity", AS_OF, state)
    text = str(refused.value)
    assert "people: 1 of 3 rows break" in text
    assert "Ages outside are typing errors." in text
    assert "person_id cy" in text
    assert "age 17" in text
    assert "hint:" in text
    assert report(state)["passed"] is False
    assert list(state.reports_dir.glob("*/data_docs/identity/index.html"))


def test_rows_found_by_sql_are_shown_five_at_most_and_counted_all(state, monkeypatch):
    served_by(monkeypatch, no_rows("nothing at all", "select person_id, unnest(range(10)) as n from {batch}", note="why"))
    with pytest.raises(GateFailed, match="30 rows break 'nothing at all'"):
        gates.run("identity", AS_OF, state)
    shown = report(state)["checks"][0]["unexpected_rows"]
    assert shown == [{"person_id": "ann", "n": n} for n in range(5)]


def test_a_warning_is_recorded_and_shown_but_does_not_stop_the_run(state, monkeypatch, caplog):
    served_by(monkeypatch, age_between(18, 120, "warning"))
    result = gates.run("identity", AS_OF, state)
    assert (result["passed"], result["warnings"]) == (True, 1)
    assert report(state)["checks"][0]["unexpected_rows"] == [{"age": 17, "person_id": "cy"}]
    assert "person_id cy" in caplog.text


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_an_expectation_that_cannot_be_evaluated_stops_the_run_whatever_its_severity(state, monkeypatch, severity):
    served_by(
        monkeypatch, no_rows("a column that is not there", "select no_such_column from {batch}", note="n", severity=severity)
    )
    with pytest.raises(GateFailed, match="could not evaluate 'a column that is not there'"):
        gates.run("identity", AS_OF, state)


def test_the_file_is_free_for_writing_as_soon_as_the_gate_returns(state, monkeypatch):
    served_by(monkeypatch, age_between(0, 120, "critical"))
    gates.run("identity", AS_OF, state)
    duckdb.connect(str(state.warehouse_path)).close()


def test_a_gate_that_does_not_exist_is_wrong_use(state):
    with pytest.raises(UsageError, match="no gate 'raww'"):
        gates.run("raww", AS_OF, state)
