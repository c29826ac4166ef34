"""Settings come from the environment once, and every problem is told at once."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from candor.errors import SettingsError
from candor.settings import PROJECT_ROOT, VARIABLES, as_variables, load


def test_all_problems_are_told_at_once(tmp_path: Path):
    with pytest.raises(SettingsError) as caught:
        load({"CANDOR_STATE_DIR": "var", "CANDOR_THREADS": "many", "CANDOR_SHOP": "florist", "CANDOR_SPEED": "9"})
    told = str(caught.value)
    for part in (
        "must be an absolute path: var",
        "above 0: many",
        "'florist' has no configuration",
        "CANDOR_SPEED is not a variable",
    ):
        assert part in told


def test_the_example_lists_every_variable_and_no_other():
    named = set(re.findall(r"^#?(CANDOR_[A-Z_]+)=", (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(VARIABLES)


def test_no_other_module_reads_the_environment():
    readers = [
        path.relative_to(PROJECT_ROOT).as_posix()
        for room in ("candor", "training", "expectations", "simulation", "examples", "dags", "plugins")
        for path in (PROJECT_ROOT / room).rglob("*.py")
        if re.search(r"os\.environ(\.get|\[)[^\n]*(?<!\] = )|getenv", path.read_text(encoding="utf-8"))
        and not re.search(r"os\.environ\[[^\]]+\] = |os\.environ\.update", path.read_text(encoding="utf-8"))
    ]
    assert [path for path in readers if path != "candor/settings.py"] == []


def test_the_hash_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path):
    env = {"CANDOR_STATE_DIR": str(tmp_path), "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy")}
    first = load(env).hash_key
    assert load(env).hash_key == first
    assert len(first) == 64
    assert stat.S_IMODE((tmp_path / "secrets" / "hash_key").stat().st_mode) == 0o600


def test_another_process_given_the_variables_loads_the_same_settings(settings):
    assert set(as_variables(settings)) == set(VARIABLES)
    assert load(as_variables(settings)) == settings
