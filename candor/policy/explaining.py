"""Rules in plain words, for the people who answer for them."""

from __future__ import annotations

from candor.errors import PolicyError
from candor.policy import compiling
from candor.policy.model import Policy, Rule

_EFFECTS = {
    "BLOCK": "blocks the offer",
    "HOLD": "holds the offer until somebody releases it",
    "DEMOTE": "lets the offer through, ranked lower",
}
_UNKNOWN = "_UNKNOWN"


def explain(policy: Policy, what: str) -> str:
    """Every version of the rule that `what` names, or that gives the code `what`. Raises PolicyError when there is none."""
    parts = (*compiling.engine_rules(policy), *policy.rules, *policy.waiting)
    for wanted in dict.fromkeys((what.upper(), what.upper().removesuffix(_UNKNOWN))):
        found = [part for part in parts if wanted == part.rule_id or wanted in _codes(part)]
        if found:
            names = {(part.rule_id, part.version): None for part in found}
            texts = [
                _text(what.upper(), wanted, [part for part in parts if (part.rule_id, part.version) == name]) for name in names
            ]
            return "\n\n".join(texts)
    import difflib

    known = {name for part in parts for name in (part.rule_id, *_codes(part))}
    close = difflib.get_close_matches(what.upper(), sorted(known), n=3)
    raise PolicyError(
        f"no rule is called {what!r} or gives such a code",
        hint=f"did you mean {', '.join(close)}?"
        if close
        else "`candor policy check` lists waiting rules; policy/pack.yaml has them all",
    )


def _codes(part: Rule) -> list[str]:
    return [check.code for check in part.checks] + [f"DISC_MISSING_{duty.name}" for duty in part.obligations]


def _text(asked: str, wanted: str, parts: list[Rule]) -> str:
    rule = parts[0]
    lines = [f"{rule.rule_id} v{rule.version}: {rule.title}", f"  {rule.statement}", f"  Applies to {_whom(rule)}."]
    if rule.when is not None:
        lines.append(f"  When {rule.when} (also when that is not known).")
    lines.append(f"  In force {_since(rule)}; it {_EFFECTS[rule.effect]}.")
    for part in parts:
        waits = (
            f" Waits for {', '.join(part.waits_for)}, which the daily run does not know yet: it judges cases only."
            if part.waits_for
            else ""
        )
        for check in part.checks:
            penalty = f", {check.penalty_bp} basis points" if check.penalty_bp else ""
            lines.append(f"  {check.code}{penalty}: unless {check.require}.{waits}")
        for duty in part.obligations:
            condition = f" when {duty.condition}" if duty.condition else ""
            lines.append(f"  DISC_MISSING_{duty.name}: blocks unless the creative carries {duty.name}{condition}.{waits}")
    lines.append(f"  Cites {rule.cite}.")
    if asked != wanted:
        lines.append(
            f"  {asked}: a fact it reads was not known, too old, or none of its values. Unknown never helps; it is repaired, not refused."
        )
    is_told = rule.visibility == "safe" and not asked.endswith(_UNKNOWN)
    lines.append(f"  The person {'may be told' if is_told else 'gets the constant sentence'} ({rule.visibility}).")
    return "\n".join(lines)


def _whom(rule: Rule) -> str:
    scope = rule.scope
    told = ["promotions" if scope.promotion_only else "all messages"]
    for name, values in (
        ("in", scope.regimes), ("to clients that are", scope.client_class), ("for", scope.products), ("by", scope.channels),
    ):  # fmt: skip
        if values is not None:
            told.append(f"{name} {' or '.join(values)}")
    return " ".join(told)


def _since(rule: Rule) -> str:
    since = "always" if rule.starts_at is None else f"from {rule.starts_at:%Y-%m-%d %H:%M} UTC"
    return since if rule.ends_at is None else f"{since} until {rule.ends_at:%Y-%m-%d %H:%M} UTC"
