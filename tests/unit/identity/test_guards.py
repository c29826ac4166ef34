"""Checked documents that disagree, and what operators decide."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from candor.identity.graph import between
from candor.identity.overrides import Override

SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def decided(action: str, one: tuple[str, str], other: tuple[str, str]) -> Override:
    return Override(action, one, other, "data-protection", "looked at both", SINCE, None)


DOCUMENTS = {
    "the_same_name_is_one_person": ({"a1": "ada lovelace", "a2": "ada lovelace"}, {"a1 a2 c1 e1 p1"}),
    "a_typing_error_is_one_person": ({"a1": "jonathan smith", "a2": "jonathon smith"}, {"a1 a2 c1 e1 p1"}),
    "two_names_are_two_people": ({"a1": "ada lovelace", "a2": "mary shelley"}, {"a1 c1 e1", "a2"}),
    "a_name_that_nobody_checked_cuts_nothing": ({"a1": "ada lovelace"}, {"a1 a2 c1 e1 p1"}),
}


@pytest.mark.parametrize(("documents", "expected"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_checked_documents_that_disagree_never_stay_in_one_person(world, groups, documents, expected):
    persons = world.run(1, "a1-e1 c1-e1 c1-p1:phone a2-p1:phone", documents=documents)
    assert groups(persons) == {frozenset(members.split()) for members in expected}
    reasons = {reason for _, _, reason in world.dropped()}
    assert reasons == (set() if len(expected) == 1 else {"kyc_conflict"})


def test_a_link_by_an_operator_joins_what_no_source_ties_together(world, groups):
    overruled = (decided("link", ("contact_id", "c9"), ("account_id", "a1")),)
    persons = world.run(1, "a1-e1 c9-p9:phone", overruled=overruled)
    assert groups(persons) == {frozenset({"a1", "e1", "c9", "p9"})}
    assert world.counts["operator_links"] == 1
    assert world.table("select identifier, other_identifier from identity.edges where evidence = 'operator'") == [("a1", "c9")]


def test_a_link_to_somebody_never_seen_is_counted_and_joins_nothing(world, groups):
    persons = world.run(1, "a1-e1", overruled=(decided("link", ("account_id", "a1"), ("account_id", "a7")),))
    assert groups(persons) == {frozenset({"a1", "e1"})}
    assert world.counts["operator_links_unseen"] == 1


def test_an_unlink_by_an_operator_cuts_the_weakest_way_and_leaves_the_rest(world, groups):
    overruled = (decided("unlink", ("account_id", "a1"), ("account_id", "a2")),)
    persons = world.run(1, "a1-e1 c1-e1 c1-p1:phone a2-p1:phone a2-d2:login a1-d1:login", overruled=overruled)
    assert groups(persons) == {frozenset({"a1", "c1", "e1", "d1"}), frozenset({"a2", "d2"})}
    assert world.dropped() == {("c1", "p1", "operator_unlink"), ("a2", "p1", "operator_unlink")}


def test_an_unlink_cuts_the_strong_way_too_when_weak_ones_were_not_all(world, groups):
    overruled = (decided("unlink", ("account_id", "a1"), ("contact_id", "c1")),)
    persons = world.run(1, "a1-e1 c1-e1 a1-c1:declared", overruled=overruled)
    assert persons["a1"] != persons["c1"]
    assert {reason for _, _, reason in world.dropped()} == {"operator_unlink"}


def test_an_unlink_of_a_device_leaves_its_account_everything_else(world, groups):
    overruled = (decided("unlink", ("account_id", "a1"), ("device_id", "d1")),)
    persons = world.run(1, "a1-e1 a1-d1:login d1-x1:device a1-w1:signed_nonce", overruled=overruled)
    assert groups(persons) == {frozenset({"a1", "e1", "w1"}), frozenset({"d1", "x1"})}


def test_an_override_counts_from_its_day_until_its_end():
    override = Override("link", ("account_id", "a1"), ("account_id", "a2"), "x", "y", SINCE, datetime(2026, 11, 9, tzinfo=UTC))
    days = (datetime(2026, 10, 31, tzinfo=UTC), SINCE, datetime(2026, 11, 8, tzinfo=UTC), datetime(2026, 11, 9, tzinfo=UTC))
    assert [override.holds(day) for day in days] == [False, True, True, False]


@pytest.mark.parametrize("seed", range(10))
def test_pruning_dead_ends_leaves_what_lies_between_terminals(seed):
    """An edge of a tree lies between two terminals exactly when cutting it parts them."""
    rng = np.random.default_rng(seed)
    count = 30
    one, other = rng.integers(0, np.arange(1, count)), np.arange(1, count)
    terminals = rng.choice(count, 3, replace=False)
    is_terminal = np.zeros(count, dtype=bool)
    is_terminal[terminals] = True
    kept = between(one, other, is_terminal)

    def side(edge: int) -> set[int]:
        reached, grown = {int(other[edge])}, True
        while grown:
            grown = False
            for place in range(count - 1):
                ends = {int(one[place]), int(other[place])}
                if place != edge and len(ends & reached) == 1:
                    reached |= ends
                    grown = True
        return reached

    for edge in range(count - 1):
        parted = len(side(edge) & set(terminals.tolist()))
        assert kept[edge] == (0 < parted < 3)
