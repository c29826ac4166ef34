"""Measures of a day with 95 % intervals, and differences between two days of the same humans.

Three kinds of interval, because three things vary:

- shares of rows: Wilson's, over rows;
- shares of offers: Wilson's over the *effective* number of offers. Offers of one human stand and fall together, so there are fewer independent ones
  than offers: their number is divided by the design effect (variance between humans over that of as many single offers; Kish, "Survey Sampling",
  1965). When no offer or every offer has the property, the number is that of humans;
- probabilities, sums, and every difference between two days: a Poisson bootstrap over humans. Each draw weighs a human the same in all days, so
  differences are those of the same people. Planted probabilities stand for outcomes: chance in the outcomes themselves is not in any interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

Z = 1.959963984540054
DRAWS, SEED = 2000, 20261123
DRAWS_AT_A_TIME = 100
SUMS = ("offers", "hard", "wrong", "not_permitted", "shown", "gain", "any_gain", "distinct_gain")


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def spans_zero(self) -> bool:
        return self.low <= 0 <= self.high

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def wilson(part: float, whole: float) -> Interval:
    """The share with Wilson's score interval; of nothing, the share is 0 and anything is possible."""
    if whole <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = part / whole
    middle = (share + Z**2 / (2 * whole)) / (1 + Z**2 / whole)
    half = Z / (1 + Z**2 / whole) * math.sqrt(share * (1 - share) / whole + Z**2 / (4 * whole**2))
    return Interval(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def effective_number(parts: np.ndarray, wholes: np.ndarray) -> float:
    """How many independent offers say as much about sum(parts) / sum(wholes) as these offers of len(wholes) humans; never more than there are."""
    total, humans = float(wholes.sum()), len(wholes)
    if humans < 2 or total == 0:
        return total
    share = float(parts.sum()) / total
    if share in (0.0, 1.0):
        return min(total, float(humans))
    variance = humans / (humans - 1) * float(((parts - share * wholes) ** 2).sum()) / total**2
    return min(total, share * (1 - share) / variance) if variance > 0 else total


def share_of_offers(parts: np.ndarray, wholes: np.ndarray) -> Interval:
    """The share of offers with Wilson's interval over the effective number of offers."""
    total = float(wholes.sum())
    if total == 0:
        return wilson(0, 0)
    number = effective_number(parts, wholes)
    return wilson(float(parts.sum()) / total * number, number)


@dataclass(frozen=True)
class Draws:
    """Bootstrapped sums of several days: array of draws x days x SUMS, the real sums, and how many people the shop has."""

    drawn: np.ndarray
    real: np.ndarray
    people: int

    def of(self, day: int, part: str, per: str | None = None) -> Interval:
        """A sum of a day, per person of the shop or (`per`) per another sum."""
        return _interval(self._value(self.real[None], day, part, per)[0], self._value(self.drawn, day, part, per))

    def difference(self, day: int, other: int, part: str, per: str | None = None) -> Interval:
        """The same of one day less that of another."""
        real, drawn = (
            self._value(sums, day, part, per) - self._value(sums, other, part, per) for sums in (self.real[None], self.drawn)
        )
        return _interval(real[0], drawn)

    def weighted_difference(self, weights: Sequence[tuple[int, float]], part: str) -> Interval:
        """A weighted sum of days' sums, per person of the shop: a Shapley value, say."""
        real, drawn = (
            sum(weight * self._value(sums, day, part, None) for day, weight in weights)
            for sums in (self.real[None], self.drawn)
        )
        return _interval(float(real[0]), drawn)

    def _value(self, sums: np.ndarray, day: int, part: str, per: str | None) -> np.ndarray:
        above = sums[:, day, SUMS.index(part)]
        if per is None:
            return above / self.people
        below = sums[:, day, SUMS.index(per)]
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def bootstrap(days: Sequence[pl.DataFrame], people: int, *, draws: int = DRAWS, seed: int = SEED) -> Draws:
    """Draws over the humans who appear in any of the days (one frame each: human and SUMS), the same weights in all of them."""
    names = pl.concat([day.select("human") for day in days]).unique().sort("human")
    made = np.zeros((len(names), len(days), len(SUMS)))
    for place, day in enumerate(days):
        aligned = names.join(day.select("human", *SUMS), on="human", how="left", maintain_order="left").fill_null(0)
        made[:, place] = aligned.select(SUMS).to_numpy()
    flat = made.reshape(len(names), -1)
    rng = np.random.default_rng(seed)
    drawn = [
        rng.poisson(1.0, (min(DRAWS_AT_A_TIME, draws - first), len(names))).astype(np.float64) @ flat
        for first in range(0, draws, DRAWS_AT_A_TIME)
    ]
    return Draws(np.concatenate(drawn).reshape(draws, len(days), len(SUMS)), made.sum(axis=0), people)


def _interval(value: float, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def people_needed(difference: Interval, people: int) -> int | None:
    """About how many people would tell a difference of this size from zero, to two digits; None when there is no difference at all."""
    if difference.value == 0:
        return None
    needed = people * max(1.0, (difference.half_width / abs(difference.value)) ** 2)
    digits = max(0, int(math.log10(needed)) - 1)
    return int(math.ceil(needed / 10**digits) * 10**digits)


def shapley_weights(silos: Sequence[str], silo: str) -> list[tuple[frozenset[str], float]]:
    """Each subset of available silos with its weight in the Shapley value of one: its mean worth over all orders in which silos could come."""
    from itertools import combinations

    others = [other for other in silos if other != silo]
    weights = []
    for count in range(len(others) + 1):
        weight = math.factorial(count) * math.factorial(len(silos) - count - 1) / math.factorial(len(silos))
        for chosen in combinations(others, count):
            weights += [(frozenset([*chosen, silo]), weight), (frozenset(chosen), -weight)]
    return weights
