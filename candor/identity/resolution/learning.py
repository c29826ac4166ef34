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
# As many imagined pairs stand behind the start values; a level nobody reached keeps a small probability.
IMAGINED = 10.0
# Pairs below this log2 odds after a few rounds take no part in the further ones: a million of them make one expected match.
HOPELESS = -20.0
# A state of the column another one depends on: no value, agrees, differs.
UNKNOWN, AGREES, DIFFERS = 0, 1, 2


@dataclass(frozen=True)
class Dependence:
    """That a column depends on another among strangers: `on` = the other's number, `agrees` = how many of its first levels agree."""

    on: int
    agrees: int


@dataclass
class Weights:
    """m[column][state, level], u[column][state, level] and the prior: the parameters of the model.

    A column that depends on no other has one state. Otherwise a state per UNKNOWN, AGREES, DIFFERS of the other column, each with probabilities
    of its own that sum to 1.
    """

    m: list[npt.NDArray[np.float64]]
    u: list[npt.NDArray[np.float64]]
    prior: float
    depends: list[Dependence | None]


def learn(
    columns: Sequence[Column],
    candidates: Pairs,
    random: Pairs,
    all_pairs: int,
    frequency: Sequence[npt.NDArray[np.float64] | None],
    depends: list[Dependence | None] | None = None,
) -> Weights:
    """The parameters under which the compared pairs are most likely (a local optimum from fixed start values).

    m and the prior come from all candidate pairs at once, weighed by their probability; pairs that were not compared count as strangers.
    u comes from random pairs, less the true pairs expected among them: in small or much duplicated data one random pair in a hundred is
    true, and that would make every agreement look common. `frequency[column][uid]` = how frequent the record's value is among persons.
    Source: Fellegi and Sunter, A Theory for Record Linkage, JASA 1969; Winkler 2000, Using the EM algorithm for weight computation.
    """
    import numpy as np

    depends = depends or [None] * len(columns)
    first = [np.array([level.start for level in levels(column)]) for column in columns]
    first = [values / values.sum() for values in first]
    floor = 0.5 / max(len(random), 1)
    everyone = [_counts(random, number, len(start), depends[number], None) for number, start in enumerate(first)]
    prior = min(0.1, 0.5 * (1 + 2 * all_pairs) ** 0.5 / max(all_pairs, 1))
    m = [np.tile(start, (len(count), 1)) for start, count in zip(first, everyone, strict=True)]
    weights = Weights(m, [_share(count, count.sum(axis=0) + floor, floor) for count in everyone], prior, depends)
    active, drawn = candidates, random
    for turn in range(ROUNDS):
        chance, drawn_chance = (1 / (1 + np.exp2(-score(columns, pairs, weights, frequency))) for pairs in (active, drawn))
        if turn == 4:
            hopeful, worth = chance > 2.0**HOPELESS, drawn_chance > 2.0**HOPELESS
            active, chance, drawn, drawn_chance = active.take(hopeful), chance[hopeful], drawn.take(worth), drawn_chance[worth]
        m, u = [], []
        for number, start in enumerate(first):
            true = _counts(active, number, len(start), depends[number], chance)
            m.append(_share(true, true.sum(axis=0) + IMAGINED * start, 0.0))
            strange = np.maximum(everyone[number] - _counts(drawn, number, len(start), depends[number], drawn_chance), 0.0)
            u.append(_share(strange, strange.sum(axis=0), floor))
        moved = max(float(np.abs(new - old).max()) for new, old in zip(m, weights.m, strict=True))
        weights = Weights(m, u, min(0.5, max(chance.sum(), 0.5) / all_pairs), depends)
        if moved < SMALL and turn > 5:
            break
    return weights


def learn_from_known(
    columns: Sequence[Column], known: Pairs, random: Pairs, depends: list[Dependence | None] | None = None
) -> Weights:
    """The parameters counted on pairs that are known to be one person, and on random pairs of strangers; the prior is left at a half.

    As many imagined pairs as in `learn` stand behind each share, so that a level no known pair reached keeps a small probability.
    """
    import numpy as np

    depends = depends or [None] * len(columns)
    floor = 0.5 / max(len(random), 1)
    m, u = [], []
    for number, column in enumerate(columns):
        start = np.array([level.start for level in levels(column)])
        true = _counts(known, number, len(start), depends[number], None)
        strange = _counts(random, number, len(start), depends[number], None)
        m.append(_share(true, true.sum(axis=0) + IMAGINED * start / start.sum(), 0.0))
        u.append(_share(strange, strange.sum(axis=0) + floor, floor))
    return Weights(m, u, 0.5, depends)


def state(pairs: Pairs, dependence: Dependence | None) -> npt.NDArray[np.int64]:
    """UNKNOWN, AGREES or DIFFERS of each pair, as the column depended on compares; all UNKNOWN without one."""
    import numpy as np

    if dependence is None:
        return np.zeros(len(pairs), dtype=np.int64)
    level = pairs.level[:, dependence.on]
    return np.where(level < 0, UNKNOWN, np.where(level < dependence.agrees, AGREES, DIFFERS))


def score(
    columns: Sequence[Column], pairs: Pairs, weights: Weights, frequency: Sequence[npt.NDArray[np.float64] | None]
) -> npt.NDArray[np.float64]:
    """log2 of the odds that each pair is one person."""
    import numpy as np

    total = np.full(len(pairs), np.log2(weights.prior / (1 - weights.prior)))
    for number, column in enumerate(columns):
        level = pairs.level[:, number]
        states = state(pairs, weights.depends[number])
        table = np.log2(weights.m[number]) - np.log2(weights.u[number])
        # one more level at the end, which the index -1 (unknown) takes: no evidence
        total += np.pad(table, ((0, 0), (0, 1)))[states, level]
        shares = frequency[number]
        if shares is None:
            continue
        for at, one in enumerate(levels(column)):
            if one.frequency_of:
                # where the other column agrees too, that says more about how often strangers agree than the value's frequency
                rows = np.flatnonzero((level == at) & (states != AGREES))
                commoner = np.maximum(shares[pairs.left[rows]], shares[pairs.right[rows]])
                total[rows] += np.log2(weights.u[number][states[rows], at]) - np.log2(commoner)
    return total


def _counts(
    pairs: Pairs, number: int, size: int, dependence: Dependence | None, weight: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """[state, level]: how many pairs, each counted `weight` times, compare so."""
    import numpy as np

    level = pairs.level[:, number].astype(np.int64)
    states = 1 if dependence is None else 3
    place = np.where(level < 0, states * size, state(pairs, dependence) * size + level)
    return np.bincount(place, weights=weight, minlength=states * size + 1)[:-1].reshape(states, size).astype(np.float64)


def _share(count: npt.NDArray[np.float64], whole: npt.NDArray[np.float64], floor: float) -> npt.NDArray[np.float64]:
    """Shares of `whole` in every row, moved towards those of the row's own `count` as far as that is seen often enough."""
    import numpy as np

    overall = np.maximum(whole / max(whole.sum(), 1e-300), max(floor, 1e-9))
    overall = overall / overall.sum()
    if len(count) == 1:
        return overall[None, :]
    shares = (count + IMAGINED * overall) / (count.sum(axis=1, keepdims=True) + IMAGINED)
    shares[UNKNOWN] = overall
    return shares


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
