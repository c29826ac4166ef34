"""Readings that were drawn on top of a verdict: of two items in a hundred a second one at once, of two releases in a hundred another a week later.

Which ones is a keyed hash of the item (and, of releases, of the week they were given in), so nobody knows beforehand and nothing is remembered. A
reading is for somebody who has said nothing of the item yet, and they are not told what was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from candor.review.verdicts import RELEASE, UPHOLD, Verdict, needed_for

if TYPE_CHECKING:
    from candor.policy.model import Reviewing
    from candor.settings import Settings

SECOND, AGAIN = "second reading", "re-review"


@dataclass(frozen=True)
class Reading:
    """One reading more: from when and until when it is asked, of whom not, the word it is held against, and the word that answered it."""

    kind: str
    since: datetime
    due_at: datetime
    not_by: frozenset[str]
    before: Verdict
    answer: Verdict | None


def by_item(verdicts: Iterable[Verdict], at: datetime) -> dict[str, list[Verdict]]:
    """The verdicts given by the instant, in the order given, by item."""
    found: dict[str, list[Verdict]] = {}
    for one in sorted((one for one in verdicts if one.at <= at), key=lambda one: one.at):
        found.setdefault(one.item_id, []).append(one)
    return found


def drawn(words: list[Verdict], reviewing: Reviewing, settings: Settings) -> list[Reading]:
    """The readings drawn of an item of which `words` were said, in the order given, answered or not."""
    numbers = reviewing.numbers
    if not words:
        return []
    hours = {one.kind: one.sla_hours for one in reviewing.kinds}
    until = timedelta(hours=hours.get(words[0].kind, 0))
    found = []
    if is_drawn(settings, f"double review {words[0].item_id}", numbers.get("double_review_share", 0)):
        by = frozenset({words[0].reviewer})
        found.append(Reading(SECOND, words[0].at, words[0].at + until, by, words[0], _first(words, by)))
    decided = _released(words, numbers.get("two_reviewers_from_rank", 0))
    if decided is not None:
        week = f"{decided.at.isocalendar().year}-W{decided.at.isocalendar().week:02}"
        since = decided.at + timedelta(days=numbers.get("re_review_after_days", 0))
        until_then = [one for one in words if one.at < since]
        # What was upheld or ran out meanwhile releases nobody, so there is nothing to look at again.
        stands = all(one.verdict == RELEASE for one in until_then if one.at >= decided.at)
        stands &= decided.expires is None or decided.expires > since
        if stands and is_drawn(settings, f"re-review {words[0].item_id} {week}", numbers.get("re_review_share", 0)):
            by = frozenset(one.reviewer for one in until_then)
            answer = _first([one for one in words if one.at >= since], by)
            found.append(Reading(AGAIN, since, since + until, by, decided, answer))
    return found


def open_for(name: str | None, readings: Iterable[Reading], at: datetime) -> Reading | None:
    """The reading that waits at the instant for the reviewer (None: for whoever comes)."""
    for reading in readings:
        if reading.answer is None and reading.since <= at and name not in reading.not_by:
            return reading
    return None


def is_drawn(settings: Settings, what: str, share: float) -> bool:
    """Whether the keyed hash of `what` is among the lowest `share`."""
    from candor.hashing import keyed_hash

    return int(keyed_hash(settings, what)[:12], 16) / 16**12 < share


def _first(words: list[Verdict], not_by: frozenset[str]) -> Verdict | None:
    return next((one for one in words if one.reviewer not in not_by), None)


def _released(words: list[Verdict], two_from: float) -> Verdict | None:
    """The word with which the item was first released; None when it never was."""
    last: dict[str, Verdict] = {}
    for one in words:
        last[one.reviewer] = one
        needed = min((needed_for(creative.rank, two_from) for creative in one.creatives), default=1)
        if all(said.verdict != UPHOLD for said in last.values()) and len(last) >= needed:
            return one
    return None
