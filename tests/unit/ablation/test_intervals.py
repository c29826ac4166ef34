"""Intervals against slower or known ways of computing the same."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from benchmarks.ablation.intervals import (
    Interval,
    bootstrap,
    effective_number,
    people_needed,
    shapley_weights,
    share_of_offers,
    wilson,
)


@pytest.mark.parametrize(("part", "whole"), [(0, 10), (3, 10), (10, 10), (1, 5000), (499, 1000)])
def test_wilson_is_scipys(part: int, whole: int) -> None:
    ours, theirs = wilson(part, whole), binomtest(part, whole).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_of_no_rows_anything_is_possible() -> None:
    assert wilson(0, 0) == Interval(0.0, 0.0, 1.0)


def test_offers_that_stand_and_fall_together_count_as_one_each_human() -> None:
    # 200 humans with five offers each, all or none of them bad: as good as 200 coins.
    parts = np.repeat([5.0, 0.0], 100)
    assert effective_number(parts, np.full(200, 5.0)) == pytest.approx(200, rel=0.02)


def test_single_offers_are_worth_themselves_and_never_more() -> None:
    rng = np.random.default_rng(3)
    parts = (rng.random(4000) < 0.1).astype(float)
    assert effective_number(parts, np.ones(4000)) == pytest.approx(4000, rel=0.01)
    assert effective_number(np.array([1.0, 1.0]), np.array([2.0, 2.0])) == 4, (
        "less than chance varies is no more than there are"
    )


def test_no_bad_offer_says_as_much_as_there_are_humans_not_offers() -> None:
    none = share_of_offers(np.zeros(100), np.full(100, 7.0))
    assert none == wilson(0, 100)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_bootstrap_agrees_with_the_normal_interval_of_a_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gains = rng.exponential(0.1, 3000)
    found = bootstrap([_day(gains)], people=3000).of(0, "distinct_gain")
    half = 1.96 * np.sqrt((gains**2).sum()) / 3000
    assert found.value == pytest.approx(gains.mean())
    assert found.half_width == pytest.approx(half, rel=0.1)


def test_the_same_day_twice_differs_by_nothing_and_paired_days_differ_by_less_than_two_shops() -> None:
    rng = np.random.default_rng(5)
    gains = rng.exponential(0.1, 2000)
    other = gains + rng.normal(0.01, 0.01, 2000)
    draws = bootstrap([_day(gains), _day(gains), _day(other)], people=2000)
    assert draws.difference(1, 0, "distinct_gain") == Interval(0.0, 0.0, 0.0)
    paired = draws.difference(2, 0, "distinct_gain")
    assert not paired.spans_zero
    assert paired.half_width < draws.of(0, "distinct_gain").half_width / 5


def test_humans_without_offers_on_one_day_weigh_nothing_there() -> None:
    one, other = _day(np.ones(10)), _day(np.ones(4))
    difference = bootstrap([one, other], people=10).difference(1, 0, "distinct_gain")
    assert difference.value == pytest.approx(-0.6)
    assert difference.low >= -1.8
    assert difference.high <= 0


def test_the_same_humans_give_the_same_draws() -> None:
    gains = np.linspace(0, 1, 50)
    assert np.array_equal(bootstrap([_day(gains)], people=50).drawn, bootstrap([_day(gains)], people=50).drawn)


def test_people_needed_grow_with_the_square_of_the_interval() -> None:
    assert people_needed(Interval(1.0, -1.0, 3.0), 5000) == 20_000
    assert people_needed(Interval(0.0, -1.0, 1.0), 5000) is None
    assert people_needed(Interval(4.0, 3.0, 5.0), 5000) == 5000, "already told apart"


def test_shapley_values_of_an_additive_shop_are_what_each_silo_adds() -> None:
    worth = {"a": 1.0, "b": 2.0, "c": 4.0}
    for silo, own in worth.items():
        value = sum(weight * sum(worth[one] for one in subset) for subset, weight in shapley_weights(list(worth), silo))
        assert value == pytest.approx(own)


def test_shapley_values_share_what_only_two_silos_together_bring() -> None:
    def together(subset: frozenset[str]) -> float:
        return float({"a", "b"} <= subset)

    values = [sum(weight * together(subset) for subset, weight in shapley_weights(["a", "b", "c"], silo)) for silo in "abc"]
    assert values == pytest.approx([0.5, 0.5, 0.0])


def _day(gains: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "human": [f"h{place:05}" for place in range(len(gains))],
            "offers": 1, "hard": 0, "wrong": 0, "not_permitted": 0, "any_gain": gains, "shown": gains, "gain": gains, "distinct_gain": gains,
        }
    )  # fmt: skip
