"""Clusters against a slow, obvious oracle, and the guards that keep people apart."""

from __future__ import annotations

import numpy as np
import pytest

from candor import identity
from candor.identity import clusters


def union_find(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(node) for node in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_components_equal_a_union_find(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 200))
    edges = int(rng.integers(0, 2 * count))
    one, other = rng.integers(0, count, edges), rng.integers(0, count, edges)
    expected = union_find(count, list(zip(one.tolist(), other.tolist(), strict=True)))
    assert clusters.components(count, one, other).tolist() == expected


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_a_chain_of_fifty_thousand_is_one_component(order):
    names = np.arange(50_000)
    names = {"ascending": names, "descending": names[::-1], "shuffled": np.random.default_rng(1).permutation(names)}[order]
    assert not clusters.components(len(names), names[:-1], names[1:]).any()


@pytest.mark.parametrize("seed", range(20))
def test_persons_of_random_graphs_equal_a_union_find(seed, world, groups):
    """Accounts, contacts and addresses only, and no birth dates: nothing for a guard to cut."""
    rng = np.random.default_rng(seed)
    names = [f"{letter}{number}" for letter in "acep" for number in range(8)]
    pairs = {tuple(sorted(rng.choice(len(names), 2, replace=False).tolist())) for _ in range(int(rng.integers(1, 30)))}
    persons = world.run(1, " ".join(f"{names[one]}-{names[other]}" for one, other in sorted(pairs)), alone=" ".join(names))
    roots = union_find(len(names), sorted(pairs))
    together: dict[int, set[str]] = {}
    for node, root in enumerate(roots):
        together.setdefault(root, set()).add(names[node])
    somebody = {frozenset(members) for members in together.values() if len(members) > 1 or min(members)[0] in "ac"}
    assert groups(persons) == somebody


def test_no_edges_and_no_identifiers_give_nobody(world):
    assert world.run(1) == {}


CASES = {
    "account_contact_and_device_are_one_person": ("a1-e1 c1-e1 a1-d1:login d1-x1:device", {}, {"a1 c1 e1 d1 x1"}, set()),
    "a_device_between_two_people_joins_neither_browser": (
        "a1-d1:login a2-x2:login d1-x2:device",
        {},
        {"a1 d1", "a2 x2"},
        {("d1", "x2", "bridges_people")},
    ),
    "a_browser_of_nobody_on_two_peoples_devices_joins_neither": (
        "a1-d1:login a2-d2:login d1-x1:device d2-x1:device",
        {},
        {"a1 d1", "a2 d2", "x1"},
        {("d1", "x1", "bridges_people"), ("d2", "x1", "bridges_people")},
    ),
    "a_person_with_two_accounts_keeps_the_machines_between_them": (
        "a1-e1 a2-e1 a1-d1:login a2-x2:login d1-x2:device",
        {},
        {"a1 a2 e1 d1 x2"},
        set(),
    ),
    "a_wallet_on_another_persons_device_stays_with_its_account": (
        "a1-w1:signed_nonce a2-d2:login d2-w1:declared",
        {},
        {"a1 w1", "a2 d2"},
        {("d2", "w1", "bridges_people")},
    ),
    "a_browser_that_names_a_strangers_address_stays_with_its_login": (
        "a1-x1:login a2-e2 x1-e2:declared",
        {},
        {"a1", "x1", "a2 e2"},
        {("a1", "x1", "bridges_people"), ("x1", "e2", "bridges_people")},
    ),
    "a_contact_between_two_birth_dates_loses_the_weaker_evidence": (
        "a1-e1 c1-e1 c1-p2:phone a2-p2:phone",
        {"a1": "1960-01-01", "a2": "1990-01-01"},
        {"a1 c1 e1", "a2"},
        {("c1", "p2", "component_conflict"), ("a2", "p2", "component_conflict")},
    ),
    "the_same_birth_date_twice_is_no_conflict": (
        "a1-e1 c1-e1 c1-p2:phone a2-p2:phone",
        {"a1": "1990-01-01", "a2": "1990-01-01"},
        {"a1 a2 c1 e1 p2"},
        set(),
    ),
    "a_conflict_leaves_addresses_of_one_alone": (
        "a1-e1 a2-e1 a1-p1:phone a2-p2:phone",
        {"a1": "1960-01-01", "a2": "1990-01-01"},
        {"a1 p1", "a2 p2"},
        {("a1", "e1", "component_conflict"), ("a2", "e1", "component_conflict")},
    ),
}


@pytest.mark.parametrize(("edges", "born", "expected", "dropped"), CASES.values(), ids=CASES.keys())
def test_guard(world, edges, born, expected, dropped, groups):
    persons = world.run(1, edges, born=born)
    assert groups(persons) == {frozenset(members.split()) for members in expected}
    assert world.dropped() == dropped


def test_assigning_again_after_a_cut_changes_nothing(world, hash_key):
    edges = "a1-d1:login a2-d2:login d1-x1:device d2-x1:device"
    first = world.run(1, edges)

    identity.assign(world.connection, batch_seq=1, hash_key=hash_key)
    assert dict(world.table("select identifier, person_id from identity.person_identifiers")) == first


def test_hubs_and_blocked_values_join_nobody_and_are_nobody(world, groups):
    persons = world.run(1, "a1-e1 a2-d1:login a3-d1:login a4-x1:login", hubs="d1", blocked="x1")
    assert groups(persons) == {frozenset({"a1", "e1"}), frozenset({"a2"}), frozenset({"a3"}), frozenset({"a4"})}


def test_an_account_that_is_a_hub_is_still_somebody(world, groups):
    assert groups(world.run(1, alone="d1 d2", hubs="a9")) == {frozenset({"a9"}), frozenset({"d1"}), frozenset({"d2"})}


def test_an_address_that_joins_nothing_is_nobody(world):
    assert world.run(1, alone="e1 p1 w1") == {}


@pytest.mark.parametrize("seed", range(20))
def test_no_machine_ever_joins_two_people(seed, world, groups):
    """Whatever machines meet: without them, accounts fall into the same groups."""
    rng = np.random.default_rng(seed)
    names = {letter: [f"{letter}{number}" for number in range(5)] for letter in "acedxw"}

    def some(one: str, other: str, evidence: str) -> list[str]:
        count = int(rng.integers(0, 7))
        return [f"{rng.choice(names[one])}-{rng.choice(names[other])}:{evidence}" for _ in range(count)]

    proper = some("a", "e", "email") + some("c", "e", "email")
    machines = some("a", "d", "login") + some("a", "x", "login") + some("d", "x", "device") + some("d", "w", "declared")
    machines += some("a", "w", "signed_nonce") + some("x", "e", "declared")
    alone = " ".join(names["a"] + names["c"])
    with_machines = world.run(1, " ".join(dict.fromkeys(proper + machines)), alone=alone)
    without = world.run(1, " ".join(dict.fromkeys(proper)), alone=alone)
    assert groups({name: with_machines[name] for name in alone.split()}) == groups(
        {name: without[name] for name in alone.split()}
    )
