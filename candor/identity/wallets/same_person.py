"""Edges that mean identity itself: connected components, without the nodes that join too many strangers."""

from __future__ import annotations

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets.graph import Bools, Floats, Ints

# Below ten nothing is cut: families, and people with many devices.
SMALLEST = 10
# A node is cut when fewer than one in a thousand graphs like this would hold even one node like it.
SURPRISE = 1e-3


def limit(degree: Ints) -> float:
    """How many neighbours a node of this graph can have before chance does not explain it any more.

    The tail of degrees above their 90 % quantile is taken as exponential, as excesses over a high threshold are (Pickands 1975, with
    shape 0); its scale comes from the median excess, which the hubs themselves cannot move.
    """
    joined = degree[degree > 0]
    if len(joined) == 0:
        return SMALLEST
    threshold = float(np.quantile(joined, 0.9, method="lower"))
    excess = joined[joined > threshold] - threshold
    scale = max(1.0, float(np.median(excess))) / np.log(2) if len(excess) else 1.0 / np.log(2)
    return max(SMALLEST, threshold + scale * np.log(len(joined) / SURPRISE))


def join(count: int, one: Ints, other: Ints) -> tuple[Ints, Bools, Bools, Floats]:
    """Cluster per node (its smallest node), whether it is a hub, whether each edge holds, and how many pieces each hub would join.

    `one`, `other`: every unordered pair once, no self-loops. A hub is a node over the limit most of whose neighbours nothing else connects.
    """
    from candor.identity.clusters import components

    degree = np.bincount(one, minlength=count) + np.bincount(other, minlength=count)
    most = limit(degree)
    suspected = degree > most
    plain = ~suspected[one] & ~suspected[other]
    piece = components(count, one[plain], other[plain])
    centre = np.concatenate([one[suspected[one] & ~suspected[other]], other[suspected[other] & ~suspected[one]]])
    leaf = np.concatenate([other[suspected[one] & ~suspected[other]], one[suspected[other] & ~suspected[one]]])
    pieces = np.bincount(np.unique(centre.astype(np.int64) * count + piece[leaf]) // max(count, 1), minlength=count)
    is_hub = suspected & (pieces > most)
    holds = ~is_hub[one] & ~is_hub[other]
    return components(count, one[holds], other[holds]), is_hub, holds, np.where(is_hub, pieces, 0).astype(float)
