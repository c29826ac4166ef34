"""Circles of wallets that deal with each other more than with the rest: candidates for one owner, at every scale.

Louvain (Blondel et al. 2008), as the Arbitrum Foundation used it for airdrop clusters, over the graph without hubs. All nodes look at once and
every other one moves, so that it is arrays only and does not depend on the order of anything; each level of the hierarchy is a candidate,
because modularity alone prefers circles that grow with the graph (Fortunato and Barthelemy 2007) and owners do not.
"""

from __future__ import annotations

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Floats, Ints, TransferGraph, starts_of
from candor.identity.wallets.hubs import Look
from candor.identity.wallets.stars import NOBODY, Groups, acquaintances

# Moves settle within about ten sweeps of either half; what still moves then only trades equals.
SWEEPS = 20
LEVELS = 3
# Spreads neighbouring numbers over both halves (Knuth's multiplicative hash).
SPREAD = 2_654_435_761


def levels(graph: TransferGraph, look: Look) -> list[Groups]:
    """The circles of each level, finest first; wallets that know nobody but hubs are in none."""
    own, other = acquaintances(graph, look.is_hub)
    found: list[Groups] = []
    if len(own) == 0:
        return found
    known = np.zeros(graph.count, dtype=bool)
    known[own] = True
    names = np.flatnonzero(known)
    number = np.full(graph.count, NOBODY, dtype=np.int64)
    number[names] = np.arange(len(names))
    one, two, weight = number[own], number[other], np.ones(len(own))
    inside = np.arange(len(names))
    count = len(names)
    for _ in range(LEVELS):
        circle = _moved(count, one, two, weight)
        used, circle = np.unique(circle, return_inverse=True)
        if len(used) == count:
            break
        inside = circle[inside]
        label = np.full(graph.count, NOBODY, dtype=np.int64)
        label[names] = inside
        nobody = np.full(len(used), NOBODY)
        found.append(Groups(label, nobody, np.ones(len(used), dtype=bool), nobody))
        one, two, weight = _aggregated(len(used), circle[one], circle[two], weight)
        count = len(used)
    return found


def _moved(count: int, one: Ints, two: Ints, weight: Floats) -> Ints:
    """Each node's community after local moves; `one` is sorted, every edge is there both ways, loops once."""
    strength = np.bincount(one, weights=weight, minlength=count)
    total = strength.sum()
    loop = one == two
    proper_one, proper_two, proper_weight = one[~loop], two[~loop], weight[~loop]
    community = np.arange(count)
    half = (np.arange(count) * SPREAD >> 16) & 1
    moved_before = True
    for sweep in range(SWEEPS):
        key = proper_one * np.int64(count) + community[proper_two]
        order = np.argsort(key, kind="stable")
        begin = starts_of(key[order])
        if len(begin) == 0:
            break
        node, target = key[order][begin] // count, key[order][begin] % count
        shared = np.add.reduceat(proper_weight[order], begin)
        mass = np.bincount(community, weights=strength, minlength=count)
        stays = target == community[node]
        # the node itself is no reason to stay where it is
        gain = shared - strength[node] * (mass[target] - np.where(stays, strength[node], 0.0)) / total
        here = -strength * (mass[community] - strength) / total
        here[node[stays]] = gain[stays]
        best = np.lexsort((target, -gain, node))
        best = best[starts_of(node[best])]
        better = (gain[best] > here[node[best]] + 1e-9) & (half[node[best]] == sweep % 2)
        chosen = best[better]
        community[node[chosen]] = target[chosen]
        if len(chosen) == 0 and not moved_before:
            break
        moved_before = len(chosen) > 0
    return community


def _aggregated(count: int, one: Ints, two: Ints, weight: Floats) -> tuple[Ints, Ints, Floats]:
    """The graph of communities: weights summed, loops kept."""
    key = one * np.int64(count) + two
    order = np.argsort(key, kind="stable")
    begin = starts_of(key[order])
    found = key[order][begin]
    return found // count, found % count, np.add.reduceat(weight[order], begin)
