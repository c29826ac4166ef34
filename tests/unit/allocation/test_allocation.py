"""The allocation of scarce offers against an integer program solved whole, on small random problems."""

from dataclasses import replace
from types import SimpleNamespace

import duckdb
import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from candor import allocation
from candor.allocation import Options, assign


def problem(seed, *, budget):
    """(options, places, budget) drawn from a seed: few values, so that there are many ties."""
    draw = np.random.default_rng(seed)
    people, lines, offers = (int(draw.integers(1, most)) for most in (15, 4, 7))
    line_of = draw.integers(0, lines, offers)
    rows = [
        (person, line, offer)
        for person in range(people)
        for line in range(lines)
        for offer in range(offers)
        if line_of[offer] == line and draw.random() < 0.8
    ] or [(0, line_of[0], 0)]
    person, line, offer = np.array(rows).T
    _, choice = np.unique(person * lines + line, return_inverse=True)
    places = np.where(draw.random(offers) < 0.6, draw.integers(0, 6, offers), -1)
    count = len(rows)
    options = Options(
        choice=choice.astype(np.int64),
        line=line.astype(np.int64),
        offer=offer.astype(np.int64),
        value=draw.integers(1, draw.choice([4, 1_000_000]), count),
        cost=draw.integers(0, 50, count),
        takes_place=(places[offer] >= 0) & (draw.random(count) < 0.9),
        is_counted=(draw.random(people) < 0.8)[person],
    )
    return options, places, int(draw.integers(0, 200)) if budget else None


def best_value(options, places, budget):
    """What the best assignment is worth, from an integer program over all options at once."""
    limits = [(options.choice == choice, 1) for choice in np.unique(options.choice)]
    limits += [
        ((options.offer == offer) & options.takes_place & options.is_counted, count)
        for offer, count in enumerate(places)
        if count >= 0
    ]
    if budget is not None:
        limits.append((np.where(options.is_counted, options.cost, 0), budget))
    solved = milp(
        -np.where(options.is_counted, options.value, 0).astype(float),
        constraints=LinearConstraint(np.array([row for row, _ in limits], dtype=float), -np.inf, [most for _, most in limits]),
        integrality=np.ones(options.value.size),
        bounds=Bounds(0, 1),
    )
    return -solved.fun


def keeps_limits(options, places, budget, taken):
    counted = taken & options.is_counted
    assert np.bincount(options.choice[taken]).max(initial=0) <= 1
    for offer, count in enumerate(places):
        if count >= 0:
            assert np.count_nonzero(counted & options.takes_place & (options.offer == offer)) <= count
    if budget is not None:
        assert options.cost[counted].sum() <= budget


@pytest.mark.parametrize("seed", range(60))
def test_no_assignment_within_the_caps_is_worth_more(seed):
    options, places, _ = problem(seed, budget=False)
    solved = assign(options, places, None)
    keeps_limits(options, places, None, solved.taken)
    assert solved.value == pytest.approx(best_value(options, places, None))
    assert solved.bound == pytest.approx(solved.value)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_clear_from_an_eighth_of_the_people_is_the_optimum_of_all(seed, monkeypatch):
    options, places, _ = problem(seed, budget=False)
    monkeypatch.setattr(allocation, "SOLVED_WHOLE", 2)
    solved = assign(options, places, None)
    keeps_limits(options, places, None, solved.taken)
    assert solved.value == pytest.approx(best_value(options, places, None))


@pytest.mark.parametrize("seed", range(60))
def test_with_a_budget_the_bound_holds_and_the_loss_is_at_most_what_one_person_could_bring(seed):
    options, places, budget = problem(seed, budget=True)
    solved = assign(options, places, budget)
    keeps_limits(options, places, budget, solved.taken)
    best = best_value(options, places, budget)
    assert solved.value <= best + 1e-6 <= solved.bound + 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_people_are_given_offers_of_the_same_value(seed):
    options, places, _ = problem(seed, budget=False)
    order = np.random.default_rng(seed).permutation(options.choice.max() + 1)
    rows = np.argsort(order[options.choice], kind="stable")
    shuffled = options.only(rows)
    renumbered = np.r_[0, np.cumsum(np.diff(shuffled.choice) != 0)]
    shuffled = replace(shuffled, choice=renumbered)
    assert assign(shuffled, places, None).value == assign(options, places, None).value


def test_held_out_people_choose_at_the_same_price_and_take_no_place():
    # Three would take the one place; the held-out one stands second and would not have got it either, the fourth would have.
    options = Options(
        choice=np.arange(4),
        line=np.zeros(4, dtype=np.int64),
        offer=np.zeros(4, dtype=np.int64),
        value=np.array([5, 4, 3, 6]),
        cost=np.zeros(4, dtype=np.int64),
        takes_place=np.ones(4, dtype=bool),
        is_counted=np.array([True, False, True, False]),
    )
    solved = assign(options, np.array([1]), None)
    assert solved.taken.tolist() == [True, True, False, True]
    assert solved.prices.tolist() == [3.0]
    assert solved.value == 5


def test_no_cap_and_a_cap_of_nought_are_different():
    options = Options(
        np.arange(1),
        *(np.zeros(1, dtype=np.int64) for _ in "lo"),
        np.array([5]),
        np.array([0]),
        np.ones(1, bool),
        np.ones(1, bool),
    )
    assert assign(options, np.array([-1]), None).taken.tolist() == [True]
    assert assign(options, np.array([0]), None).taken.tolist() == [False]


def test_a_budget_of_nought_still_gives_what_costs_nothing():
    options = Options(
        choice=np.array([0, 0]),
        line=np.zeros(2, dtype=np.int64),
        offer=np.array([0, 1]),
        value=np.array([9, 1]),
        cost=np.array([1, 0]),
        takes_place=np.zeros(2, dtype=bool),
        is_counted=np.ones(2, dtype=bool),
    )
    assert assign(options, np.array([-1, -1]), 0).taken.tolist() == [False, True]


@pytest.mark.parametrize("missed", [False, True])
def test_who_took_a_place_in_vain_is_left_without_and_does_not_choose_it_again(missed):
    """The choice must stay in decisions.allocations: whatever is not there takes its greatest value, place or no place."""
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema valuation; create schema staging; create schema identity; create schema policy;
            create table valuation.line_options as
            select 'ann' as person_id, 'staking' as product_line, 'sol' as offer_id, 'treated' as arm, 2.0::decimal(18, 6) as value_usd,
                0.1::decimal(18, 6) as cost_usd, 1::bigint as total_cap, false as is_explored, false as is_first_drawn;
            create table staging.stg_catalogue__offers as select 'sol' as offer_id, 1::bigint as total_cap;
            create table identity.person_aliases (person_id varchar, surviving_person_id varchar);
            create table policy.budgets as select 'incentives' as name, null::double as limit_usd;
            """
        )
        query = "select 'ann' as person_id, 'sol' as offer_id" if missed else None
        allocation.run(connection, SimpleNamespace(batch_seq=1), missed=query)
        assert connection.execute("select person_id, product_line, offer_id from decisions.allocations").fetchall() == [
            ("ann", "staking", None if missed else "sol")
        ]
