"""A day decided again in a copy, as `make ablation` does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ablation import deciding
from benchmarks.ablation.days import require_same
from candor import cleaning
from candor.cleaning import Cleaning
from candor.errors import CandorError
from tests.integration.conftest import DAY, Shop


def test_a_copy_that_leaves_nothing_out_decides_the_day_of_the_pipeline_to_the_byte(shop: Shop, tmp_path: Path) -> None:
    copied = cleaning.copy(shop.settings, tmp_path / "copy", Cleaning())
    assert deciding.decide(DAY, copied)["offers_staged"] > 100
    require_same(shop.settings, copied)

    less = cleaning.copy(shop.settings, tmp_path / "copy", Cleaning(withheld=frozenset({"events"})))
    deciding.decide(DAY, less)
    with pytest.raises(CandorError, match="is not that of the pipeline"):
        require_same(shop.settings, less)
