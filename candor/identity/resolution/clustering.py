"""Persons out of scored pairs: average linkage, which one wrong pair cannot chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Evidence of one pair counts at most this many bits either way, so that no single pair decides over a group.
MOST_FOR = 12.0
MOST_AGAINST = -12.0
# A pair that was never compared shares not even a rare value: it counts as evidence against.
NOT_COMPARED = -6.0


def cluster(
    records: int,
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    odds: npt.NDArray[np.float64],
    *,
    least: float = 0.0,
    unique: npt.NDArray[np.int64] | None = None,
    not_compared: float = NOT_COMPARED,
) -> npt.NDArray[np.int64]:
    """For every record the smallest uid of its person.

    Agglomerative average linkage on log2 odds, stopped when no two groups agree by `least` on average; `unique[uid]` is a bit mask of
    sources that hold a person at most once, and no group gets two records of one. Groups that are each other's nearest merge all at
    once, which gives the same tree as one by one (Bruynooghe 1977; Murtagh 1983: average linkage is reducible).
    """
    import numpy as np

    group = np.arange(records, dtype=np.int64)
    size = np.ones(records, dtype=np.int64)
    mask = unique.astype(np.int64).copy() if unique is not None else np.zeros(records, dtype=np.int64)
    a, b = left.astype(np.int64), right.astype(np.int64)
    # integers: their sums are the same in every order
    value = np.round(np.clip(odds, MOST_AGAINST, MOST_FOR) * 1024).astype(np.int64)
    seen = np.ones(len(a), dtype=np.int64)
    missing = round(not_compared * 1024)
    while len(a):
        allowed = (mask[a] & mask[b]) == 0
        if not allowed.all():
            a, b, value, seen = a[allowed], b[allowed], value[allowed], seen[allowed]
        possible = size[a] * size[b]
        mean = (value + (possible - seen) * missing) / possible
        good = mean >= least * 1024
        if not good.any():
            break
        ga, gb, gm = a[good], b[good], mean[good]
        # rank 0 = the best of all; a total order, so that the best pair of all is always mutual and something merges in every round
        order = np.lexsort((gb, ga, -gm))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        best = np.full(records, len(order), dtype=np.int64)
        np.minimum.at(best, ga, rank)
        np.minimum.at(best, gb, rank)
        mutual = (best[ga] == rank) & (best[gb] == rank)
        keep, gone = ga[mutual], gb[mutual]  # ga < gb: the smaller uid names the group
        size[keep] += size[gone]
        mask[keep] |= mask[gone]
        into = np.arange(records, dtype=np.int64)
        into[gone] = keep
        group = into[group]
        a, b = into[a], into[b]
        other = a != b
        a, b, value, seen = a[other], b[other], value[other], seen[other]
        low, high = np.minimum(a, b), np.maximum(a, b)
        key = low * records + high
        order = np.argsort(key, kind="stable")
        key, value, seen = key[order], value[order], seen[order]
        starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, dtype=np.int64)
        if len(key):
            value, seen = np.add.reduceat(value, starts), np.add.reduceat(seen, starts)
            a, b = key[starts] // records, key[starts] % records
    return group


def pairs_within(
    group: npt.NDArray[np.int64], left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of one group that are not among (left, right), as (smaller uid, larger uid), ordered; at most `most`, smallest groups first."""
    import numpy as np

    records = len(group)
    _, label, size = np.unique(group, return_inverse=True, return_counts=True)
    by_size = np.argsort(size, kind="stable")
    within = np.cumsum(size[by_size] * (size[by_size] - 1) // 2) <= most
    taken = np.zeros(len(size), dtype=bool)
    taken[by_size[within]] = True
    members = np.flatnonzero(taken[label] & (size[label] > 1))
    members = members[np.argsort(label[members], kind="stable")]
    group_of = label[members]
    first, second = [], []
    for apart in range(1, int(size[taken].max(initial=1))):
        same = np.flatnonzero(group_of[:-apart] == group_of[apart:])
        first.append(members[same])
        second.append(members[same + apart])
    if not first:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    key = np.sort(np.concatenate(first) * records + np.concatenate(second))
    known = left.astype(np.int64) * records + right
    at = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
    new = key if len(known) == 0 else key[known[at] != key]
    return new // records, new % records


def certainty(
    group: npt.NDArray[np.int64],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    odds: npt.NDArray[np.float64],
    not_compared: float = NOT_COMPARED,
) -> npt.NDArray[np.float64]:
    """For every record the probability that it belongs with its group: that of its mean evidence over the group's other records.

    A record alone is certain: 1.0.
    """
    import numpy as np

    records = len(group)
    same = group[left] == group[right]
    value = np.round(np.clip(odds[same], MOST_AGAINST, MOST_FOR) * 1024).astype(np.int64)
    ends = np.concatenate([left[same], right[same]])
    # whole numbers below 2 ** 53: exact as doubles
    total = np.bincount(ends, weights=np.concatenate([value, value]), minlength=records)
    seen = np.bincount(ends, minlength=records)
    others = np.bincount(group, minlength=records)[group] - 1
    mean = (total + (others - seen) * round(not_compared * 1024)) / np.maximum(others, 1) / 1024
    return np.where(others == 0, 1.0, np.round(1 / (1 + np.exp2(-mean)), 6))
