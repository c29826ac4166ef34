"""Two large sets of 64-bit hashes that hardly differ, told apart without sorting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# So many hashes are looked at at a time: what is made of them stays in the processor's cache.
PART = 2**16


def unmatched(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places in `before` of hashes that `now` lacks, and the places in `now` of those that `before` lacked.

    Hashes fall into buckets by some of their bits. A bucket whose hashes have the same sum twice holds the same hashes; those of the
    others fall into buckets again by other bits, which tells most of them apart from what is new beside them. What is left is sorted.
    """
    # Some eight hashes a bucket: the sums, not the hashes, are what has to fit into the cache.
    bits = max(1, (max(len(before), len(now)) // 8).bit_length())
    gone, new = _differing(before, now, bits, 64 - bits)
    for shift in (0, (64 - bits) // 2):
        still_gone, still_new = _differing(before[gone], now[new], bits, shift)
        gone, new = gone[still_gone], new[still_new]
    return gone[~_is_in(before[gone], now[new])], new[~_is_in(now[new], before[gone])]


def _differing(before: np.ndarray, now: np.ndarray, bits: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """The places in both of hashes whose bucket has another sum in the one than in the other; `bits` bits above `shift` are the bucket."""
    import numpy as np

    down, mask = np.uint64(shift), np.uint64(2**bits - 1)

    def bucket(hashes: np.ndarray) -> np.ndarray:
        return ((hashes >> down) & mask).view(np.int64)

    difference = np.zeros(2**bits, dtype=np.uint64)
    for hashes, add in ((before, np.add), (now, np.subtract)):
        for start in range(0, len(hashes), PART):
            part = hashes[start : start + PART]
            add.at(difference, bucket(part), part)
    differs = difference != 0

    def places(hashes: np.ndarray) -> np.ndarray:
        parts = [start + np.flatnonzero(differs[bucket(hashes[start : start + PART])]) for start in range(0, len(hashes), PART)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    return places(before), places(now)


def _is_in(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    import numpy as np

    if len(others) == 0:
        return np.zeros(len(hashes), dtype=bool)
    ordered = np.sort(others)  # faster than numpy.isin, which builds a table of hashes first
    return ordered[np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)] == hashes
