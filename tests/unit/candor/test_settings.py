"""Settings come from the environment once, and every problem is told at once."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
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


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("postgres://candor:hush@db/offers", "must start with", id="postgres_is_not_the_scheme"),
        pytest.param("postgresql://candor:hush@db", "must name a database", id="no_database"),
        pytest.param("postgresql://candor:hush@db/?password=hush", "must name a database", id="no_database_but_parameters"),
        pytest.param("postgresql://candor:hu sh@db/offers", "have no blanks", id="a_blank_in_the_password"),
        pytest.param("sqlite://offers.sqlite", "must start with", id="a_relative_file"),
    ],
)
def test_a_serving_url_nobody_can_use_is_refused_without_its_password(url: str, told: str):
    with pytest.raises(SettingsError, match=told) as caught:
        load({"CANDOR_SERVING_URL": url})
    assert caught.value.exit_code == 2
    assert "hush" not in str(caught.value)
    assert "hu sh" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://candor:hush@db:5432/offers", "postgresql://candor:***@db:5432/offers"),
        ("postgresql://candor:h@u/s:h@db/offers", "postgresql://candor:***@db/offers"),
        (
            "postgresql://candor@db/offers?password=hush&sslmode=require",
            "postgresql://candor@db/offers?password=***&sslmode=require",
        ),
        ("postgresql://db:5432/offers", "postgresql://db:5432/offers"),
        ("postgresql:///offers?host=/run/postgresql", "postgresql:///offers?host=/run/postgresql"),
        ("sqlite:////var/a:b@c/offers.sqlite", "sqlite:////var/a:b@c/offers.sqlite"),
    ],
)
def test_a_serving_store_is_shown_without_its_password(url: str, shown: str, settings):
    shop = replace(settings, serving_url=url)
    assert shop.serving_place == shown
    assert url not in repr(shop)
    assert shop.hash_key not in repr(shop)
