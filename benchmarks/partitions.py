"""How well one partition of items agrees with another: pairwise and B-cubed, and pairs by kind of item.

A partition is an array of labels: items with the same label are together. All counts come from the sizes of clusters, of true groups and
of their overlaps (the contingency table), so nothing grows with the number of pairs: ten million items take a few seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Pairs:
    """Pairs of items: together in the prediction, together in truth, together in both."""

    predicted: int
    true: int
    common: int

    @property
    def precision(self) -> float:
        """Share of predicted pairs that are true; 1 when nothing was predicted, because nothing wrong was said."""
        return self.common / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of true pairs that were predicted; 1 when there is none to find."""
        return self.common / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        return harmonic(self.precision, self.recall)


@dataclass(frozen=True)
class BCubed:
    """Mean over items of how pure their cluster is (precision) and how much of their true group it holds (recall)."""

    items: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        return harmonic(self.precision, self.recall)


def harmonic(one: float, other: float) -> float:
    """The harmonic mean of two shares; 0 when both are."""
    return 2 * one * other / (one + other) if one + other else 0.0


def pairwise(predicted: np.ndarray, truth: np.ndarray) -> Pairs:
    """Pair counts of two labelings of the same items (n items, any integer labels).

    From the contingency table n_ij: sum of n(n-1)/2 over clusters, groups and cells (Hubert and Arabie, "Comparing partitions", 1985).
    """
    clusters, groups, cells = _sizes(predicted, truth)
    return Pairs(predicted=_pairs(clusters), true=_pairs(groups), common=_pairs(cells[2]))


def bcubed(predicted: np.ndarray, truth: np.ndarray) -> BCubed:
    """B-cubed of two labelings of the same items (Bagga and Baldwin, "Algorithms for scoring coreference chains", 1998).

    An item's precision is n_ij / |cluster i| and its recall n_ij / |group j|; a cell holds n_ij items, so the means are
    sums of n_ij^2 / |.| over cells. Summed exactly (fsum): the order of the items changes no digit.
    """
    clusters, groups, (cluster, group, size) = _sizes(predicted, truth)
    items = len(predicted)
    if items == 0:
        return BCubed(items=0, precision=1.0, recall=1.0)
    squares = size.astype(np.float64) ** 2
    return BCubed(
        items=items,
        precision=math.fsum(squares / clusters[cluster]) / items,
        recall=math.fsum(squares / groups[group]) / items,
    )


def pairs_between(predicted: np.ndarray, truth: np.ndarray, kind: np.ndarray) -> dict[tuple[str, str], Pairs]:
    """Pair counts by the kinds of the two items, by (kind, kind) in alphabetical order; a kind with itself counts each pair once.

    A cluster with a items of one kind and b of another has a x b pairs between them, and a(a-1)/2 of the first kind.
    """
    names, code = np.unique(kind, return_inverse=True)
    _, cluster = np.unique(predicted, return_inverse=True)
    _, group = np.unique(truth, return_inverse=True)
    frame = pl.DataFrame({"cluster": cluster, "group": group, "code": code})
    counted = [(pl.col("code") == place).sum().cast(pl.Int64).alias(str(place)) for place in range(len(names))]
    by_cluster = frame.group_by("cluster").agg(counted)
    by_group = frame.group_by("group").agg(counted)
    by_cell = frame.group_by("cluster", "group").agg(counted)

    def between(counts: pl.DataFrame, one: int, other: int) -> int:
        first, second = counts[str(one)], counts[str(other)]
        return int((first * (first - 1) // 2).sum() if one == other else (first * second).sum())

    return {
        (str(names[one]), str(names[other])): Pairs(
            predicted=between(by_cluster, one, other), true=between(by_group, one, other), common=between(by_cell, one, other)
        )
        for one in range(len(names))
        for other in range(one, len(names))
    }


def _sizes(
    predicted: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sizes of clusters and of groups, and the cells of the contingency table that are not empty: cluster, group, size."""
    if len(predicted) != len(truth):
        raise ValueError(f"two labelings of the same items have the same length, not {len(predicted)} and {len(truth)}")
    _, cluster = np.unique(predicted, return_inverse=True)
    _, group = np.unique(truth, return_inverse=True)
    clusters, groups = np.bincount(cluster), np.bincount(group)
    cell, size = np.unique(cluster.astype(np.int64) * max(len(groups), 1) + group, return_counts=True)
    return clusters, groups, (cell // max(len(groups), 1), cell % max(len(groups), 1), size)


def _pairs(sizes: np.ndarray) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1) // 2).sum())
