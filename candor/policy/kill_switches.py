"""policy/kill_switches.yml read and checked: what nobody may be shown any more, by decision of an owner."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from candor.errors import PolicyError
from candor.policy import specs
from candor.policy.reading import Node, Problems, instant, keys, read, rows, schema

FILE = "kill_switches.yml"
SCOPE = ("offer_id", "product_line", "channel", "market", "segment")


@dataclass(frozen=True)
class KillSwitch:
    """What nobody may be shown; of several things named all must be so. Instants are aware."""

    offer_id: str | None
    product_line: str | None
    channel: str | None
    market: str | None
    segment: str | None
    owner: str
    reason: str
    since: datetime
    until: datetime | None = None

    @property
    def switch_id(self) -> str:
        """Named by what it is about and since when: the same switch in both places is one."""
        named = [getattr(self, name) for name in SCOPE]
        return (
            "k"
            + hashlib.sha256(json.dumps([named, f"{self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"]).encode()).hexdigest()[:11]
        )

    @property
    def about(self) -> str:
        """Its scope in words."""
        return ", ".join(f"{name} {getattr(self, name)}" for name in SCOPE if getattr(self, name) is not None)

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at the instant."""
        return self.since <= at and (self.until is None or at < self.until)


def read_switches(node: Node | None, known: dict[str, set[str]], problems: Problems) -> tuple[KillSwitch, ...]:
    """The switches in the order of the file. Every problem is noted with its line.

    `known` has what `owner`, `channel` and `product_line` may be; what it does not name is not looked at.
    """
    if node is None:
        return ()
    schema(node, FILE, "kill-switches/1", {"kill_switches"}, problems)
    listed: Any = node.get("kill_switches")
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get("kill_switches"), "kill_switches", complaint)
        return ()
    made: list[KillSwitch] = []
    seen: dict[str, int] = {}
    for row in listed:
        where = " ".join(str(row[name]) for name in SCOPE if name in row) or "a switch"
        if not keys(row, specs.KILL_SWITCH, file=FILE, where=where, problems=problems, optional=specs.KILL_SWITCH_OPTIONAL):
            continue
        if not any(name in row for name in SCOPE):
            problems.add(FILE, row.line, where, f"must name at least one of {', '.join(SCOPE)}")
            continue
        for name, allowed in known.items():
            if name in row and row[name] not in allowed:
                problems.add(FILE, row.lines[name], where, f"{name} {row[name]!r} is none of {', '.join(sorted(allowed))}")
        since = instant(row["since"]).replace(tzinfo=UTC)
        until = instant(row["until"]).replace(tzinfo=UTC) if "until" in row else None
        if until is not None and until <= since:
            problems.add(FILE, row.lines["until"], where, "until must be after since")
        switch = KillSwitch(
            **{name: row.get(name) for name in SCOPE}, owner=row["owner"], reason=row["reason"], since=since, until=until
        )
        if switch.switch_id in seen:
            problems.add(FILE, row.line, where, f"is there twice (first in line {seen[switch.switch_id]})")
        seen.setdefault(switch.switch_id, row.line)
        made.append(switch)
    return tuple(made)


def read_file(folder: Path) -> tuple[KillSwitch, ...]:
    """The switches of the policy folder alone: a mistake in another file must not keep them from being applied.

    Raises PolicyError with every problem of the file. Owners, channels and product lines are checked when the whole policy is loaded.
    """
    if not (folder / FILE).is_file():
        return ()
    problems = Problems()
    switches = read_switches(read(folder / FILE, problems), {}, problems)
    if problems.found:
        raise PolicyError("kill switches do not read:\n" + "\n".join(problems.found), hint=f"the file is {folder / FILE}")
    return switches
