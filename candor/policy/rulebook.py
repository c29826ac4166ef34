"""The rules as a table that explains itself: what each code means, what it cites, which facts it reads, what a customer may be told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from candor.policy import compiling
from candor.policy.model import Policy, Rule
from candor.policy.packs import FACT_NAME

COLUMNS = (
    "code varchar, rule_id varchar, v integer, effect varchar, visibility varchar, title varchar, statement varchar, cite varchar, "
    "applies_when varchar, requires varchar, penalty_bp integer, facts varchar[], is_unknown boolean, customer_text varchar"
)
# What the eligibility models find themselves: what stands behind the reason, and the facts it rests on.
_FOUND_BY_MODELS = {
    "ENG_NO_CREATIVE": ("No creative of the offer for the channel is in a language the person reads, nor in British English.", ()),
    "ENG_NO_SEND_WINDOW": (
        "No hour in which the message may be sent lies before the offer ends in the person's zones.",
        ("o_ends_at", "u_tzs"),
    ),
    "KILL_SWITCH": ("Somebody who answers for it took the offer, its product line, the channel, the market or the segment off.", ()),
    "REV_UPHELD": ("Somebody who reviewed it while it was being served said that it must not be shown.", ()),
}  # fmt: skip


@dataclass
class _Code:
    """One code of one version of one rule, and all that can give it."""

    rule: Rule
    effect: str
    visibility: str
    requires: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    penalty_bp: int = 0


def rows(policy: Policy) -> list[tuple[Any, ...]]:
    """One row per code and version of its rule, of COLUMNS, in order. Each also with _UNKNOWN, when a fact it reads is not known."""
    made: dict[tuple[str, str, int], _Code] = {}
    for rule in (*compiling.engine_rules(policy), *policy.rules):
        for check in rule.checks:
            found = made.setdefault((check.code, rule.rule_id, rule.version), _Code(rule, rule.effect, rule.visibility))
            found.requires.append(check.require)
            found.penalty_bp = max(found.penalty_bp, check.penalty_bp)
        internal = "internal" if rule.visibility == "safe" else rule.visibility
        for duty in rule.obligations:
            key = (f"DISC_MISSING_{duty.name}", rule.rule_id, rule.version)
            found = made.setdefault(key, _Code(rule, "BLOCK", internal))
            found.requires.append(f"list_contains(o_disclosures, {compiling.quoted(duty.name)})")
            if duty.condition is not None:
                found.conditions.append(duty.condition)
    listed = [row for (code, _, _), found in made.items() for row in _rows(policy, code, found)]
    by_models = {code: row for row in compiling.codes(policy) if (code := row[0]) in _FOUND_BY_MODELS}
    for code, (statement, facts) in _FOUND_BY_MODELS.items():
        _, rule_id, v, effect, visibility, _, title = by_models[code]
        listed.append((code, rule_id, v, effect, visibility, title, statement, "engine", "", "", 0, list(facts), False, None))
    return sorted(listed, key=lambda row: row[:3])


def _rows(policy: Policy, code: str, found: _Code) -> list[tuple[Any, ...]]:
    rule = found.rule
    parts = [*compiling.conditions(rule), *dict.fromkeys(found.conditions)]
    requires = list(dict.fromkeys(found.requires))
    bare = " ".join(re.sub(r"'(?:[^']|'')*'", "''", text) for text in (*requires, *parts))
    facts = sorted(set(FACT_NAME.findall(bare)))
    told = policy.texts.get(code) if found.visibility == "safe" and found.effect != "DEMOTE" else None

    def row(name: str, is_unknown: bool) -> tuple[Any, ...]:
        return (
            name, rule.rule_id, rule.version, found.effect, found.visibility, rule.title, rule.statement, rule.cite,
            " and ".join(f"({part})" for part in parts), " and ".join(f"({part})" for part in requires), found.penalty_bp, facts,
            is_unknown, None if is_unknown else told,
        )  # fmt: skip

    return [row(code, is_unknown=False), row(f"{code}_UNKNOWN", is_unknown=True)]
