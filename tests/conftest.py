"""Fixtures shared by all tests: a state folder of their own, never the checkout's."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.postgres import Server, server
from candor.settings import PROJECT_ROOT, Settings, load

# dbt keeps some hundred thousand objects per parsed project, and the collector by default looks through all of them over and over: an
# eighth of a day's time up to eligibility. What is in no cycle is freed at once all the same.
gc.set_threshold(50_000, 20, 100)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose state lives under the test's own folder, with a fixed hash key."""
    return load(
        {
            "CANDOR_STATE_DIR": str(tmp_path / "var"),
            "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy"),
            "CANDOR_HASH_KEY": "0" * 64,
            "CANDOR_MEMORY_LIMIT": "2GB",
        }
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL for all tests of this process; where it cannot run, they fail."""
    with server(durable=False) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def make_store(request: pytest.FixtureRequest) -> Callable[[Path, str | None], str]:
    """Gives the URL of a serving store for a state folder, on either database; of a copy of another store where one is given."""
    if request.param == "sqlite":
        return lambda folder, copy_of=None: f"sqlite:///{folder / 'serving' / 'offers.sqlite'}"  # copied with its folder
    running: Server = request.getfixturevalue("postgres")
    return lambda folder, copy_of=None: running.database(copy_of)
