"""How reviewers agree, how fast they are, and how often a verdict is overturned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candor.policy.model import Reviewing
    from candor.review.verdicts import Verdict
    from candor.settings import Settings

FEWEST_PAIRS = 50
Z = 1.959964  # of 95 %


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two verdicts on each item, with its interval. `needed`: more pairs until it can be told; then kappa is None."""

    pairs: int
    kappa: float | None
    low: float | None
    high: float | None
    needed: int


def cohens_kappa(pairs: list[tuple[str, str]]) -> Kappa:
    """Agreement beyond chance (Cohen 1960); the standard error is that of Fleiss, Cohen and Everitt (1969), without assuming kappa 0.

    Nothing is told of fewer than 50 pairs, nor when everybody always said the same, since chance would then explain all agreement.
    """
    n = len(pairs)
    if n < FEWEST_PAIRS:
        return Kappa(n, None, None, None, FEWEST_PAIRS - n)
    words = sorted({word for pair in pairs for word in pair})
    share = {(a, b): sum(pair == (a, b) for pair in pairs) / n for a in words for b in words}
    first = {a: sum(share[(a, b)] for b in words) for a in words}
    second = {b: sum(share[(a, b)] for a in words) for b in words}
    seen = sum(share[(a, a)] for a in words)
    chance = sum(first[a] * second[a] for a in words)
    if chance == 1:
        return Kappa(n, None, None, None, FEWEST_PAIRS)
    kappa = (seen - chance) / (1 - chance)
    on = sum(share[(a, a)] * (1 - (first[a] + second[a]) * (1 - kappa)) ** 2 for a in words)
    off = (1 - kappa) ** 2 * sum(share[(a, b)] * (second[a] + first[b]) ** 2 for a in words for b in words if a != b)
    variance = (on + off - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    half = Z * sqrt(max(variance, 0))
    return Kappa(n, kappa, max(kappa - half, -1), min(kappa + half, 1), 0)


def is_drawn_twice(settings: Settings, item_id: str, share: float) -> bool:
    """Whether the item is among those that a second reviewer decides as well: by keyed hash, so nobody knows beforehand."""
    from candor.hashing import keyed_hash

    return int(keyed_hash(settings, f"double review {item_id}")[:12], 16) / 16**12 < share


def report(
    verdicts: list[Verdict], items: list[dict[str, Any]], reviewing: Reviewing, at: datetime, settings: Settings
) -> dict[str, Any]:
    """Counts of the verdicts given by `at` and of the items that wait then; kappa over items that two people decided."""
    given = sorted((one for one in verdicts if one.at <= at), key=lambda one: one.at)
    by_item: dict[str, list[Verdict]] = {}
    for one in given:
        by_item.setdefault(one.item_id, []).append(one)
    # The first word of each of the first two people: later words are corrections, which know the other's.
    twice = []
    for words in by_item.values():
        first_of = {one.reviewer: one for one in reversed(words)}
        if len(first_of) > 1:
            one, other = sorted(first_of.values(), key=lambda word: (word.at, word.reviewer))[:2]
            twice.append((one.verdict, other.verdict))
    overturned = sum(words[0].verdict != words[-1].verdict for words in by_item.values())
    fast = [
        one
        for one in given
        if one.opened_at is not None and (one.at - one.opened_at).total_seconds() < reviewing.numbers["least_seconds"]
    ]
    share = reviewing.numbers["double_review_share"]
    due_twice = [item for item in sorted(by_item) if is_drawn_twice(settings, item, share)]
    kappa = cohens_kappa(twice)
    return {
        "verdicts": len(given),
        "items_decided": len(by_item),
        "released": sum(one.verdict == "release" for one in given),
        "upheld": sum(one.verdict == "uphold" for one in given),
        "overturned": overturned,
        "overturn_rate": overturned / len(by_item) if by_item else None,
        "faster_than_they_can_read": len(fast),
        "saw_the_score_first": sum(one.saw_score for one in given),
        "drawn_for_a_second_review": len(due_twice),
        "second_review_waits": sum(len({one.reviewer for one in by_item[item]}) < 2 for item in due_twice),
        "decided_by_two": kappa.pairs,
        "kappa": kappa.kappa,
        "kappa_low": kappa.low,
        "kappa_high": kappa.high,
        "pairs_needed": ceil(kappa.needed),
        "waiting": len(items),
        "overdue": sum(item["due_at"] < at for item in items),
    }
