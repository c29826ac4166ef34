"""Examples in an empty warehouse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import examples as made  # noqa: E402


@pytest.fixture
def settings(tmp_path: Path):
    """Settings of an empty state folder."""
    return made.settings(tmp_path)


@pytest.fixture
def connection(settings):
    """A warehouse holding 6,000 made-up examples with an effect, and a current run."""
    from candor import warehouse

    with warehouse.connect(settings) as opened:
        made.put(opened, made.examples_table(6000, seed=1))
        made.current_run(opened)
        yield opened
