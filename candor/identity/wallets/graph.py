"""The transfers as arrays: one entry per ordered pair of wallets, in canonical order.

Everything that follows works on these integers, so the same set of rows gives the same arrays in whatever order it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

Ints = np.ndarray
Floats = np.ndarray
Bools = np.ndarray


@dataclass(frozen=True)
class TransferGraph:
    """Who sent to whom. `source` and `target` are sorted by (source, target), each pair once, nobody to themselves.

    `first` and `last` are when (NaN unknown), `size` how unusual the pair's first amount is for its kind, in standard deviations of
    the logarithm (NaN unknown), `token` names kind and amount to three digits (-1 unknown), `kinds` counts the kinds sent.
    `passed_on` is per node: the share of its kinds received of which nearly all was sent on (NaN unknown).
    """

    count: int
    source: Ints
    target: Ints
    transfers: Ints
    kinds: Ints
    first: Floats
    last: Floats
    size: Floats
    token: Ints
    passed_on: Floats
    has_times: bool
    has_amounts: bool

    @cached_property
    def by_target(self) -> Ints:
        """Positions of the pairs sorted by (target, source)."""
        return np.argsort(self.target, kind="stable")

    @cached_property
    def out_degree(self) -> Ints:
        """To how many others each node sent."""
        return np.bincount(self.source, minlength=self.count)

    @cached_property
    def in_degree(self) -> Ints:
        """From how many others each node received."""
        return np.bincount(self.target, minlength=self.count)

    @cached_property
    def reciprocal(self) -> Bools:
        """For each pair whether the opposite pair exists too."""
        key = self.source.astype(np.int64) * self.count + self.target
        back = self.target.astype(np.int64) * self.count + self.source
        position = np.searchsorted(key, back)
        position[position == len(key)] = 0
        return key[position] == back if len(key) else np.zeros(0, dtype=bool)

    @cached_property
    def degree(self) -> Ints:
        """With how many different others each node has anything to do."""
        both = np.bincount(self.source[self.reciprocal], minlength=self.count)
        return self.out_degree + self.in_degree - both

    @cached_property
    def sociable(self) -> int:
        """The degree that 2 % of those with two counterparties exceed, at least ten: who has more is nobody's private acquaintance."""
        several = self.degree[self.degree >= 2]
        return max(10, int(np.quantile(several, 0.98, method="lower"))) if len(several) else 10


def starts_of(*keys: np.ndarray) -> Ints:
    """Where each run of equal keys begins, in arrays that are sorted by those keys."""
    size = len(keys[0])
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    change = np.zeros(size, dtype=bool)
    change[0] = True
    for key in keys:
        change[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(change)


def build(count: int, source: Ints, target: Ints, kind: Ints, occurred: Floats, amount: Floats) -> TransferGraph:
    """The graph of rows sorted by (source, target, occurred, amount, kind); NaN comes last in that order."""
    has_times = bool(np.isfinite(occurred).any())
    has_amounts = bool((amount > 0).any())
    passed_on = _passed_on(count, source, target, kind, amount) if has_amounts else np.full(count, np.nan)
    others = source != target
    source, target, kind, occurred, amount = (values[others] for values in (source, target, kind, occurred, amount))
    begin = starts_of(source, target)
    ends = np.append(begin[1:], len(source))
    pair_of_row = np.repeat(np.arange(len(begin)), ends - begin)
    size, token = _sizes(kind, amount) if has_amounts else (np.full(len(source), np.nan), np.full(len(source), -1))
    last = np.full(len(begin), np.nan)
    if has_times and len(begin):
        last = np.fmax.reduceat(occurred, begin)
    return TransferGraph(
        count=count,
        source=source[begin].astype(np.int32),
        target=target[begin].astype(np.int32),
        transfers=(ends - begin).astype(np.int32),
        kinds=_distinct_kinds(pair_of_row, kind, len(begin)),
        first=occurred[begin],
        last=last,
        size=size[begin],
        token=token[begin],
        passed_on=passed_on,
        has_times=has_times,
        has_amounts=has_amounts,
    )


def _distinct_kinds(pair_of_row: Ints, kind: Ints, pairs: int) -> Ints:
    if len(kind) == 0 or kind.max() <= 0:
        return np.ones(pairs, dtype=np.int32)
    key = np.sort(pair_of_row.astype(np.int64) * (int(kind.max()) + 2) + kind + 1)
    return np.bincount(key[starts_of(key)] // (int(kind.max()) + 2), minlength=pairs).astype(np.int32)


def _sizes(kind: Ints, amount: Floats) -> tuple[Floats, Ints]:
    """Log amounts standardised within their kind, and a number for each (kind, amount to three significant digits)."""
    known = amount > 0
    logs = np.log(np.where(known, amount, 1.0))
    groups = kind + 1
    number = np.bincount(groups[known])
    shift = np.bincount(groups[known], weights=logs[known]) / np.maximum(number, 1)
    centred = np.where(known, logs - shift[np.minimum(groups, len(shift) - 1)], 0.0)
    spread = np.sqrt(np.bincount(groups[known], weights=centred[known] ** 2) / np.maximum(number, 1))
    usable = known & (number[np.minimum(groups, len(number) - 1)] >= 2) & (spread[np.minimum(groups, len(spread) - 1)] > 0)
    size = np.where(usable, centred / np.where(spread > 0, spread, 1.0)[np.minimum(groups, len(spread) - 1)], np.nan)
    # Three digits: gas makes amounts of one script differ in the fourth, and two people seldom agree in the first three.
    exponent = np.floor(np.log10(np.where(known, amount, 1.0)))
    digits = np.rint(np.where(known, amount, 1.0) / 10.0**exponent * 100).astype(np.int64)
    name = (groups.astype(np.int64) * 1024 + exponent.astype(np.int64) + 512) * 1024 + digits
    return size, np.where(known, name, -1)


def _passed_on(count: int, source: Ints, target: Ints, kind: Ints, amount: Floats) -> Floats:
    width = int(kind.max()) + 2
    paid = np.where(amount > 0, amount, 0.0)
    sender, receiver = source.astype(np.int64) * width + kind + 1, target.astype(np.int64) * width + kind + 1
    if count * width <= 8 * len(source):
        keys = np.arange(count * width)  # few kinds: counting is cheaper than sorting
    else:
        keys = np.unique(np.concatenate([sender, receiver]))
        sender, receiver = np.searchsorted(keys, sender), np.searchsorted(keys, receiver)
    sent = np.bincount(sender, weights=paid, minlength=len(keys))
    received = np.bincount(receiver, weights=paid, minlength=len(keys))
    # Up to a tenth stays behind as fees and dust; a wallet cannot send more than it received, rounding aside, unless rows are missing.
    nearly_all = (sent >= 0.9 * received) & (sent <= 1.02 * received)
    node = keys // width
    takes = received > 0
    total = np.bincount(node[takes], minlength=count)
    return np.where(total > 0, np.bincount(node[takes & nearly_all], minlength=count) / np.maximum(total, 1), np.nan)
