"""Columns that say the same twice, such as a postal code and a place: found among strangers, counted once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column
from candor.identity.resolution.learning import Dependence, Weights, score

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from candor.identity.resolution.evidence import Pairs

# Strangers who agree on one column agree on the other this many times as often as strangers in general: under it, a correction is noise.
LEAST_LIFT = 1.5
# ... judged on at least so many random pairs that agree on both (a lift of 1.5 is then four standard errors from 1).
LEAST_PAIRS = 60


def find(
    columns: Sequence[Column], random: Pairs, weights: Weights, frequency: Sequence[npt.NDArray[np.float64] | None]
) -> list[Dependence | None]:
    """For every column the one it is to be judged together with, or None: a forest of the strongest dependences among strangers.

    Random pairs count as far as they are strangers under `weights`. Source: Chow and Liu, Approximating discrete probability distributions with
    dependence trees, IEEE Trans. Information Theory 1968, on "agrees or not".
    """
    import numpy as np

    strange = 1 - 1 / (1 + np.exp2(-score(columns, random, weights, frequency)))
    agrees = [_agreeing(weights, number) for number in range(len(columns))]
    known = [random.level[:, number] >= 0 for number in range(len(columns))]
    alike = [known[number] & (random.level[:, number] < agrees[number]) for number in range(len(columns))]
    edges = []
    for one in range(len(columns)):
        for two in range(one + 1, len(columns)):
            both_known = known[one] & known[two]
            total = strange[both_known].sum()
            both = strange[alike[one] & alike[two]].sum()
            a, b = strange[alike[one] & both_known].sum(), strange[alike[two] & both_known].sum()
            if both < LEAST_PAIRS or a * b == 0 or both * total < LEAST_LIFT * a * b:
                continue
            information = both / total * np.log2(both * total / (a * b))
            edges.append((-round(float(information), 12), one, two))
    parent: list[Dependence | None] = [None] * len(columns)
    tree = list(range(len(columns)))
    chosen: dict[int, list[int]] = {number: [] for number in range(len(columns))}
    for _, one, two in sorted(edges):
        if tree[one] != tree[two]:
            old, new = tree[two], tree[one]
            tree = [new if label == old else label for label in tree]
            chosen[one].append(two)
            chosen[two].append(one)
    seen: set[int] = set()
    for root in range(len(columns)):
        waiting = [root]
        while waiting:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            for other in chosen[here]:
                if other not in seen:
                    parent[other] = Dependence(here, agrees[here])
                    waiting.append(other)
    return parent


def _agreeing(weights: Weights, number: int) -> int:
    """How many of a column's levels, from the best on, speak for one person."""
    import numpy as np

    speaks = np.log2(weights.m[number][0]) > np.log2(weights.u[number][0])
    return int(np.argmin(speaks)) if not speaks.all() else len(speaks) - 1
