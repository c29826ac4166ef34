"""Which way a change of one value can move decisions: by how the rules are built, not by anybody's facts.

Nothing but a permission grants, and an unknown fact never helps; so more requirements, wider scopes and narrower windows can only restrict.
What no rule reads in a known form is said to go either way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from candor.policy.model import Policy
from candor.policy.reading import instant

RESTRICTS, PERMITS, EITHER, NOTHING = "can only restrict", "can only permit", "either way", "changes no decision"
Direction = Callable[[Any, Any], str]


def opposite(direction: str) -> str:
    return {RESTRICTS: PERMITS, PERMITS: RESTRICTS}.get(direction, direction)


def together(directions: Iterable[str]) -> str:
    """The direction of several changes at once."""
    acting = set(directions) - {NOTHING}
    return NOTHING if not acting else acting.pop() if len(acting) == 1 else EITHER


def constant(direction: str) -> Direction:
    return lambda old, new: direction


def growing(direction: str, *, none: float | None = None) -> Direction:
    """`direction` when a number (or truth) grows. `none` is the number that an absent value stands for."""

    def judge(old: Any, new: Any) -> str:
        then, now = (none if value is None else value for value in (old, new))
        if not isinstance(then, int | float) or not isinstance(now, int | float):
            return EITHER
        return direction if now > then else opposite(direction)

    return judge


def widening(direction: str, *, none_is_all: bool = False) -> Direction:
    """`direction` when a list gains members and loses none; with `none_is_all`, null is every member."""

    def judge(old: Any, new: Any) -> str:
        if none_is_all and (old is None or new is None):
            return direction if new is None else opposite(direction)
        then, now = set(old or ()), set(new or ())
        if then <= now:
            return direction if then < now else NOTHING
        return opposite(direction) if now < then else EITHER

    return judge


def moment(direction: str, *, none: str) -> Direction:
    """`direction` when an instant becomes later. `none`: what null stands for."""

    def judge(old: Any, new: Any) -> str:
        then, now = (instant(none if value is None else value) for value in (old, new))
        return NOTHING if then == now else direction if now > then else opposite(direction)

    return judge


def effect(old: Any, new: Any) -> str:
    """A hold may be released, a block never; a demotion lets the offer through."""
    strength = ("DEMOTE", "HOLD", "BLOCK")
    return RESTRICTS if strength.index(new) > strength.index(old) else PERMITS


def condition(old: Any, new: Any) -> str:
    """Of a rule's `when`: without one it always applies."""
    return RESTRICTS if new is None else PERMITS if old is None else EITHER


# The forms in which raising a value of the matrix (or making it true) can only restrict, or in which longer lists can only permit.
_NUMBER = r"-?\d+(\.\d+)?"
_FORMS: Mapping[str, tuple[str, str]] = {
    "m_rank": (rf"m_rank >=? {_NUMBER}", rf"m_rank <=? {_NUMBER}"),
    "m_min_kyc": (rf"m_min_kyc >=? {_NUMBER}", r"u_kyc_tier >= m_min_kyc"),
    "m_approp": (r"m_approp", r"not m_approp"),
    "m_vol_max": (rf"m_vol_max <=? {_NUMBER}", r"c_vol_rank <= m_vol_max"),
    "m_profiles": (r"(?!)", r"list_contains\(m_profiles, u_\w+\)"),
    "m_stages": (r"(?!)", r"list_contains\(m_stages, u_\w+\)"),
}


def is_read_one_way(fact: str, policies: Iterable[Policy]) -> bool:
    """Whether every rule of the policies reads the matrix fact in a form of which the direction is known."""
    in_when, in_require = (re.compile(form) for form in _FORMS[fact])
    for policy in policies:
        for rule in (*policy.rules, *policy.waiting):
            for duty in rule.obligations:
                if duty.condition is not None and not _matches(duty.condition, fact, in_when):
                    return False
            if rule.when is not None and not _matches(rule.when, fact, in_when):
                return False
            if any(not _matches(check.require, fact, in_require) for check in rule.checks):
                return False
    return True


def _matches(expression: str, fact: str, form: re.Pattern[str]) -> bool:
    """Whether each part of the expression that reads `fact` has the form, in conditions joined by AND and OR alone."""
    text = " ".join(expression.lower().split())
    if not re.search(rf"\b{fact}\b", text):
        return True
    if re.search(r"\bnot ?\(|\bcoalesce\b|\bbetween\b", text):
        return False
    atoms = [_bare(atom) for atom in re.split(r" and | or ", text)]
    return all(form.fullmatch(atom) for atom in atoms if re.search(rf"\b{fact}\b", atom))


def _bare(atom: str) -> str:
    """Without the parentheses that group it with others."""
    text = atom.strip()
    while text.startswith("("):
        text = text[1:].strip()
    while text.endswith(")") and text.count(")") > text.count("("):
        text = text[:-1].strip()
    return text
