"""One small shop, landed once: the day before, a training, and the day, through every stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from candor import pipeline
from candor.settings import PROJECT_ROOT, Settings, load

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
BEFORE = DAY - timedelta(days=1)
PEOPLE, DAYS, SEED = 900, 40, 11


@dataclass(frozen=True)
class Shop:
    """Settings of a state folder in which the day stands, and the run's id."""

    settings: Settings
    run_id: str

    @property
    def published(self) -> Path:
        return self.settings.published_dir / self.run_id


def settings_at(state: Path, landing: Path | None = None) -> Settings:
    """Settings of a state folder, with the hash key that all integration tests share."""
    env = {
        "CANDOR_STATE_DIR": str(state),
        "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy"),
        "CANDOR_HASH_KEY": "0" * 64,
        "CANDOR_MEMORY_LIMIT": "4GB",
    }
    return load(env if landing is None else {**env, "CANDOR_LANDING_DIR": str(landing)})


def run_to_the_day(settings: Settings) -> str:
    """The id of the day's run, after the day before, a training, and the day itself."""
    pipeline.run(BEFORE, settings)
    pipeline.train(BEFORE, settings)
    pipeline.promote(BEFORE, settings)
    return str(pipeline.run(DAY, settings)["run_id"])


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small shop's deliveries."""
    from simulation import generate

    base = tmp_path_factory.mktemp("shop")
    generate(people=PEOPLE, days=DAYS, seed=SEED, landing=base / "landing", truth=base / "truth", ends_at=DAY)
    return base / "landing"


@pytest.fixture(scope="session")
def shop(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop after the day's run. Tests that change it work on a copy."""
    settings = settings_at(tmp_path_factory.mktemp("state"), landed)
    return Shop(settings, run_to_the_day(settings))


@pytest.fixture
def copied(shop: Shop, tmp_path: Path) -> Shop:
    """A copy of the shop that a test may break."""
    import shutil

    shutil.copytree(shop.settings.state_dir, tmp_path / "state")
    return replace(shop, settings=settings_at(tmp_path / "state", shop.settings.landing_dir))
