"""policy/identity_overrides.yml read and checked: what operators have decided about who is who."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from candor.identity.overrides import KINDS, Override
from candor.policy import specs
from candor.policy.reading import Node, Problems, instant, keys, rows, schema

FILE = "identity_overrides.yml"
# An override without an end is somebody's decision for ever; a year asks them again.
LONGEST = timedelta(days=366)


def read_overrides(node: Node | None, roles: set[str], problems: Problems) -> tuple[Override, ...]:
    """The overrides in the order of the file. Every problem is noted with its line."""
    if node is None:
        return ()
    schema(node, FILE, "identity-overrides/1", {"overrides"}, problems)
    listed: Any = node.get("overrides")
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get("overrides"), "overrides", complaint)
        return ()
    made: list[Override] = []
    seen: dict[frozenset[tuple[str, str]], int] = {}
    for row in listed:
        where = f"{row.get('action', '?')} {row.get('one', '?')} {row.get('other', '?')}"
        if not keys(row, specs.OVERRIDE, file=FILE, where=where, problems=problems):
            continue
        one, other = _identifier(row, "one", problems), _identifier(row, "other", problems)
        if one is None or other is None:
            continue
        pair = frozenset((one, other))
        if one == other:
            problems.add(FILE, row.line, where, "both sides are the same identifier")
        elif pair in seen:
            problems.add(FILE, row.line, where, f"the pair is there twice (first in line {seen[pair]})")
        seen.setdefault(pair, row.line)
        if row["owner"] not in roles:
            problems.add(FILE, row.lines["owner"], where, f"owner {row['owner']!r} is no role of owners.yml")
        since, until = (instant(row[name]).replace(tzinfo=UTC) for name in ("since", "until"))
        if until <= since or until - since > LONGEST:
            problems.add(FILE, row.lines["until"], where, f"until must be after since and at most {LONGEST.days} days later")
        made.append(Override(row["action"], one, other, row["owner"], row["reason"], since, until))
    return tuple(made)


def _identifier(row: Node, side: str, problems: Problems) -> tuple[str, str] | None:
    kind, _, identifier = str(row[side]).partition("/")
    if kind in KINDS and identifier.strip():
        return kind, identifier.strip()
    allowed = ", ".join(KINDS)
    problems.add(
        FILE,
        row.lines[side],
        side,
        f"must be kind/identifier with kind one of {allowed} (no e-mail address or phone number in a file), is {row[side]!r}",
    )
    return None
