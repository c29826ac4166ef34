"""What reviewers said: lines appended to a file that nobody changes, and what follows from them at an instant.

The file is in the restricted folder and not in the warehouse, which a daily run keeps locked; some lines say of a person what only fincrime
staff may know. A line is either `opened` (somebody was shown an item) or a verdict.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import CandorError

if TYPE_CHECKING:
    from candor.policy.model import Reviewing
    from candor.settings import Settings

FILE = "review_verdicts.jsonl"
RELEASE, UPHOLD = "release", "uphold"


@dataclass(frozen=True)
class Creative:
    """One creative that an item is about, as its reviewer was shown it."""

    creative_id: str
    offer_id: str
    offer_version: int
    creative_hash: str
    rank: int | None


@dataclass(frozen=True)
class Verdict:
    """One reviewer's word on one item, with all that it is bound to. Instants are aware."""

    item_id: str
    kind: str
    verdict: str
    reviewer: str
    role: str
    reason: str
    at: datetime
    opened_at: datetime | None
    saw_score: bool
    expires: datetime | None
    rule_id: str | None
    v: int | None
    person_id: str | None
    facts: str | None
    fact_hash: str | None
    creatives: tuple[Creative, ...]
    segment: str | None = None


@dataclass(frozen=True)
class Refusal:
    """What a reviewer upheld although nothing held it: a version of an offer, for a person, a segment or, by one of its creatives, everybody."""

    item_id: str
    person_id: str | None
    segment: str | None
    offer_id: str
    offer_version: int
    creative_id: str | None
    creative_hash: str | None
    since: datetime


@dataclass(frozen=True)
class Release:
    """A hold that is lifted for one creative, because everybody who had to agree did."""

    item_id: str
    person_id: str | None
    rule_id: str
    v: int
    fact_hash: str
    creative: Creative
    since: datetime
    until: datetime


def file_of(settings: Settings) -> Path:
    """Where the lines are."""
    return settings.restricted_dir / FILE


def read(settings: Settings) -> tuple[list[Verdict], dict[tuple[str, str], datetime]]:
    """(every verdict in the order given, when each reviewer last opened each item). Raises CandorError naming a line nobody can read."""
    file = file_of(settings)
    if not file.is_file():
        return [], {}
    verdicts: list[Verdict] = []
    opened: dict[tuple[str, str], datetime] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            said = json.loads(line)
            if "opened" in said:
                opened[(said["opened"], said["reviewer"])] = _instant(said["at"])
            else:
                verdicts.append(_verdict(said))
        except (ValueError, KeyError, TypeError) as error:
            raise CandorError(
                f"{file}, line {number} is no verdict: {line[:200]!r} ({error})",
                hint="restore the line from a backup; without it something that was held again could be released",
            ) from error
    return verdicts, opened


def append(settings: Settings, verdict: Verdict) -> None:
    """Put a verdict on record."""
    said = asdict(verdict)
    for name in ("at", "opened_at", "expires"):
        said[name] = _text(said[name]) if said[name] is not None else None
    said["creatives"] = [list(creative.values()) for creative in said["creatives"]]
    _append(settings, said)


def append_opened(settings: Settings, item_id: str, reviewer: str, at: datetime) -> None:
    """Put on record that the reviewer was shown the item."""
    _append(settings, {"opened": item_id, "reviewer": reviewer, "at": _text(at)})


def releases(verdicts: Iterable[Verdict], reviewing: Reviewing, at: datetime) -> Iterator[Release]:
    """What holds at the instant, by what had been said until then.

    Of each reviewer the last word counts. One who upholds keeps the hold, whoever else releases it; of rank
    `two_reviewers_from_rank` and more two must release. It ends when the first of them ends.
    """
    two_from = reviewing.numbers.get("two_reviewers_from_rank", 0)
    last: dict[str, dict[str, Verdict]] = {}
    for verdict in sorted((one for one in verdicts if one.at <= at), key=lambda one: one.at):
        last.setdefault(verdict.item_id, {})[verdict.reviewer] = verdict
    for item_id in sorted(last):
        said = list(last[item_id].values())
        if any(one.verdict != RELEASE for one in said):
            continue
        standing = [one for one in said if one.rule_id is not None and one.expires is not None and at < one.expires]
        for creative in sorted({creative for one in standing for creative in one.creatives}, key=lambda one: one.creative_id):
            agreeing = [one for one in standing if creative in one.creatives]
            needed = needed_for(creative.rank, two_from)
            if len(agreeing) < needed:
                continue
            first = agreeing[0]
            assert first.rule_id is not None
            assert first.v is not None
            assert first.fact_hash is not None
            since = sorted(one.at for one in agreeing)[needed - 1]
            until = sorted((one.expires for one in agreeing if one.expires is not None), reverse=True)[needed - 1]
            yield Release(item_id, first.person_id, first.rule_id, first.v, first.fact_hash, creative, since, until)


# Whom an uphold withholds an offer from that is served, or could be without the hold that was reviewed. Of a hold it only keeps the hold.
WITHHELD_FROM = {"near_miss": "person", "random": "person", "high_risk_segment": "segment", "new_offer": "creative"}


def refusals(verdicts: Iterable[Verdict], at: datetime) -> Iterator[Refusal]:
    """What may not be shown at the instant because somebody's last word of it was that it must not; the stricter word counts."""
    last: dict[tuple[str, str], Verdict] = {}
    for verdict in sorted((one for one in verdicts if one.at <= at), key=lambda one: one.at):
        last[(verdict.item_id, verdict.reviewer)] = verdict
    found: dict[tuple[str, str, int, str], Refusal] = {}
    for one in sorted((one for one in last.values() if one.verdict == UPHOLD), key=lambda one: (one.at, one.item_id)):
        grain = WITHHELD_FROM.get(one.kind)
        for creative in one.creatives if grain else ():
            by_creative = grain == "creative"
            said = Refusal(
                one.item_id,
                one.person_id if grain == "person" else None,
                one.segment if grain == "segment" else None,
                creative.offer_id,
                creative.offer_version,
                creative.creative_id if by_creative else None,
                creative.creative_hash if by_creative else None,
                one.at,
            )
            # Without its person or segment it would withhold from everybody; such a line was written by no reviewer.
            if by_creative or said.person_id is not None or said.segment is not None:
                found.setdefault((said.item_id, said.offer_id, said.offer_version, said.creative_id or ""), said)
    yield from (found[key] for key in sorted(found))


def needed_for(rank: int | None, two_from: float) -> int:
    """How many people must release a creative of the rank before a release holds."""
    return 2 if rank is None or rank >= two_from else 1


def _append(settings: Settings, content: dict[str, Any]) -> None:
    """One line more, on the disk before anything else happens; two at once do not mix."""
    file = file_of(settings)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "a+", encoding="utf-8") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        lines.seek(0)
        is_torn = not (lines.read() or "\n").endswith("\n")  # by a kill in the middle of a line
        lines.write(("\n" if is_torn else "") + json.dumps(content, ensure_ascii=False) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def _verdict(said: dict[str, Any]) -> Verdict:
    creatives = tuple(Creative(*row) for row in said["creatives"])
    instants = {
        "at": _instant(said["at"]),
        "opened_at": _instant(said["opened_at"]) if said["opened_at"] else None,
        "expires": _instant(said["expires"]) if said["expires"] else None,
    }
    if said["verdict"] not in (RELEASE, UPHOLD):
        raise ValueError(f"verdict {said['verdict']!r}")
    return Verdict(**{**said, **instants, "creatives": creatives})


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a zone: {text}")
    return instant.astimezone(UTC)


def _text(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
