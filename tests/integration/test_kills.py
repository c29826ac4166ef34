"""kill -9 at random instants, then a rerun: the bytes of an undisturbed run, and readers who never saw half of one."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from benchmarks import faults, fingerprint
from tests.integration.conftest import BEFORE, DAY, SEED, Shop, differing

DBT_STAGES = ["staging", "core", "decide"]


@pytest.fixture(autouse=True)
def _same_landing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CANDOR_LANDING_DIR", str(shop.settings.landing_dir))
    monkeypatch.setitem(os.environ, "CANDOR_MEMORY_LIMIT", "4GB")


def test_five_kills_of_a_day_leave_the_bytes_of_an_undisturbed_run_and_readers_saw_only_whole_runs(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(shop.before, state)
    seconds = faults.stage_seconds(shop.settings.state_dir, DAY)
    told: list[str] = []
    with faults.Readers(state / "serving" / "offers.sqlite") as readers:
        hit = faults.disturb_day(
            state,
            DAY,
            seconds,
            stages=[*DBT_STAGES, "score", "publish"],
            chance=random.Random(SEED),
            told=told.append,
            again=0.0,
        )
        faults.publish_again(state, DAY)
    with capsys.disabled():
        print("\n" + "\n".join(told) + f"\n  {readers.seen}")
    assert hit.total() == 5, told
    assert differing(shop.expected, fingerprint.of_state(state)) == []
    assert readers.seen.torn == []
    assert readers.seen.errors == {}
    assert readers.seen.whole.keys() == {shop.run_id}


def test_kills_of_the_training_leave_one_registered_version_the_same_as_undisturbed(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    shutil.copytree(shop.before, state)
    shutil.rmtree(state / "mlflow")
    told: list[str] = []
    done = faults.disturb_training(state, BEFORE, 12.0, kills=3, chance=random.Random(SEED), told=told.append)
    with capsys.disabled():
        print("\n" + "\n".join(told))
    assert done >= 1
    assert faults.registered(state) == faults.registered(shop.settings.state_dir)
    assert [version for version, _, _ in faults.registered(state)] == [shop.model_version]


def test_kills_of_an_ingest_of_everything_lose_no_row_and_double_none(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landing = shop.settings.landing_dir
    calm, state = tmp_path / "calm", tmp_path / "state"
    calm.mkdir()
    state.mkdir()
    seconds = faults.whole(calm, "ingest", "--as-of", BEFORE.isoformat())
    told: list[str] = []
    done = faults.disturb_ingest(state, landing, BEFORE, seconds, kills=5, chance=random.Random(SEED), told=told.append)
    with capsys.disabled():
        print("\n" + "\n".join(told))
    assert done >= 1
    assert differing(fingerprint.raw(calm), fingerprint.raw(state)) == []
