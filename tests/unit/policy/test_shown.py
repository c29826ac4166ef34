"""A simulation that anybody may see tells nothing about fewer than 20 people, not even by subtraction."""

from __future__ import annotations

import random
from typing import Any

import pytest

from candor.policy import shown

COUNTS = ("before", "after", "gaining", "losing")
PAIRS = {"before": "pairs_before", "after": "pairs_after", "gaining": "pairs_gained", "losing": "pairs_lost"}


def row(name: str, before: int, gaining: int, losing: int) -> dict[str, Any]:
    people = {"before": before, "after": before + gaining - losing, "gaining": gaining, "losing": losing}
    return {
        "name": name,
        **{f"people_{key}": value for key, value in people.items()},
        **{PAIRS[key]: 6 * value for key, value in people.items()},
    }


def simulation(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    total = {key: sum(one[key] for one in rows) for key in rows[0] if key != "name"}
    names = ("people_left_without_anything", "people_who_had_nothing", "people_ranked_otherwise", "people_timed_otherwise")
    return {
        "run_id": "r1", "as_of": "2026-11-23T15:00:00Z", "policy_before": "a" * 16, "policy_after": "b" * 16, "people": 5000,
        "total": total, "by": {"segment": rows}, "codes": [], "served": None, "rules_without_effect": [], "not_simulated": [],
        **dict.fromkeys(names, 0), "pairs_ranked_otherwise": 0, "pairs_timed_otherwise": 0, **more,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(50))
def test_no_small_number_is_told_nor_left_over_when_the_others_are_taken_from_the_total(seed: int) -> None:
    of = random.Random(seed)
    rows = []
    for place in range(of.randint(2, 9)):
        losing = of.choice([0, 0, 3, 19, 20, 150])
        rows.append(row(f"s{place}", losing + of.choice([0, 5, 400]), of.choice([0, 1, 30]), losing))
    given = simulation(rows)
    seen = shown.suppressed(given)
    for key in COUNTS:
        counts = [one[f"people_{key}"] for one in seen["by"]["segment"]]
        hidden = [place for place, value in enumerate(counts) if isinstance(value, str)]
        assert not any(isinstance(value, int) and 0 < value < 20 for value in counts)
        assert all(isinstance(seen["by"]["segment"][place][PAIRS[key]], str) for place in hidden), "pairs tell of hidden people"
        left_over = sum(rows[place][f"people_{key}"] for place in hidden)
        can_hide_more = any(isinstance(value, int) and value for value in counts)
        assert not (key != "after" and hidden and can_hide_more and (len(hidden) == 1 or left_over < 20)), (key, counts)
    for one, true in zip(seen["by"]["segment"], rows, strict=True):
        if isinstance(one["people_after"], int) and isinstance(one["people_before"], int):
            moved = true["people_gaining"], true["people_losing"]
            assert not any(0 < value < 20 for value in moved), "the numbers before and after tell what is hidden"


def test_what_is_told_to_compliance_is_not_touched() -> None:
    given = simulation([row("a", 30, 0, 7), row("b", 300, 0, 0)])
    shown.suppressed(given)
    assert given["total"]["people_losing"] == 7
    assert "7 lose 42" in shown.text(given, all_shown=True)
    assert "<20 lose …" in shown.text(shown.suppressed(given), all_shown=False)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(5, 500, ("<20", 500), id="few_before"),
        pytest.param(500, 0, (500, 0), id="all_gone"),
        pytest.param(500, 493, (500, "…"), id="few_of_many"),
        pytest.param(500, 480, (500, 480), id="twenty"),
    ],
)
def test_a_code_does_not_tell_how_few_it_newly_speaks_against(before: int, after: int, expected: tuple[Any, Any]) -> None:
    code = {
        "code": "X",
        "grain": "user",
        "people_before": before,
        "people_after": after,
        "pairs_before": before,
        "pairs_after": after,
    }
    (seen,) = shown.suppressed(simulation([row("a", 400, 0, 0)], codes=[code]))["codes"]
    assert (seen["people_before"], seen["people_after"]) == expected


def test_the_bar_of_a_hidden_number_has_one_length_whatever_it_is() -> None:
    charts = set()
    for few in (1, 19):
        given = simulation([row("a", 300, 0, few), row("b", 300, 100, 0), row("c", 300, 0, 200)])
        given["by"]["offer"] = given["by"].pop("segment")
        charts.add(shown.chart(shown.suppressed(given)))
    assert len(charts) == 1
    (chart,) = charts
    assert chart.count("<rect") == 3
    assert ">100<" in chart


def test_the_page_says_everything_that_the_terminal_does() -> None:
    given = simulation([row("a <b>", 300, 0, 100)], not_simulated=["experiments: who is held out stays as it is"])
    given["by"]["offer"] = given["by"].pop("segment")
    page = shown.page(given, all_shown=True, changes=["limits, x: was 1, becomes 2"])
    for line in shown.headlines(given):
        assert line.replace("<", "&lt;") in page
    assert "a &lt;b&gt;" in page
    assert "a <b>" not in page
    assert "was 1, becomes 2" in page
