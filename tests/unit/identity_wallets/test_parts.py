"""Each step of the wallet graph against the obvious, slow way to do it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from candor.identity.wallets import evidence, forming, hubs, stars
from candor.identity.wallets.graph import TransferGraph
from candor.identity.wallets.stars import NOBODY


def neighbours(graph: TransferGraph) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    sends, gets = defaultdict(set), defaultdict(set)
    for one, other in zip(graph.source.tolist(), graph.target.tolist(), strict=True):
        sends[one].add(other)
        gets[other].add(one)
    return sends, gets


def some_hubs(graph: TransferGraph) -> np.ndarray:
    return graph.degree >= np.sort(graph.degree)[-4]


@pytest.mark.parametrize("seed", range(5))
def test_degrees_count_each_counterparty_once(made, seed):
    _, graph = made.graph_of(made.random_table(seed))
    sends, gets = neighbours(graph)
    assert graph.degree.tolist() == [len(sends[node] | gets[node]) for node in range(graph.count)]
    assert graph.reciprocal.tolist() == [one in sends[other] for one, other in zip(graph.source, graph.target, strict=True)]


@pytest.mark.parametrize("degrees", [[], [1, 1, 1], [5, 4, 4, 4, 1], [9] * 9, [0, 0]])
def test_the_h_index_is_the_largest_h_with_h_nodes_of_degree_h(degrees):
    slow = max(h for h in range(len(degrees) + 1) if sum(degree >= h for degree in degrees) >= h)
    assert hubs.h_index(np.array(degrees, dtype=int)) == slow


@pytest.mark.parametrize("timed", [False, True], ids=["untimed", "timed"])
@pytest.mark.parametrize("seed", range(5))
def test_the_centre_is_the_first_funder_and_of_several_the_most_promising(made, seed, timed):
    _, graph = made.graph_of(made.random_table(seed, timed=timed))
    is_hub = some_hubs(graph)
    sends, gets = neighbours(graph)
    when = {(one, other): time for one, other, time in zip(graph.source, graph.target, graph.first, strict=True)}

    def order(funder: int, wallet: int) -> tuple:
        fan = [other for other in sends[funder] if not is_hub[other]]
        one_way = [other for other in fan if funder not in sends[other]]
        return (is_hub[funder], graph.degree[funder] if is_hub[funder] else 0, -len(one_way), -len(fan), funder)

    expected = []
    for wallet in range(graph.count):
        candidates = list(gets[wallet])
        if timed and candidates:
            first = min(when[funder, wallet] for funder in candidates)
            candidates = [funder for funder in candidates if when[funder, wallet] == first]
        chosen = min(candidates, key=lambda funder: order(funder, wallet), default=NOBODY)
        expected.append(NOBODY if is_hub[wallet] else chosen)
    side = stars.sides(graph)["funded"]
    doubt = np.zeros(graph.count, dtype=np.int64)
    assert stars.centres(graph, side, is_hub, doubt, first_only=True).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_wallet_is_alone_when_it_knows_nobody_but_hubs_outside_its_group(made, seed):
    _, graph = made.graph_of(made.random_table(seed))
    is_hub = some_hubs(graph)
    side = stars.sides(graph)["funded"]
    label = stars.centres(graph, side, is_hub, np.zeros(graph.count, dtype=np.int64), first_only=True)
    groups = stars.around(label, is_hub)
    sends, gets = neighbours(graph)
    verdict = stars.judge(graph, side, is_hub, groups, np.full(graph.count, NOBODY))
    known_by = defaultdict(set)  # of each group: who outside it knows which of its wallets

    def is_outside(wallet: int, other: int) -> bool:
        mine = label[wallet]
        sibling = label[other] == mine and not is_hub[mine]
        return not is_hub[other] and other != mine and label[other] != wallet and not sibling

    for wallet in np.flatnonzero(label != NOBODY).tolist():
        for other in sends[wallet] | gets[wallet]:
            if is_outside(wallet, other):
                known_by[label[wallet], other].add(wallet)
    for wallet in np.flatnonzero(verdict.informative).tolist():
        size = (label == label[wallet]).sum()
        outside = [
            other
            for other in sends[wallet] | gets[wallet]
            if is_outside(wallet, other)
            and graph.degree[other] <= graph.sociable
            and len(known_by[label[wallet], other]) < max(2, 0.2 * size)
        ]
        assert (verdict.alone[wallet] >= 0) == (not outside)


def test_wallets_of_one_deposit_address_are_one_owner_and_who_has_an_own_one_is_not(made):
    customers = " ".join(f"c{n:02}>d{n:02} d{n:02}>hot" for n in range(30))
    withdrawals = " ".join(f"hot>c{n:02}" for n in range(30))
    shared = "s1>dep s2>dep dep>hot hot>s1 hot>s2 p1>s1 p2>s2 p1>c03 p2>c04"
    stranger = "c07>dep t1>dep t1>own-of-t1 own-of-t1>hot hot>t1 p3>t1"
    rows, graph = made.graph_of(made.table_of(f"{customers} {withdrawals} {shared} {stranger}"))
    look = hubs.find(graph)
    names = rows.ids.to_pylist()
    assert [name for name, is_hub in zip(names, look.is_hub, strict=True) if is_hub] == ["hot"]
    found, _ = evidence.collect(graph, look)
    deposits = found.reason[found.group] == evidence.DEPOSIT
    assert {names[wallet] for wallet in found.wallet[deposits]} == {"dep", "s1", "s2"}


def memberships(groups: list[list[int]], middles: dict[int, int] | None = None) -> evidence.Memberships:
    middles = middles or {}
    rows = [(group, wallet, middles.get(group) == wallet) for group, wallets in enumerate(groups) for wallet in wallets]
    return evidence.Memberships(
        *(np.array(column) for column in zip(*rows, strict=True)),
        reason=np.zeros(len(groups), dtype=int),
        via=np.full(len(groups), NOBODY),
        log_odds=np.arange(len(groups), 0, -1).astype(float),
    )


@pytest.mark.parametrize(
    ("groups", "middles", "expected"),
    [
        pytest.param([[0, 1], [2, 3]], {}, [0, 0, 2, 2], id="apart"),
        pytest.param([[0, 1, 2], [1, 2, 3]], {}, [0, 0, 0, 0], id="two_shared_wallets_join"),
        pytest.param([[0, 1, 2, 3, 4, 5], [5, 6, 7, 8, 9, 10]], {}, [0] * 6 + [6] * 5, id="one_shared_wallet_of_six_does_not"),
        pytest.param(
            [[0, 1, 2, 3, 4, 5], [5, 6, 7, 8, 9, 10]], {1: 5}, [0] * 11, id="but_the_middle_of_a_group_brings_it_along"
        ),
        pytest.param([[0, 1], [1, 2]], {}, [0, 0, 0], id="one_shared_wallet_of_two_joins"),
    ],
)
def test_groups_join_when_they_share_enough(groups, middles, expected):
    formed = forming.form(len(expected), memberships(groups, middles))
    assert formed.cluster.tolist() == expected
