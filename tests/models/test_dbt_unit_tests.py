"""The dbt project's unit tests, run on a warehouse of empty, typed sources."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest

from candor import policy, runs, transform
from candor import settings as settings_module
from candor.warehouse import connect

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _empty_warehouse():
    path = Path(__file__).parent / "empty_warehouse.py"
    spec = importlib.util.spec_from_file_location("empty_warehouse", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def settings_of_empty_warehouse(tmp_path_factory):
    loaded = settings_module.load({"CANDOR_STATE_DIR": str(tmp_path_factory.mktemp("models") / "var")})
    _empty_warehouse().make(loaded)
    with connect(loaded, restricted=True) as connection:
        connection.execute(
            "insert into state.deliveries values "
            "('d', 's', 't', 'x', timestamp '2026-11-23', 'h', 1, 0, 0, 0, true, null, null, 'segment')"
        )
        run = runs.pin(connection, AS_OF, policy_version=policy.snapshot(loaded))
        policy.install(connection, loaded, run)
    return loaded


def test_every_unit_test_of_the_dbt_project_passes(settings_of_empty_warehouse):
    with connect(settings_of_empty_warehouse) as connection:
        run = runs.current(connection, AS_OF)
    variables = {"as_of": "2026-11-23 15:00:00", "run_id": run.run_id, "batch_seq": run.batch_seq}
    variables |= policy.dbt_vars(settings_of_empty_warehouse, run)

    transform.build_for_unit_tests(settings_of_empty_warehouse, variables=variables)
    with connect(settings_of_empty_warehouse) as connection:
        # As publishing makes it on its first day; from here on the models' branch for a shop that has published is compiled.
        connection.execute(
            "create table state.decisions as "
            "select null::bigint as batch_seq, null::timestamp as as_of, * from decisions.ledger where false"
        )
    outcome = transform.unit_test(settings_of_empty_warehouse, variables=variables)

    assert not outcome["failed"], "\n\n".join(outcome["failed"])
    assert outcome["passed"] >= 12, "unit tests were lost: fewer ran than the staging and core layers alone have"
