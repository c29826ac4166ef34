"""What a small shop's day leaves out: opening the same file again and again, models and tests that a build cannot touch."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from candor import settings, transform, warehouse
from candor.errors import BuildFailed
from tests.unit.transform.conftest import AS_OF, pin_a_run, scaffolding

VARIABLES = {"as_of": "2026-11-23 15:00:00", "run_id": "r", "batch_seq": 1}


@pytest.fixture
def loaded(tmp_path):
    return settings.load({"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_THREADS": "2", "CANDOR_MEMORY_LIMIT": "1GB"})


def databases(connection):
    return {
        name for (name,) in connection.execute("select database_name from duckdb_databases() where not internal").fetchall()
    }


def test_a_held_warehouse_has_the_vault_only_while_somebody_asked_for_it(loaded):
    with warehouse.held(loaded):
        with warehouse.connect(loaded, restricted=True) as connection:
            connection.execute("create table vault.main.secret as select 1 as id")
            assert databases(connection) == {"candor", "vault"}
        with warehouse.connect(loaded) as connection:
            assert databases(connection) == {"candor"}
            with pytest.raises(duckdb.Error, match="vault"):
                connection.execute("select * from vault.main.secret")
        with warehouse.connect(loaded, restricted=True) as connection:
            assert connection.execute("select id from vault.main.secret").fetchall() == [(1,)]
    # Another configuration is refused while anything in this process still holds the file.
    duckdb.connect(str(loaded.warehouse_path), read_only=True).close()


def test_what_dbt_sets_for_the_whole_file_is_not_left_to_the_next_connection(loaded):
    with warehouse.held(loaded):
        with warehouse.connect(loaded) as connection:
            connection.execute("set preserve_insertion_order = false")
        with warehouse.connect(loaded) as connection:
            assert connection.execute("select current_setting('preserve_insertion_order')").fetchall() == [(True,)]


def test_a_held_warehouse_is_free_again_when_the_stage_failed(loaded):
    with pytest.raises(ZeroDivisionError), warehouse.held(loaded):
        raise ZeroDivisionError
    duckdb.connect(str(loaded.warehouse_path), read_only=True).close()


def test_who_only_reads_has_the_vault_too_may_write_neither_and_keeps_nobody_else_from_reading(loaded):
    with warehouse.connect(loaded, restricted=True) as connection:
        connection.execute("create table told as select 1 as id; create table vault.main.secret as select 2 as id")
    with warehouse.reading(loaded, restricted=True) as connection:
        assert connection.execute("select told.id, secret.id from told cross join vault.main.secret").fetchall() == [(1, 2)]
        for table in ("told", "vault.main.secret"):
            with pytest.raises(duckdb.InvalidInputException, match="read-only"):
                connection.execute(f"delete from {table}")
        another = (
            "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute('select id from told').fetchall())"
        )
        found = subprocess.run(
            [sys.executable, "-c", another, loaded.warehouse_path], capture_output=True, text=True, check=True
        )
    assert found.stdout == "[(1,)]\n"


def test_a_held_warehouse_that_spilled_is_opened_again(tmp_path):
    loaded = settings.load({"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_THREADS": "1", "CANDOR_MEMORY_LIMIT": "60MB"})
    with warehouse.held(loaded):
        with warehouse.connect(loaded) as connection:
            connection.execute(
                "create table sorted as select md5(range::varchar) as value from range(2_000_000) order by value"
            )
            assert connection.execute("select count(*) from sorted").fetchall() == [(2_000_000,)]
            with pytest.raises(duckdb.NotImplementedException, match="after the current one has been used"):
                connection.execute(f"set temp_directory = '{loaded.tmp_dir}'")
        with warehouse.connect(loaded) as connection:
            assert connection.execute("select count(*) from sorted").fetchall() == [(2_000_000,)]


@pytest.mark.parametrize("where", ["landing_dir", "raw_dir", "restricted_raw_dir"])
def test_a_new_warehouse_is_not_held_and_has_all_threads_when_much_is_to_come_into_it(tmp_path, where):
    loaded = settings.load(
        {"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_LANDING_DIR": str(tmp_path / "landing"), "CANDOR_THREADS": "2"}
    )
    assert warehouse.threads_for(loaded) == 1
    folder = getattr(loaded, where) / "events" / "events"
    folder.mkdir(parents=True)
    (folder / "gone.parquet").symlink_to(folder / "moved.parquet")  # between being listed and being looked at
    with (folder / "part.parquet").open("wb") as file:
        file.truncate(warehouse.HELD_UP_TO_BYTES + 1)  # a hole: nothing is written
    with warehouse.held(loaded):
        assert not warehouse._HELD
        assert warehouse.threads_for(loaded) == 2


def test_a_large_warehouse_is_given_up_between_two_uses_and_may_use_all_threads(loaded, monkeypatch):
    with warehouse.connect(loaded) as connection:
        assert connection.execute("select current_setting('threads')").fetchall() == [(1,)]
    monkeypatch.setattr(warehouse, "ONE_THREAD_UP_TO_BYTES", 0)
    monkeypatch.setattr(warehouse, "HELD_UP_TO_BYTES", 0)
    with warehouse.held(loaded):
        duckdb.connect(str(loaded.warehouse_path), read_only=True).close()
        with warehouse.connect(loaded) as connection:
            assert connection.execute("select current_setting('threads')").fetchall() == [(2,)]


@pytest.fixture
def built(loaded, tmp_path, monkeypatch):
    """Builds layer `core` of a project with our scaffolding and one model, whose text it is given; the run is held open."""
    project = tmp_path / "dbt_project"
    scaffolding(project)
    (project / "models" / "core").mkdir(parents=True)
    pin_a_run(loaded)
    monkeypatch.setattr(settings.Settings, "dbt_project_dir", property(lambda self: project))

    def build(text):
        (project / "models" / "core" / "kept.sql").write_text(text, encoding="utf-8")
        (project / "models" / "core" / "core.yml").write_text(
            "models:\n  - {name: kept, description: One row per id, columns: [{name: id, data_tests: [unique]}]}\n",
            encoding="utf-8",
        )
        with warehouse.held(loaded):
            return transform.build("core", AS_OF, loaded)

    return build


def rows(loaded):
    with warehouse.connect(loaded) as connection:
        return connection.execute("select id from core.kept order by id").fetchall()


def test_the_table_that_was_stays_until_the_new_one_stands(built, loaded):
    assert built("select 1 as id")["tests"] == {"passed": 1, "failed": 0, "warned": 0}
    with pytest.raises(BuildFailed, match="model kept: error"):
        built("select case when n = 1 then error('half way') else n end as id from range(2) as numbers (n)")
    assert rows(loaded) == [(1,)]
    with pytest.raises(BuildFailed, match="unique_kept_id: fail: Got 1 result"):
        built("select 2 as id union all select 2")
    assert rows(loaded) == [(2,), (2,)]


def test_a_view_becomes_a_table_and_a_view_again(built, loaded):
    for number, header in enumerate(("{{ config(materialized='view') }} ", "", "{{ config(materialized='view') }} ")):
        built(f"{header}select {number} as id")
        assert rows(loaded) == [(number,)]


def test_the_first_build_of_a_new_warehouse_makes_the_functions_that_models_call(built, loaded):
    built("select identifier_key('email', 'ann@example.org') as id")
    with warehouse.connect(loaded) as connection:
        assert rows(loaded) == connection.execute("select hash('email', 'ann@example.org')").fetchall()


def test_dbts_log_still_says_what_was_built(built, loaded):
    built("select 1 as id")
    assert "created sql table model core.kept" in (loaded.dbt_dir / "logs" / "dbt.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("layers", [*((layer,) for layer in transform.LAYERS), ("arbitration", "decisions")], ids=" and ".join)
def test_a_build_of_a_layer_is_shown_everything_that_it_selects(layers, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "shown"  # one for all: what is parsed once is parsed for all
    loaded = settings.load({"CANDOR_STATE_DIR": str(folder), "CANDOR_MEMORY_LIMIT": "1GB"})
    invoked = transform._invoked

    def listing(arguments, *others):
        unknown = ("--no-write-json", "--cache-selected-only")
        return invoked([each for each in arguments if arguments[0] != "ls" or each not in unknown], *others)

    monkeypatch.setattr(transform, "_invoked", listing)
    select = [*(f"path:models/{layer}" for layer in layers), *(["resource_type:seed"] if "staging" in layers else [])]
    arguments = ["ls", "--select", *select, "--exclude-resource-type", "unit_test"]
    target = transform._target(not transform.RESTRICTED_LAYERS.isdisjoint(layers))
    shown, whole = (
        transform._dbt(arguments, loaded, target=target, variables=VARIABLES, layers=given) for given in (layers, None)
    )
    assert shown == whole
    assert len(shown) > len(layers)
