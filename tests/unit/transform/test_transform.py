"""What a build says about its models and tests, and that it leaves the warehouse as it should."""

from __future__ import annotations

import os
from datetime import timedelta

import duckdb
import pytest

from candor import runs, settings, transform, warehouse
from candor.errors import BuildFailed, UsageError
from tests.unit.transform.conftest import AS_OF, pin_a_run, scaffolding

MODELS = {
    "core/kept.sql": "select {{ as_of() }} as instant, {{ run_id() }} as run_id, {{ batch_seq() }} as batch_seq",
    "core/core.yml": """
models:
  - name: kept
    description: One row per run
    columns:
      - {name: run_id, data_tests: [key, not_null]}
unit_tests:
  - name: would_fail
    model: kept
    given: []
    expect: {rows: [{run_id: nothing_like_it}]}
""",
    "features/repeated.sql": "select n // 2 as id, 'row ' || n as label from range(20) as numbers (n)",
    "features/without_a_key.sql": "select * from (values (1), (2), (null)) as numbers (id)",
    "features/never_built.sql": "select * from {{ ref('broken') }}",
    "features/broken.sql": "select no_such_column from (select 1 as id) as one",
    "features/features.yml": """
models:
  - name: repeated
    description: One row per pair, or so it says
    columns:
      - {name: id, data_tests: [key]}
  - name: without_a_key
    description: One row per number, or so it says
    columns:
      - {name: id, data_tests: [key]}
""",
    "valuation/looked_at.sql": "{{ config(materialized='view') }} select error('its rows were made') as id",
    "valuation/written.sql": "select n as id from range(3) as numbers (n)",
    "staging/compliance/secret.sql": "select 1 as id",
    "staging/open.sql": "select 2 as id",
}


@pytest.fixture(scope="module")
def settings_of_small_project(tmp_path_factory):
    """A project with our scaffolding and a handful of models; the warehouse holds one run."""
    folder = tmp_path_factory.mktemp("transform")
    project = folder / "dbt_project"
    scaffolding(project)
    for name, text in MODELS.items():
        path = project / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    loaded = settings.load({"CANDOR_STATE_DIR": str(folder / "var"), "CANDOR_THREADS": "1", "CANDOR_MEMORY_LIMIT": "1GB"})
    pin_a_run(loaded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings.Settings, "dbt_project_dir", property(lambda self: project))
        yield loaded


def test_an_unknown_layer_names_those_there_are():
    with pytest.raises(UsageError, match="layers: staging, identity, hygiene, core"):
        transform.build("gold", AS_OF)


def test_another_run_than_the_current_one_is_refused_before_dbt_starts(settings_of_small_project):
    with pytest.raises(UsageError, match="there is no run of 2026-11-24T15:00:00Z"):
        transform.build("core", AS_OF + timedelta(days=1), settings_of_small_project)


def test_a_build_reports_models_and_tests_skips_unit_tests_and_knows_its_run(settings_of_small_project, capsys):
    before = dict(os.environ)

    outcome = transform.build("core", AS_OF, settings_of_small_project)

    assert [(model["name"], model["status"], model["rows"]) for model in outcome["models"]] == [("kept", "success", 1)]
    assert outcome["tests"] == {"passed": 2, "failed": 0, "warned": 0}
    assert "kept" in capsys.readouterr().out
    assert dict(os.environ) == before, "variables of dbt must not outlive the call"
    with warehouse.connect(settings_of_small_project) as connection:
        run = runs.current(connection, AS_OF)
        row = connection.execute("select * from core.kept").fetchone()
    assert row == (AS_OF.replace(tzinfo=None), run.run_id, run.batch_seq)


def test_the_project_is_parsed_again_when_a_file_of_it_changed_and_not_when_the_run_did(settings_of_small_project, monkeypatch):
    asked = []
    invoked = transform._invoked

    def heard(arguments, *others):
        asked.append(arguments[0])
        return invoked(arguments, *others)

    monkeypatch.setattr(transform, "_invoked", heard)
    monkeypatch.setattr(transform, "_PARSED", {})
    loaded = settings_of_small_project
    told = [transform.build("core", AS_OF, loaded, vars={"batch_seq": number}) for number in (1, 2)]
    assert asked == ["parse", "build", "build"]
    assert [[model["name"] for model in one["models"]] for one in told] == [["kept"], ["kept"]]
    with warehouse.connect(loaded) as connection:
        assert connection.execute("select batch_seq from core.kept").fetchall() == [(2,)]

    another = loaded.dbt_project_dir / "models" / "core" / "another.sql"
    another.write_text("select 1 as id", encoding="utf-8")
    try:
        found = transform.build("core", AS_OF, loaded)
    finally:
        another.unlink()
    assert [model["name"] for model in found["models"]] == ["another", "kept"]
    assert asked == ["parse", "build", "build", "parse", "build"]


def test_failures_name_the_model_and_show_the_rows_of_the_test_and_free_the_file(settings_of_small_project):
    with pytest.raises(BuildFailed) as caught:
        transform.build("features", AS_OF, settings_of_small_project)

    text = str(caught.value)
    assert "model broken: error" in text
    assert 'Referenced column "no_such_column" not found' in text
    assert "model never_built: skipped, because" in text
    assert text.index("model broken") < text.index("model never_built"), "causes come before what they cause"
    assert "key_repeated_id: fail: Got 10 results" in text
    assert "key_without_a_key_id: fail: Got 1 result" in text
    assert "key_value=None, rows=1" in text
    assert text.count("key_value=") == transform.FAILED_ROWS_SHOWN + 1
    # A different configuration is refused while anything in this process still holds the file.
    duckdb.connect(str(settings_of_small_project.warehouse_path), read_only=True).close()


def test_the_rows_of_a_view_are_not_made_to_be_counted(settings_of_small_project, capsys):
    outcome = transform.build("valuation", AS_OF, settings_of_small_project)

    assert [(model["name"], model["status"], model["rows"]) for model in outcome["models"]] == [
        ("looked_at", "success", None),
        ("written", "success", 3),
    ]
    assert "- rows" in next(line for line in capsys.readouterr().out.splitlines() if "looked_at" in line)


def test_restricted_models_go_to_the_vault_and_nowhere_else(settings_of_small_project):
    transform.build("staging", AS_OF, settings_of_small_project)

    with warehouse.connect(settings_of_small_project, restricted=True) as connection:
        found = connection.execute(
            "select database_name, table_name from duckdb_tables() where schema_name = 'staging' order by all"
        ).fetchall()
    assert found == [("candor", "open"), ("vault", "secret")]


def test_nothing_is_written_beside_the_models(settings_of_small_project):
    found = {path.name for path in settings_of_small_project.dbt_project_dir.iterdir()}
    assert found == {"dbt_project.yml", "profiles.yml", "macros", "models"}
