"""A reduced day lives in a marked copy, and nothing that could reach a customer works on one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.ablation import deciding
from candor import cleaning, pipeline, runs
from candor.errors import UsageError
from candor.settings import VARIABLES, Settings
from candor.warehouse import connect

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
REFUSAL = "copy for measuring what cleaning is worth"


@pytest.fixture
def original(settings: Settings) -> Settings:
    """A state folder with a warehouse, a vault and raw folders."""
    with connect(settings, restricted=True) as connection:
        runs.prepare(connection)
        connection.execute("create schema vault.raw; create table vault.raw.here as select 1 as id")
    for folder in (settings.raw_dir, settings.restricted_raw_dir, settings.state_dir / "policy"):
        folder.mkdir(parents=True)
    return settings


@pytest.fixture
def copied(original: Settings, tmp_path: Path) -> Settings:
    return cleaning.copy(original, tmp_path / "copy", cleaning.Cleaning(withheld=frozenset({"exchange"}), removes_noise=False))


def test_a_copy_says_what_it_does_without_and_the_original_stays_unmarked(original: Settings, copied: Settings) -> None:
    with connect(copied, restricted=True) as connection:
        assert cleaning.told(connection) == "without exchange; noise stays"
        assert connection.execute("select * from vault.raw.here").fetchall() == [(1,)]
    with connect(original) as connection:
        assert cleaning.told(connection) is None
    assert copied.serving_url != original.serving_url
    assert copied.raw_dir.resolve() == original.raw_dir.resolve()


def test_a_copy_that_leaves_nothing_out_is_a_copy_all_the_same(original: Settings, tmp_path: Path) -> None:
    whole = cleaning.copy(original, tmp_path / "whole", cleaning.Cleaning())
    with connect(whole) as connection, pytest.raises(UsageError, match="everything cleaned"):
        cleaning.refuse_reduced(connection)


def test_a_second_copy_takes_the_place_of_the_first(original: Settings, copied: Settings) -> None:
    again = cleaning.copy(original, copied.state_dir, cleaning.Cleaning(standardises=False))
    with connect(again) as connection:
        assert cleaning.told(connection) == "values are not standardised"


@pytest.mark.parametrize("name", pipeline.NAMES)
def test_no_stage_runs_on_a_copy(copied: Settings, name: str) -> None:
    with pytest.raises(UsageError, match=REFUSAL):
        pipeline.run_stage(name, AS_OF, copied)


@pytest.mark.parametrize("step", [pipeline.train, pipeline.promote])
def test_nothing_is_learnt_from_a_copy(copied: Settings, step) -> None:
    with pytest.raises(UsageError, match=REFUSAL):
        step(AS_OF, copied)


@pytest.mark.parametrize("where", [".", ".."])
def test_a_copy_never_lies_in_or_around_its_original(original: Settings, where: str) -> None:
    with pytest.raises(UsageError, match="must lie elsewhere"):
        cleaning.copy(original, original.state_dir / where, cleaning.Cleaning())


def test_a_warehouse_that_is_no_copy_is_never_overwritten(original: Settings, copied: Settings) -> None:
    with connect(original) as connection:
        connection.execute("create table state.precious as select 1 as id")
    with pytest.raises(UsageError, match="no reduced copy"):
        cleaning.copy(copied, original.state_dir, cleaning.Cleaning())
    with connect(original) as connection:
        assert connection.execute("select * from state.precious").fetchall() == [(1,)]


def test_only_a_copy_is_decided_with_less(original: Settings) -> None:
    with pytest.raises(UsageError, match="is no reduced copy"):
        deciding.decide(AS_OF, original)


def test_an_unknown_silo_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no silo is called 'market'") as refused:
        cleaning.Cleaning(withheld=frozenset({"market", "crm"}))
    assert "exchange, wallets, events, crm, compliance, surveys" in str(refused.value)


def test_no_variable_of_the_environment_says_anything_about_cleaning() -> None:
    assert not [name for name in VARIABLES if any(word in name for word in ("CLEAN", "WITHHELD", "REDUCED", "TARGET"))]
