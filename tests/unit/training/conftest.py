"""Made-up examples in an empty warehouse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def connection(settings):
    """A warehouse with 6,000 made-up examples that hold an effect, and a current run."""
    import made_examples

    from candor import warehouse

    with warehouse.connect(settings) as opened:
        made_examples.put(opened, made_examples.examples_table(6000, seed=1))
        made_examples.current_run(opened)
        yield opened
