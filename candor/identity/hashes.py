"""Two large sets of 64-bit hashes that hardly differ, told apart without sorting them.

Hashes come in parts, as the database hands them out: to put them into one array would cost more than to look at them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

# So many hashes are looked at at a time: what is made of them stays in the processor's cache.
SOME = 2**16


def unmatched(before: list[np.ndarray], now: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The places in `before` of hashes that `now` lacks, and the places in `now` of those that `before` lacked, in order.

    Hashes fall into buckets by some of their bits. A bucket whose hashes have the same sum twice holds the same hashes; those of the
    others fall into buckets again by other bits, which tells most of them apart from what is new beside them. What is left is sorted.
    """
    # Some eight hashes a bucket: the sums, not the hashes, are what has to fit into the cache.
    bits = max(1, (max(sum(map(len, before)), sum(map(len, now))) // 8).bit_length())
    gone, new = _differing(before, now, bits, 64 - bits)
    gone_hashes, new_hashes = taken(before, gone), taken(now, new)
    for shift in (0, (64 - bits) // 2):
        still_gone, still_new = _differing([gone_hashes], [new_hashes], bits, shift)
        gone, gone_hashes = gone[still_gone], gone_hashes[still_gone]
        new, new_hashes = new[still_new], new_hashes[still_new]
    return gone[~_is_in(gone_hashes, new_hashes)], new[~_is_in(new_hashes, gone_hashes)]


def taken(parts: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """The values at `places`, which are in order. There is at least one part."""
    import numpy as np

    ends = np.cumsum([0, *map(len, parts)])
    cuts = np.searchsorted(places, ends)
    return np.concatenate([part[places[cuts[i] : cuts[i + 1]] - ends[i]] for i, part in enumerate(parts)])


def _differing(before: list[np.ndarray], now: list[np.ndarray], bits: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of hashes whose bucket has another sum in `before` than in `now`; `bits` bits above `shift` are the bucket."""
    import numpy as np

    down, mask = np.uint64(shift), np.uint64(2**bits - 1)
    difference = np.zeros(2**bits, dtype=np.uint64)

    def buckets(parts: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part in parts:
            for start in range(0, len(part), SOME):
                some = part[start : start + SOME]
                yield some, ((some >> down) & mask).view(np.int64)

    for some, bucket in buckets(before):
        np.add.at(difference, bucket, some)
    for some, bucket in buckets(now):
        np.subtract.at(difference, bucket, some)
    differs = difference != 0

    def places(parts: list[np.ndarray]) -> np.ndarray:
        found, start = [np.zeros(0, dtype=np.int64)], 0
        for some, bucket in buckets(parts):
            found.append(start + np.flatnonzero(differs[bucket]))
            start += len(some)
        return np.concatenate(found)

    return places(before), places(now)


def _is_in(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    import numpy as np

    if len(others) == 0:
        return np.zeros(len(hashes), dtype=bool)
    ordered = np.sort(others)  # faster than numpy.isin, which builds a table of hashes first
    return ordered[np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)] == hashes
