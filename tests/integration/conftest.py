"""One small shop, landed once: the day before, a training, and the day, through every stage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import fingerprint
from candor import pipeline
from candor.settings import PROJECT_ROOT, Settings, load

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
NEXT = DAY + timedelta(minutes=10)
PEOPLE, DAYS, SEED = 2500, 40, 7  # fewer people, and the training finds no lift it is sure of


@dataclass(frozen=True)
class Shop:
    """Settings of a state folder in which the day stands, and what was seen on the way there."""

    settings: Settings
    run_id: str
    run_id_before: str
    model_version: str
    before: Path  # the state folder as it was before the day's run: the day before run, a champion promoted
    expected: dict[str, str]  # the fingerprint of an undisturbed day

    @property
    def published(self) -> Path:
        return self.settings.published_dir / self.run_id

    @property
    def store(self) -> Path:
        return self.settings.state_dir / "serving" / "offers.sqlite"


def settings_at(state: Path, landing: Path) -> Settings:
    """Settings of a state folder, with the hash key that all integration tests share."""
    return load(
        {
            "CANDOR_STATE_DIR": str(state),
            "CANDOR_LANDING_DIR": str(landing),
            "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy"),
            "CANDOR_HASH_KEY": "0" * 64,
            "CANDOR_MEMORY_LIMIT": "4GB",
        }
    )


def run_to_the_day(settings: Settings, keep_before: Path | None = None) -> tuple[str, str, str]:
    """(id of the day's run, id of the run before, model version), after the day before, a training, and the day itself.

    `keep_before` gets a copy of the state folder as it is before the day.
    """
    before = pipeline.run(BEFORE, settings)
    trained = pipeline.train(BEFORE, settings)
    promoted = pipeline.promote(BEFORE, settings)
    assert promoted["promoted"], promoted["message"]
    if keep_before is not None:
        shutil.copytree(settings.state_dir, keep_before)
    day = pipeline.run(DAY, settings)
    return str(day["run_id"]), str(before["run_id"]), str(trained["model_version"])


# Days take minutes, everything else seconds: they begin first, and what waits for no other process's shop before what does.
FIRST = ("test_daily_run", "test_merge_and_split", "test_hygiene_faults", "test_same_bytes", "test_bad_input", "test_kills")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Integration tests first, in the order above."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        if item.path.parent != here:
            return len(FIRST) + 1
        return FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST)

    items.sort(key=place)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled, in whichever of the test processes came first; the others wait for it."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)  # somebody's who failed
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def shops_of_all_are_only_read() -> Iterator[None]:
    """A warehouse under a folder that `once` filled is opened read-only: other test processes have it open, or are copying it."""
    opened = duckdb.connect

    def connect(database: str = ":memory:", *args: Any, read_only: bool = False, **kwargs: Any) -> Any:
        shared = [folder.name for folder in Path(database).parents if (folder / "made").is_file()]
        assert read_only or not shared, (
            f"{database} is of {shared[0]}, which all test processes share: read it, or write a copy"
        )
        return opened(database, *args, read_only=read_only, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(duckdb, "connect", connect)
        yield


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `landing` and `truth` of a small shop."""
    from simulation import generate

    def make(base: Path) -> None:
        generate(people=PEOPLE, days=DAYS, seed=SEED, landing=base / "landing", truth=base / "truth", ends_at=DAY)

    return once(tmp_path_factory, "simulated-shop", make)


@pytest.fixture(scope="session")
def shop(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop after the day's run. Tests that change it work on a copy."""

    def make(base: Path) -> None:
        settings = settings_at(base / "state", simulated / "landing")
        run_ids = run_to_the_day(settings, base / "before")
        (base / "shop.json").write_text(json.dumps([*run_ids, fingerprint.of_state(settings.state_dir)]), encoding="utf-8")

    base = once(tmp_path_factory, "shop-after-the-day", make)
    run_id, run_id_before, model_version, expected = json.loads((base / "shop.json").read_text(encoding="utf-8"))
    settings = settings_at(base / "state", simulated / "landing")
    return Shop(settings, run_id, run_id_before, model_version, base / "before", expected)


def copy_of(shop: Shop, state: Path) -> Shop:
    """The same in another state folder, made here."""
    shutil.copytree(shop.settings.state_dir, state)
    return replace(shop, settings=settings_at(state, shop.settings.landing_dir))


@pytest.fixture
def copied(shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """A copy of the shop that a test may break; gone afterwards."""
    yield copy_of(shop, tmp_path / "state")
    shutil.rmtree(tmp_path / "state")


@pytest.fixture(scope="session")
def later(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop ten minutes later: a copy in which the run of NEXT stands upon the day's. Tests that change it work on a copy."""

    def make(base: Path) -> None:
        pipeline.run(NEXT, copy_of(shop, base / "state").settings)

    base = once(tmp_path_factory, "shop-after-the-next-run", make)
    return replace(shop, settings=settings_at(base / "state", shop.settings.landing_dir))


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """The names whose hashes differ."""
    return [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
