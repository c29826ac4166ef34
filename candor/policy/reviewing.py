"""policy/review.yml read and checked: what a person looks at, until when, and who decides it."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from candor.policy import specs
from candor.policy.model import NO_REVIEWING, NearMiss, Reviewing, ReviewKind
from candor.policy.reading import Node, Problems, keys, rows, schema

FILE = "review.yml"
KINDS = ("new_offer", "hold_fincrime", "hold", "high_risk_segment", "near_miss", "random")
NUMBERS = (
    "high_risk_rank",
    "two_reviewers_from_rank",
    "random_share",
    "near_misses_a_day",
    "double_review_share",
    "longest_release_days",
    "least_seconds",
)
OPTIONAL = ("re_review_share", "re_review_after_days")  # a policy from before re-reviews draws none
SHARES = ("random_share", "double_review_share", "re_review_share")


def read_reviewing(node: Node | None, roles: set[str], problems: Problems) -> Reviewing:
    """What the file says; every problem is noted with its line. None: a policy from before the file existed."""
    if node is None:
        return NO_REVIEWING
    schema(node, FILE, "review/1", {"kinds", "near_misses", "numbers", "reviewers"}, problems)
    kinds = _listed(node, "kinds", "kind", specs.REVIEW_KIND, problems)
    for row in kinds:
        where = str(row["kind"])
        for role in row["roles"]:
            if role not in roles:
                problems.add(
                    FILE, row.lines["roles"], where, f"role {role!r} is none of owners.yml: {', '.join(sorted(roles))}"
                )
        if not row["roles"]:
            problems.add(FILE, row.lines["roles"], where, "somebody must be able to decide it; roles is empty")
        if row["sla_hours"] < 1:
            problems.add(FILE, row.lines["sla_hours"], where, f"sla_hours must be at least 1, is {row['sla_hours']}")
    if not problems.found:
        for kind in sorted(set(KINDS) - {row["kind"] for row in kinds}):
            problems.add(FILE, node.lines.get("kinds"), "kinds", f"{kind} is missing")
    near = _listed(node, "near_misses", "fact", specs.NEAR_MISS, problems)
    numbers = _listed(node, "numbers", "name", specs.VALUE, problems)
    named = {row["name"]: float(row["value"]) for row in numbers}
    for name in (*NUMBERS, *OPTIONAL):
        if name not in named:
            if name in OPTIONAL:
                continue
            problems.add(FILE, node.lines.get("numbers"), "numbers", f"{name} is missing")
        elif named[name] < 0 or (name in SHARES and named[name] > 1):
            problems.add(
                FILE, node.lines.get("numbers"), name, f"must be from 0{' to 1' if name in SHARES else ' on'}, is {named[name]}"
            )
    reviewers = _listed(node, "reviewers", "name", specs.REVIEWER, problems) if "reviewers" in node else None
    for row in reviewers or ():
        for role in row["roles"]:
            if role not in roles:
                problems.add(
                    FILE, row.lines["roles"], row["name"], f"role {role!r} is none of owners.yml: {', '.join(sorted(roles))}"
                )
    return Reviewing(
        tuple(ReviewKind(row["kind"], row["sla_hours"], tuple(row["roles"]), row["priority"], row["why"]) for row in kinds),
        tuple(NearMiss(row["fact"], float(row["at_least"]), float(row["within"]), row["rule"], row["why"]) for row in near),
        MappingProxyType(named),
        None if reviewers is None else MappingProxyType({row["name"]: tuple(row["roles"]) for row in reviewers}),
    )


def _listed(node: Node, name: str, id_key: str, spec: dict[str, Any], problems: Problems) -> list[Node]:
    listed: Any = node.get(name)
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get(name), name, complaint)
        return []
    sound, seen = [], set()
    for row in listed:
        where = str(row.get(id_key, "?"))
        if where in seen:
            problems.add(FILE, row.line, where, "is there twice")
        elif keys(row, spec, file=FILE, where=where, problems=problems):
            sound.append(row)
        seen.add(where)
    return sound
