"""The macros by which the eligibility models lift holds, over a few hits and releases: only where everything still matches."""

from __future__ import annotations

import hashlib
import re

import duckdb
import jinja2
import pytest

from candor.settings import PROJECT_ROOT

MACROS = PROJECT_ROOT / "dbt_project" / "macros" / "eligibility.sql"


def rendered(macro: str, over: str = "hits") -> str:
    """The SELECT of one macro over the relation, with `releases` and `offer_facts` where dbt would put the tables."""
    text = MACROS.read_text(encoding="utf-8")
    found = re.search(rf"\{{% macro {macro}\(.*?\{{%- endmacro %\}}", text, flags=re.DOTALL)
    assert found is not None
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.globals.update(source=lambda schema, name: name, ref=lambda name: name)
    return environment.from_string(f"{found.group()}{{{{ {macro}('{over}') }}}}").render()


def effect(macro: str, *, hit: dict | None = None, release: dict | None = None, creative: dict | None = None) -> str:
    hit = {"person_id": "p1", "creative_id": "c1", "rule_id": "R-1", "v": 1, "effect": "HOLD", "facts": "u_x=1"} | (hit or {})
    of_person = macro == "released_of_people"
    release = {
        "release_id": "l1", "person_id": "p1" if of_person else None, "rule_id": "R-1", "v": 1, "fact_hash": _md5("u_x=1"),
        "creative_id": "c1", "offer_version": 2, "creative_hash": "h",
    } | (release or {})  # fmt: skip
    creative = {"creative_id": "c1", "offer_version": 2, "creative_hash": "h"} | (creative or {})
    (found,) = ask(f"select effect from ({rendered(macro)})", hits=hit, releases=release, offer_facts=creative)
    return str(found[0])


def ask(query: str, **tables: dict) -> list[tuple]:
    """The rows of a query over tables of one row each."""
    with duckdb.connect() as connection:
        for name, row in tables.items():
            listed = ", ".join(f"${column}{'::varchar' if value is None else ''} as {column}" for column, value in row.items())
            connection.execute(f"create table {name} as select {listed}", row)
        return connection.execute(query).fetchall()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


BOTH = pytest.mark.parametrize("macro", ["released_of_people", "released_of_creatives"])


@BOTH
def test_a_hold_that_a_release_names_is_released(macro: str) -> None:
    assert effect(macro) == "RELEASED"


@BOTH
@pytest.mark.parametrize(
    "hit",
    [
        pytest.param({"facts": "u_x=2"}, id="a_fact_changed"),
        pytest.param({"facts": None}, id="a_fact_is_not_known"),
        pytest.param({"rule_id": "R-2"}, id="another_rule"),
        pytest.param({"v": 2}, id="another_version_of_the_rule"),
    ],
)
def test_a_hold_that_no_release_names_stays(macro: str, hit: dict) -> None:
    assert effect(macro, hit=hit) == "HOLD"


@BOTH
@pytest.mark.parametrize("kept", ["BLOCK", "DEMOTE"])
def test_nothing_but_a_hold_is_released(macro: str, kept: str) -> None:
    assert effect(macro, hit={"effect": kept}) == kept


def test_somebody_elses_release_lifts_nothing() -> None:
    assert effect("released_of_people", hit={"person_id": "p2"}) == "HOLD"


def test_a_release_of_one_person_is_none_of_the_offer() -> None:
    assert effect("released_of_creatives", release={"person_id": "p1"}) == "HOLD"
    assert effect("released_of_people", release={"person_id": None}) == "HOLD"


@pytest.mark.parametrize("changed", [{"creative_hash": "other words"}, {"offer_version": 3}], ids=["words", "version"])
def test_another_content_of_the_creative_is_held_again(changed: dict) -> None:
    assert effect("released_of_creatives", creative=changed) == "HOLD"


def is_withheld(refusal: dict, *, creative: dict | None = None) -> bool:
    refusal = {
        "person_id": None,
        "segment": None,
        "offer_id": "o1",
        "offer_version": 2,
        "creative_id": None,
        "creative_hash": None,
    } | refusal
    creative = {"creative_id": "c1", "offer_id": "o1", "offer_version": 2, "creative_hash": "h"} | (creative or {})
    rows = ask(
        rendered("upheld_by_reviewers", "candidates"),
        candidates={"person_id": "p1", "offer_id": "o1", "channel": "web", "creative_id": "c1"},
        offer_facts=creative, person_segments={"person_id": "p1", "segment": "low:new"}, refusals=refusal,
    )  # fmt: skip
    assert rows in ([], [("p1", "o1", "web")])
    return bool(rows)


UPHELD = {
    "person": {"person_id": "p1"},
    "segment": {"segment": "low:new"},
    "creative": {"creative_id": "c1", "creative_hash": "h"},
}


@pytest.mark.parametrize("about", UPHELD)
def test_what_was_upheld_is_withheld_until_the_offer_has_another_version(about: str) -> None:
    assert is_withheld(UPHELD[about])
    assert not is_withheld(UPHELD[about], creative={"offer_version": 3})
    assert not is_withheld(UPHELD[about] | {"offer_id": "o2"})


@pytest.mark.parametrize("changed", [{"person_id": "p2"}, {"segment": "high:new"}], ids=["person", "segment"])
def test_nobody_else_is_withheld_from(changed: dict) -> None:
    assert not is_withheld(changed)


def test_other_words_of_a_creative_are_not_what_was_upheld() -> None:
    assert not is_withheld(UPHELD["creative"], creative={"creative_hash": "other words"})
    assert is_withheld(UPHELD["person"], creative={"creative_hash": "other words"})
