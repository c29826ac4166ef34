"""How reviewers agree, how fast they are, and how often a verdict is overturned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

from candor.review import readings

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


def report(
    verdicts: list[Verdict], items: list[dict[str, Any]], reviewing: Reviewing, at: datetime, settings: Settings
) -> dict[str, Any]:
    """Counts of the verdicts given by `at` and of the items that wait then; kappa over the second readings that were drawn.

    Only those: a second person of high risk is asked because the first released it, so agreement there is no draw of agreement.
    """
    given = sorted((one for one in verdicts if one.at <= at), key=lambda one: one.at)
    by_item = readings.by_item(given, at)
    all_drawn = [reading for item in sorted(by_item) for reading in readings.drawn(by_item[item], reviewing, settings)]
    second = [reading for reading in all_drawn if reading.kind == readings.SECOND]
    again = [reading for reading in all_drawn if reading.kind == readings.AGAIN and reading.since <= at]
    # The first word of each of the two: later words are corrections, which may know the other's.
    twice = [(one.before.verdict, one.answer.verdict) for one in second if one.answer is not None]
    read_again = [one.answer.verdict for one in again if one.answer is not None]
    overturned = sum(words[0].verdict != words[-1].verdict for words in by_item.values())
    fast = [
        one
        for one in given
        if one.opened_at is not None and (one.at - one.opened_at).total_seconds() < reviewing.numbers["least_seconds"]
    ]
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
        "drawn_for_a_second_reading": len(second),
        "second_readings_wait": sum(one.answer is None for one in second),
        "read_by_two": kappa.pairs,
        "drawn_for_a_re_review": len(again),
        "re_reviews_wait": sum(one.answer is None for one in again),
        "overturned_on_re_review": sum(verdict != "release" for verdict in read_again),
        "re_review_overturn_rate": sum(verdict != "release" for verdict in read_again) / len(read_again)
        if read_again
        else None,
        "kappa": kappa.kappa,
        "kappa_low": kappa.low,
        "kappa_high": kappa.high,
        "pairs_needed": ceil(kappa.needed),
        "waiting": len(items),
        "overdue": sum(item["due_at"] < at for item in items),
    }
