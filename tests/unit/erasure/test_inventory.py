"""Every model has a line in the inventory, so nothing that is built can keep somebody who was erased unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.erasure import inventory
from candor.settings import PROJECT_ROOT

MODELS = sorted(PROJECT_ROOT.glob("dbt_project/models/*/*.sql"))


def is_view(path: Path) -> bool:
    """A view has no rows of its own."""
    return "materialized='view'" in path.read_text(encoding="utf-8").replace('"', "'").replace(" ", "")


@pytest.mark.parametrize("model", [path.stem for path in MODELS if not is_view(path)])
def test_every_model_is_in_the_inventory(model: str) -> None:
    known = {line.name.partition(".")[2] for line in inventory.lines() if line.store in ("warehouse", "vault")}
    assert model in known, f"candor/erasure/inventory.py says nothing of {model}"


def test_a_line_that_deletes_says_by_which_columns() -> None:
    assert [
        line for line in inventory.lines() if line.does in ("delete", "blank") and not line.keys and line.store != "state"
    ] == []


def test_what_is_unknown_is_in_no_line() -> None:
    assert inventory.of("warehouse", "features.shoe_sizes") == ()
    assert inventory.of("published", "nicknames") == ()
    assert inventory.of("state", "notes.txt") == ()
