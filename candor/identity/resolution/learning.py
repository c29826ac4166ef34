"""What agreement is worth, learned from the pairs themselves: the Fellegi-Sunter model by expectation maximisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column
from candor.identity.resolution.comparisons import levels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from candor.identity.resolution.evidence import Pairs

# EM stops when no probability moves by more than this, or after ROUNDS.
SMALL = 1e-4
ROUNDS = 60
# As many imagined true pairs stand behind the start values; a level nobody reached keeps a small probability.
IMAGINED = 10.0
# Pairs below this log2 odds after a few rounds take no part in the further ones: a million of them make one expected match.
HOPELESS = -20.0


@dataclass
class Weights:
    """m[column][level], u[column][level] and the prior: the parameters of the model."""

    m: list[npt.NDArray[np.float64]]
    u: list[npt.NDArray[np.float64]]
    prior: float


def learn(
    columns: Sequence[Column],
    candidates: Pairs,
    random: Pairs,
    all_pairs: int,
    frequency: Sequence[npt.NDArray[np.float64] | None],
    start: Weights | None = None,
) -> Weights:
    """The parameters under which the compared pairs are most likely (a local optimum from fixed start values).

    m and the prior come from all candidate pairs at once, weighed by their probability; pairs that were not compared count as strangers.
    u comes from random pairs, less the true pairs expected among them: in small or much duplicated data one random pair in a hundred is
    true, and that would make every agreement look common. `frequency[column][uid]` = how frequent the record's value is among persons.
    Source: Fellegi and Sunter, A Theory for Record Linkage, JASA 1969; Winkler 2000, Using the EM algorithm for weight computation.
    """
    import numpy as np

    sizes = [len(levels(column)) for column in columns]
    seen = [_shares(random.level[:, number], size) for number, size in enumerate(sizes)]
    known = [float((random.level[:, number] >= 0).mean()) for number in range(len(columns))]
    first = [np.array([level.start for level in levels(column)]) for column in columns]
    first = [values / values.sum() for values in first]
    floor = 0.5 / max(len(random), 1)
    weights = start or Weights([values.copy() for values in first], [np.maximum(share, floor) for share in seen], 0.0)
    if not start:
        weights.prior = min(0.1, 0.5 * (1 + 2 * all_pairs) ** 0.5 / max(all_pairs, 1))
    active = candidates
    for turn in range(ROUNDS):
        odds = score(columns, active, weights, frequency)
        chance = 1 / (1 + np.exp2(-odds))
        if turn == 4:
            hopeful = odds > HOPELESS
            active, chance = active.take(hopeful), chance[hopeful]
        expected = [np.bincount(active.level[:, n] + 1, weights=chance, minlength=size + 1)[1:] for n, size in enumerate(sizes)]
        m = [(count + IMAGINED * start_m) / (count.sum() + IMAGINED) for count, start_m in zip(expected, first, strict=True)]
        u = []
        for share, count, filled in zip(seen, expected, known, strict=True):
            strangers = np.maximum(share * all_pairs * filled - count, floor * all_pairs * filled)
            u.append(strangers / strangers.sum() if strangers.sum() > 0 else share)
        prior = min(0.5, max(chance.sum(), 0.5) / all_pairs)
        moved = max(float(np.abs(new - old).max()) for new, old in zip(m, weights.m, strict=True))
        weights = Weights(m, u, prior)
        if moved < SMALL and turn > 5:
            break
    return weights


def score(
    columns: Sequence[Column], pairs: Pairs, weights: Weights, frequency: Sequence[npt.NDArray[np.float64] | None]
) -> npt.NDArray[np.float64]:
    """log2 of the odds that each pair is one person."""
    import numpy as np

    total = np.full(len(pairs), np.log2(weights.prior / (1 - weights.prior)))
    for number, column in enumerate(columns):
        level = pairs.level[:, number]
        table = np.append(
            np.log2(weights.m[number]) - np.log2(weights.u[number]), 0.0
        )  # level -1, unknown, takes the last: no evidence
        total += table[level]
        shares = frequency[number]
        if shares is None:
            continue
        for at, one in enumerate(levels(column)):
            if one.frequency_of:
                rows = np.flatnonzero(level == at)
                commoner = np.maximum(shares[pairs.left[rows]], shares[pairs.right[rows]])
                total[rows] += np.log2(weights.u[number][at]) - np.log2(commoner)
    return total


def _shares(level: npt.NDArray[np.int8], size: int) -> npt.NDArray[np.float64]:
    import numpy as np

    counts = np.bincount(level.astype(np.int64) + 1, minlength=size + 1)[1:].astype(np.float64)
    return counts / max(counts.sum(), 1.0)


def frequencies(codes: npt.NDArray[np.int32], person: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float64]:
    """For every record: the share of persons who have its value. Without `person`, records are taken for persons.

    A person with ten records of a rare name does not make the name common: each record counts for one n-th of its person.
    """
    import numpy as np

    weight = np.ones(len(codes)) if person is None else 1.0 / np.bincount(person)[person]
    filled = codes >= 0
    total = weight[filled].sum()
    shares = np.ones(len(codes))
    if total > 0:
        per_value = np.bincount(codes[filled], weights=weight[filled]) / total
        # rounded: sums of thirds in another order must not differ in the last digit
        shares[filled] = np.round(np.maximum(per_value, 1.0 / total)[codes[filled]], 12)
    return shares
