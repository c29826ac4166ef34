"""An explanation as text: what was served, what was not and why, what was excluded and by which rules, each reason once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from candor.ledger.files import NEUTRAL

Rows = list[dict[str, Any]]
HEADINGS = {"served": "served", "not_served": "eligible, not served", "excluded": "excluded"}
_TERMS_FIRST = (
    "expected_incremental_value_usd",
    "p_if_shown",
    "p_if_held_out",
    "unit_value_usd",
    "cost_usd",
    "penalty_bp",
    "arm",
)
_SAID_ELSEWHERE = ("rank", "is_promotion", "is_push", "segment", "incremental_value_usd")


def as_json(explanation: dict[str, Any]) -> str:
    """The explanation as JSON, keys sorted."""
    return json.dumps(explanation, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_text(explanation: dict[str, Any]) -> str:
    """The explanation for a terminal. Same explanation, same bytes, whatever the terminal."""
    return "\n".join(_lines(explanation)) + "\n"


def _lines(explanation: dict[str, Any]) -> Iterator[str]:
    run, offers = explanation["run"], explanation["offers"]
    yield f"{run['person_id']} in run {run['run_id']} of {run['as_of']}, as {run['role']} may know it"
    if "ledger_hash" not in run:
        for one in offers:
            yield f"  {one['offer_id']} by {one['channel']}: {'shown' if one['is_shown'] else 'not shown'}. {' '.join(one['sentences'])}"
        return
    yield f"  policy {run['policy_version']}, catalogue {run['catalogue_hash'][:16]}, model {(run['champion_version'] or 'none')[:16]}"
    yield f"  ledger entry {run['ledger_entry']}, {run['ledger_hash']}"
    for outcome in ("served", "not_served"):
        found = [one for one in offers if one["outcome"] == outcome]
        yield f"\n{HEADINGS[outcome]}: {len(found)}"
        for one in found:
            yield f"  {one['offer_id']} by {one['channel']} (version {one['offer_version']}, {one['creative_id']}, {one['decision_id']})"
            yield f"    {one['why']}"
            if one.get("told"):
                yield f"    the customer reads: {one['told']}"
                yield from (f"      {line}" for line in because(one))
            yield f"    {terms(one['terms'])}"
            if one["reasons"]:
                yield f"    ranked lower by {codes(one['reasons'])}"
    found = [one for one in offers if one["outcome"] == "excluded"]
    yield f"\n{HEADINGS['excluded']}: {len(found)}"
    for offer_id, listed in by_offer(found).items():
        yield f"  {offer_id}"
        for channels, told in listed:
            yield f"    {channels}: {told}"
    yield from _reasons(offers)


def because(served: dict[str, Any]) -> Iterator[str]:
    """What the sentence that the customer reads rests on, a line for each driver; the strongest first."""
    if "told_because" not in served:
        yield "what it rests on was not kept in the ledger when this run was published"
        return
    if not served["told_because"]:
        yield "the creative's own reason: no driver that may be named counted enough"
    for one in served["told_because"]:
        if one["driver"] is None:
            yield f"{one['place']}. a driver that this role may not read"
            continue
        without = ", ".join(
            f"{feature} {'missing' if value is None else f'{value:g}'}" for feature, value in one["without"].items()
        )
        yield (
            f"{one['place']}. {one['driver']} ({one['needs']['feature']} at least {one['needs']['at_least']:g}): the offer raises the chance of its "
            f"outcome by {one['gain']:.6f}, and by {one['gain_without']:.6f} without it: effect {one['effect']:.6f}; asked with {without}"
        )


def terms(found: dict[str, Any]) -> str:
    """The terms of a rank in one line, those that everybody asks for first."""
    others = sorted(found.keys() - {*_TERMS_FIRST, *_SAID_ELSEWHERE})
    names = [*(name for name in _TERMS_FIRST if name in found), *others]
    return ", ".join(f"{name} {_value(found[name])}" for name in names if found[name] is not None)


def codes(reasons: Rows) -> str:
    """The codes of some reasons, each once."""
    return ", ".join(dict.fromkeys(reason["code"] for reason in reasons))


def by_offer(excluded: Rows) -> dict[str, list[tuple[str, str]]]:
    """For each offer (channels, codes): channels with the same codes stand together."""
    offers: dict[str, dict[str, list[str]]] = {}
    for one in excluded:
        offers.setdefault(one["offer_id"], {}).setdefault(codes(one["reasons"]), []).append(one["channel"])
    return {offer: [(", ".join(channels), told) for told, channels in listed.items()] for offer, listed in offers.items()}


def reasons_once(offers: Rows) -> list[tuple[dict[str, Any], list[str], list[tuple[dict[str, Any], list[str]]]]]:
    """Each reason once: (reason, where it speaks, [(fact, where it has that value; empty when everywhere)])."""
    found: dict[tuple[str, str | None, int | None], tuple[dict[str, Any], list[str]]] = {}
    facts: dict[tuple[str, str | None, int | None], dict[str, tuple[dict[str, Any], list[str]]]] = {}
    for one in offers:
        place = f"{one['offer_id']} by {one['channel']}"
        for reason in one["reasons"]:
            key = (reason["code"], reason.get("rule_id"), reason.get("v"))
            found.setdefault(key, (reason, []))[1].append(place)
            for fact in reason.get("facts", []):
                facts.setdefault(key, {}).setdefault(json.dumps(fact, sort_keys=True), (fact, []))[1].append(place)
    told = []
    for key in sorted(found, key=repr):
        reason, places = found[key]
        values = list(facts.get(key, {}).values())
        names = [fact["fact"] for fact, _ in values]
        once = [(fact, [] if names.count(fact["fact"]) == 1 else where) for fact, where in values]
        told.append((reason, places, sorted(once, key=lambda pair: (names.index(pair[0]["fact"]), _value(pair[0]["value"])))))
    return told


def _reasons(offers: Rows) -> Iterator[str]:
    told = reasons_once(offers)
    yield f"\nreasons: {len(told)}"
    for reason, places, facts in told:
        if reason["code"] == NEUTRAL:
            yield f"  {NEUTRAL}: {reason['title']} ({len(places)} offers and channels)"
            continue
        unknown = "; a fact it reads was not known" if reason["is_unknown"] else ""
        yield f"  {reason['code']}: {reason['rule_id']} v{reason['v']}, {reason['title']}"
        yield f"    {reason['effect']} for {len(places)} offers and channels{unknown}"
        yield f"    {reason['statement']}"
        yield f"    cites {reason['cite']}"
        if reason.get("requires"):
            yield f"    requires {reason['requires']}" + (f" when {reason['applies_when']}" if reason["applies_when"] else "")
        for fact, where in facts:
            yield f"      {fact_line(fact)}{_among(where)}"


def fact_line(fact: dict[str, Any]) -> str:
    """One fact with its value, since when it was known and from where."""
    told = f"{fact['fact']} = {_value(fact['value'])}"
    if fact["observed_at"]:
        told += f", known whole at {fact['observed_at']}"
    return f"{told}{' (too old)' if fact.get('is_stale') else ''} from {fact['from']}" if fact["from"] else told


def _among(places: list[str]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return f" ({', '.join(places[:3])}{more})"


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)
