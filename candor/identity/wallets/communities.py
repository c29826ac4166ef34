"""Circles of wallets that deal with each other more than with the rest: candidates for one owner, at every scale.

Louvain (Blondel et al. 2008), as the Arbitrum Foundation used it for airdrop clusters, over the graph without hubs. All nodes look at once and
every other one moves, so that it is arrays only and does not depend on the order of anything; each level of the hierarchy is a candidate,
because modularity alone prefers circles that grow with the graph (Fortunato and Barthelemy 2007) and owners do not.

Whoever looks for circles finds them, in graphs of strangers too (Guimera, Sales-Pardo and Amaral 2004). So the same search runs once more over
the same wallets with as many acquaintances each, drawn anew, and a circle counts only when more money stays inside than in any circle of its
size found there.
"""

from __future__ import annotations

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Floats, Ints, TransferGraph, starts_of
from candor.identity.wallets.hubs import Look
from candor.identity.wallets.stars import NOBODY, Groups, acquaintances

# Moves settle within about ten sweeps of either half; what still moves then only trades equals.
SWEEPS = 20
LEVELS = 3
# When one node in a thousand moves, a sweep is not worth its time.
SETTLED = 1e-3
# One draw of strangers is a thousand circles to compare with; the same draw every time.
SEED = 1
SIZE_CLASSES = 64
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
    one, two = number[own], number[other]
    bar = _bar_by_size(len(names), *_among_strangers(one, two))
    for inside in _levels(len(names), one, two):
        size, surprise = _surprise(inside, one, two)
        label = np.full(graph.count, NOBODY, dtype=np.int64)
        label[names] = np.where((surprise > bar[_size_class(size)])[inside], inside, NOBODY)
        nobody = np.full(len(size), NOBODY)
        found.append(Groups(label, nobody, np.ones(len(size), dtype=bool), nobody))
    return found


def _levels(count: int, one: Ints, two: Ints) -> list[Ints]:
    """For each level of the hierarchy each node's circle, finest first."""
    found: list[Ints] = []
    inside, weight = np.arange(count), np.ones(len(one))
    for _ in range(LEVELS):
        circle = _moved(count, one, two, weight)
        used, circle = np.unique(circle, return_inverse=True)
        if len(used) == count:
            break
        inside = circle[inside]
        found.append(inside)
        one, two, weight = _summed(len(used), circle[one], circle[two], weight)
        count = len(used)
    return found


def _among_strangers(one: Ints, two: Ints) -> tuple[Ints, Ints]:
    """As many edges between the same nodes with the same degrees, drawn anew; both ways and sorted, as they came.

    The configuration model (Newman 2010, chapter 13); the few loops and repeats it draws are left out.
    """
    once = one < two
    source, target = one[once], two[once]
    target = target[np.random.default_rng(SEED).permutation(len(target))]
    low, high = np.minimum(source, target), np.maximum(source, target)
    edge = np.unique(np.stack([low[low < high], high[low < high]]), axis=1)
    both = np.concatenate([edge, edge[::-1]], axis=1)
    order = np.lexsort((both[1], both[0]))
    return both[0][order], both[1][order]


def _surprise(inside: Ints, one: Ints, two: Ints) -> tuple[Ints, Floats]:
    """Each circle's size, and by how many nats its edges inside are more than its members' degrees explain (Poisson)."""
    size = np.bincount(inside)
    degree = np.bincount(one, minlength=len(inside))
    mass = np.bincount(inside, weights=degree, minlength=len(size))
    within = inside[one] == inside[two]
    edges = np.bincount(inside[one][within], minlength=len(size)) / 2
    expected = np.maximum(mass**2 / (2 * max(len(one), 1)), 1e-9)
    return size, np.where(edges > expected, edges * np.log(np.maximum(edges, 1e-9) / expected) - (edges - expected), 0.0)


def _size_class(size: Ints) -> Ints:
    """Sizes by powers of the square root of two: near enough to compare, wide enough that each has its strangers."""
    return np.minimum((2 * np.log2(np.maximum(size, 1))).astype(np.int64), SIZE_CLASSES - 1)


def _bar_by_size(count: int, one: Ints, two: Ints) -> Floats:
    """The largest surprise among strangers by class of size; classes none of them has take the largest of those below."""
    bar = np.zeros(SIZE_CLASSES)
    for inside in _levels(count, one, two):
        size, surprise = _surprise(inside, one, two)
        np.maximum.at(bar, _size_class(size), surprise)
    return np.maximum.accumulate(bar)


def _moved(count: int, one: Ints, two: Ints, weight: Floats) -> Ints:
    """Each node's community after local moves; `one` is sorted, every edge is there both ways, loops once."""
    strength = np.bincount(one, weights=weight, minlength=count)
    total = strength.sum()
    proper = one != two
    half = (np.arange(count) * SPREAD >> 16) & 1
    parts = [np.flatnonzero(proper & (half[one] == side)) for side in (0, 1)]
    sides = [(one[part], two[part], weight[part]) for part in parts]
    community = np.arange(count)
    for sweep in range(SWEEPS):
        own, other, value = sides[sweep % 2]
        node, target, shared = _summed(count, own, community[other], value)
        if len(node) == 0:
            continue
        mass = np.bincount(community, weights=strength, minlength=count)
        stays = target == community[node]
        # the node itself is no reason to stay where it is
        gain = shared - strength[node] * (mass[target] - np.where(stays, strength[node], 0.0)) / total
        begin = starts_of(node)
        mine = node[begin]
        here = -strength[mine] * (mass[community[mine]] - strength[mine]) / total
        here[np.searchsorted(mine, node[stays])] = gain[stays]
        # of equal gains the smallest community, which comes first
        most = np.maximum.reduceat(gain, begin)
        is_best = np.flatnonzero(gain == np.repeat(most, np.diff(np.append(begin, len(node)))))
        best = is_best[starts_of(node[is_best])]
        chosen = best[most > here + 1e-9]
        community[node[chosen]] = target[chosen]
        if sweep > 3 and len(chosen) <= SETTLED * count:
            break
    return community


def _summed(count: int, one: Ints, two: Ints, weight: Floats) -> tuple[Ints, Ints, Floats]:
    """Each pair (one, two) once, sorted, with its weight."""
    key = one * np.int64(count) + two
    if len(weight) and weight.min() == weight.max():
        key.sort()  # equal weights need no order, and sorting alone is much faster
        begin = starts_of(key)
        shared = np.diff(np.append(begin, len(key))) * weight[0]
        return key[begin] // count, key[begin] % count, shared
    order = np.argsort(key, kind="stable")
    key = key[order]
    begin = starts_of(key)
    shared = np.add.reduceat(weight[order], begin) if len(begin) else weight
    return key[begin] // count, key[begin] % count, shared
