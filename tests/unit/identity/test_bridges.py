"""How well each identifier hangs together with its person, against a slow, obvious oracle."""

from __future__ import annotations

import numpy as np
import pytest

from candor.identity.graph import bottleneck, components


def slow_bottleneck(anchor: int, count: int, edges: list[tuple[int, int, int]]) -> dict[int, int]:
    """For each node the least W at which the edges of weight up to W connect it with the anchor, tried one W after the other."""
    found: dict[int, int] = {}
    for limit in sorted({weight for _, _, weight in edges}):
        reached = {anchor}
        grown = True
        while grown:
            grown = False
            for one, other, weight in edges:
                if weight <= limit and (one in reached) != (other in reached):
                    reached |= {one, other}
                    grown = True
        for node in range(count):
            if node in reached and node != anchor:
                found.setdefault(node, limit)
    return found


@pytest.mark.parametrize("seed", range(25))
def test_the_weakest_link_of_the_strongest_chain_equals_trying_every_limit(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 40))
    edges = int(rng.integers(1, 3 * count))
    one, other, weight = rng.integers(0, count, edges), rng.integers(0, count, edges), rng.integers(1, 9, edges)
    cluster = components(count, one, other)
    found = bottleneck(cluster, one, other, weight)
    triples = list(zip(one.tolist(), other.tolist(), weight.tolist(), strict=True))
    for anchor in sorted(set(cluster.tolist())):
        expected = slow_bottleneck(anchor, count, triples)
        for node in np.flatnonzero(cluster == anchor).tolist():
            assert node == anchor or found[node] == expected[node]
        assert found[anchor] == np.iinfo(np.int64).min


def test_a_chain_of_a_thousand_links_is_as_weak_as_its_weakest():
    one, other = np.arange(1000), np.arange(1, 1001)
    weight = np.full(1000, 2)
    weight[700] = 7
    found = bottleneck(components(1001, one, other), one, other, weight)
    assert found[700] == 2
    assert found[701] == found[1000] == 7


def test_a_person_carries_the_evidence_of_their_weakest_bridge(world):
    persons = world.run(1, "a1-e1 c1-e1 c1-p1:phone c2-p1:phone a2-d2:login a4-e4 a4-p4:phone", alone="a3")
    bridges = {
        person: (evidence, identifiers)
        for person, evidence, identifiers in world.table(
            "select person_id, weakest_evidence, identifiers from identity.persons"
        )
    }
    assert bridges[persons["a1"]] == ("phone", 5)
    assert bridges[persons["a2"]] == ("login", 2)
    assert bridges[persons["a3"]] == ("alone", 1)
    assert bridges[persons["a4"]] == ("alone", 3)  # an address and a number of one account join nobody
    probability = dict(world.table("select person_id, match_probability from identity.persons"))
    assert probability[persons["a1"]] == pytest.approx(0.94)
    assert probability[persons["a3"]] == 1


def test_a_second_stronger_way_makes_the_weak_bridge_matter_no_more(world):
    persons = world.run(1, "a1-c1:declared a1-e1 c1-e1")
    assert dict(world.table("select person_id, weakest_evidence from identity.persons")) == {persons["a1"]: "email"}


def test_an_identifier_says_since_when_it_was_known_to_be_this_persons(world):
    known = {"a1-e1": "2026-01-01", "c1-e1": "2026-03-01", "a1-d1": "2026-02-01", "a1-c1": "2026-05-01"}
    world.run(1, "a1-e1 c1-e1 a1-d1:login a1-c1:declared", known=known)
    since = dict(world.table("select identifier, strftime(linked_at, '%Y-%m-%d') from identity.person_identifiers"))
    assert since == {"a1": None, "e1": "2026-01-01", "d1": "2026-02-01", "c1": "2026-03-01"}
