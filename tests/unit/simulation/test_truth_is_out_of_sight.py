"""The pipeline cannot see the truth: no module of it opens the folder, knows its files, or imports the simulation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from candor.settings import VARIABLES

ROOT = Path(__file__).resolve().parents[3]
PIPELINE = ("candor", "dbt_project", "training", "expectations", "dags", "plugins", "policy")
# The command line may make a shop, and must be told where its truth goes.
MAY_GENERATE = {"candor/cli.py"}
MENTIONS = re.compile(r"""["'/]truth["'/]|truth_dir|planted\.json|_rows/part-|\bp_held_out\.parquet|person_identifiers/""")
IMPORTS = re.compile(r"^\s*(import|from)\s+simulation\b", re.MULTILINE)


def sources() -> list[Path]:
    kinds = {".py", ".sql", ".yml", ".yaml"}
    return [
        path
        for room in PIPELINE
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in kinds and "target" not in path.parts
    ]


def test_there_is_a_pipeline_to_look_at() -> None:
    assert len(sources()) > 50


@pytest.mark.parametrize("room", PIPELINE)
def test_no_module_mentions_the_truth_folder_or_imports_the_simulation(room: str) -> None:
    for path in sources():
        name = str(path.relative_to(ROOT))
        if not name.startswith(f"{room}/"):
            continue
        text = path.read_text(encoding="utf-8")
        assert not MENTIONS.search(text), f"{name} mentions the truth folder: {MENTIONS.search(text)}"
        if name not in MAY_GENERATE:
            assert not IMPORTS.search(text), f"{name} imports the simulation, which knows the truth"


def test_the_command_line_only_generates() -> None:
    text = (ROOT / "candor" / "cli.py").read_text(encoding="utf-8")
    assert IMPORTS.findall(text)
    assert set(re.findall(r"from simulation import (\w+)", text)) <= {"generate", "respond"}


def test_no_setting_says_where_the_truth_is() -> None:
    assert not [name for name in VARIABLES if "TRUTH" in name]


@pytest.mark.parametrize("line", ['open(state / "truth" / "responses")', "read_parquet('var/truth/people')", "truth_dir = 1"])
def test_the_check_would_notice(line: str) -> None:
    assert MENTIONS.search(line)
