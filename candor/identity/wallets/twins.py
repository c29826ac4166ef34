"""Wallets that share two rare counterparties, whatever these are: candidates for one owner that no single centre shows."""

from __future__ import annotations

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Floats, Ints, TransferGraph, starts_of
from candor.identity.wallets.hubs import Look
from candor.identity.wallets.stars import NOBODY, Groups

# The five rarest counterparties of a wallet make ten pairs; what more there is, is popular.
RAREST = 5
# Fewer than five wallets share two rare counterparties by accident, or because friends have the same friends.
FEWEST = 5
# A pair of counterparties must be shared e^3 = 20 times as often as two nodes of their degrees would be by chance.
SURPRISE = 3.0


def groups(graph: TransferGraph, look: Look) -> tuple[Groups, Floats]:
    """Each wallet in the group of the pair of counterparties that is shared most surprisingly; and one nat for the surprise.

    Surprise is the likelihood ratio of the number of sharers under a Poisson law whose mean is that of a random graph with the same
    degrees, d_a d_b / n (the configuration model; the same idea as the LayerZero reports' greatest common transaction set).
    """
    label = np.full(graph.count, NOBODY, dtype=np.int64)
    wallet, other = _rarest(graph, look)
    one, two, who = _combined(wallet, other)
    if len(who) == 0:
        return _nobody(graph)
    key = one * graph.count + two
    order = np.argsort(key, kind="stable")
    begin = starts_of(key[order])
    number = np.diff(np.append(begin, len(order)))
    pair = np.repeat(np.arange(len(begin)), number)
    low, high = one[order][begin], two[order][begin]
    expected = graph.degree[low].astype(float) * graph.degree[high] / graph.count
    ratio = np.log(np.maximum(number, 1) / expected)
    gain = np.where((number >= FEWEST) & (ratio >= SURPRISE), number * ratio - number + expected, 0.0)
    useful = gain[pair] > 0
    who, pair = who[order][useful], pair[useful]
    # the most surprising pair of each wallet; of equal ones the first
    best = np.lexsort((pair, -np.round(gain[pair], 6), who))
    who, pair = who[best], pair[best]
    first = starts_of(who)
    if len(first) == 0:
        return _nobody(graph)
    used, place = np.unique(pair[first], return_inverse=True)
    label[who[first]] = place
    surprise = np.where(label >= 0, 1.0, 0.0)
    return Groups(label, low[used], np.ones(len(used), dtype=bool), high[used]), surprise


def _nobody(graph: TransferGraph) -> tuple[Groups, Floats]:
    nobody = np.full(1, NOBODY)
    return Groups(np.full(graph.count, NOBODY), nobody, np.ones(1, dtype=bool), nobody), np.zeros(graph.count)


def _rarest(graph: TransferGraph, look: Look) -> tuple[Ints, Ints]:
    """Each wallet with its rarest counterparties that others deal with too, sorted by wallet and then by counterparty."""
    # a reciprocal pair is there twice already, once each way
    once = ~graph.reciprocal
    wallet = np.concatenate([graph.source, graph.target[once]]).astype(np.int64)
    other = np.concatenate([graph.target, graph.source[once]]).astype(np.int64)
    keep = ~look.is_hub[wallet] & (graph.degree[other] >= FEWEST)
    wallet, other = wallet[keep], other[keep]
    order = np.lexsort((other, graph.degree[other], wallet))
    wallet, other = wallet[order], other[order]
    begin = starts_of(wallet)
    place = np.arange(len(wallet)) - np.repeat(begin, np.diff(np.append(begin, len(wallet))))
    rare = place < RAREST
    wallet, other = wallet[rare], other[rare]
    order = np.lexsort((other, wallet))
    return wallet[order], other[order]


def _combined(wallet: Ints, other: Ints) -> tuple[Ints, Ints, Ints]:
    """All pairs of counterparties of one wallet, the smaller first, with the wallet."""
    one, two, who = [], [], []
    for shift in range(1, RAREST):
        same = wallet[shift:] == wallet[:-shift]
        one.append(other[:-shift][same])
        two.append(other[shift:][same])
        who.append(wallet[shift:][same])
    return np.concatenate(one), np.concatenate(two), np.concatenate(who)
