"""Clusters from groups: groups that share wallets are one owner's, unless a single wallet is all that joins two large ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.evidence import WEAK, Memberships
from candor.identity.wallets.graph import Bools, Ints

# Two groups are one when they share a fifth of the smaller, or two wallets at least: one wallet in common may be an accident.
OVERLAP, PLAIN = 0.2, 2
# A circle, or a service that few use, says the least of all evidence: it joins only groups that are half of it, so that it never glues
# two farms which share a shop, and it takes only wallets that nothing else claims.
HALF = 0.5


@dataclass(frozen=True)
class Formed:
    """`cluster` per node (its smallest node); `row` marks the memberships that hold, and `group_of` names each wallet's group (-1 none)."""

    cluster: Ints
    holds: Bools
    group_of: Ints


def form(count: int, memberships: Memberships) -> Formed:
    """Each node's cluster, called by the smallest node of it."""
    from candor.identity.clusters import components

    groups = len(memberships.reason)
    owner = _merged(memberships, groups)
    size = np.bincount(memberships.group, minlength=groups)
    # A wallet in several owners' groups belongs where the odds are highest; of equal ones, to the larger, then the first.
    is_weak = np.isin(memberships.reason, WEAK)[memberships.group]
    odds = -memberships.log_odds[memberships.group]
    order = np.lexsort((memberships.group, -size[memberships.group], odds, is_weak, memberships.wallet))
    wallet = memberships.wallet[order]
    first = order[np.append(True, wallet[1:] != wallet[:-1])] if len(order) else order
    group_of = np.full(count, -1, dtype=np.int64)
    group_of[memberships.wallet[first]] = memberships.group[first]
    chosen = group_of[memberships.wallet]
    holds = owner[memberships.group] == owner[np.maximum(chosen, 0)] if groups else np.zeros(0, dtype=bool)
    # Groups are nodes beside the wallets; a group that lost all but one wallet joins nobody.
    cluster = components(
        count + groups, memberships.wallet[holds].astype(np.int32), (count + memberships.group[holds]).astype(np.int32)
    )
    return Formed(cluster[:count], holds, group_of)


def _merged(memberships: Memberships, groups: int) -> Ints:
    """For each group the smallest group that it is one with."""
    from candor.identity.clusters import components

    if groups == 0:
        return np.zeros(0, dtype=np.int32)
    size = np.bincount(memberships.group, minlength=groups)
    order = np.lexsort((memberships.group, memberships.wallet))
    wallet, group = memberships.wallet[order], memberships.group[order]
    is_middle = memberships.is_middle[order]
    one, other, middle = [], [], []
    # A wallet is in a handful of groups at most (one per reason, and those it is the middle of): all pairs by shifting.
    shift = 1
    while shift < len(wallet):
        same = wallet[shift:] == wallet[:-shift]
        if not same.any():
            break
        one.append(group[:-shift][same])
        other.append(group[shift:][same])
        middle.append(is_middle[:-shift][same] | is_middle[shift:][same])
        shift += 1
    if not one:
        return np.arange(groups, dtype=np.int32)
    left, right, by_middle = np.concatenate(one), np.concatenate(other), np.concatenate(middle)
    key, place = np.unique(left.astype(np.int64) * groups + right, return_inverse=True)
    shared = np.bincount(place)
    # The middle of one group that belongs to another carries its own group with it: funding trees, deposit addresses.
    through_middle = np.bincount(place, weights=by_middle) > 0
    left, right = key // groups, key % groups
    enough = through_middle | (shared >= PLAIN) | (shared >= OVERLAP * np.minimum(size[left], size[right]))
    weak = np.where(np.isin(memberships.reason, WEAK), size, 0)
    weak = np.maximum(weak[left], weak[right])
    enough = np.where(weak > 0, shared >= HALF * weak, enough)
    return components(groups, left[enough].astype(np.int32), right[enough].astype(np.int32))
