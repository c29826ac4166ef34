"""What differs between two policies, for somebody who answers for it: each change in words, which way it can move decisions, whom it can touch.

Compared is what the files say, field by field, so nothing that makes another version goes unsaid but the order of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from candor.policy.directions import (
    EITHER,
    NOTHING,
    PERMITS,
    RESTRICTS,
    Direction,
    condition,
    constant,
    effect,
    growing,
    is_read_one_way,
    moment,
    opposite,
    together,
    widening,
)
from candor.policy.kill_switches import SCOPE
from candor.policy.loading import load, read_files
from candor.policy.model import Policy
from candor.policy.reading import Node, Problems

_FIRST, _LAST = "0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"


@dataclass(frozen=True)
class Change:
    """One difference."""

    part: str  # rules, permissions, limits, …
    subject: str
    what: str
    direction: str
    whom: str  # whom it can touch
    note: str = ""


@dataclass(frozen=True)
class Kind:
    """How rows of one table are told apart and what a change of each field can do."""

    key: Callable[[Node], str]
    added: str  # the direction when a row is added; removing one is the opposite
    fields: Mapping[str, Direction]
    whom: Callable[[Node], str]
    silent: tuple[str, ...] = ()  # fields that the key already says


def between(old: Path, new: Path, shop: str) -> tuple[Policy, Policy, list[Change]]:
    """Both policies and every change from `old` to `new`, in the order of the files. Raises PolicyError when either does not load."""
    policies = load(old, shop), load(new, shop)
    then, now = (read_files(folder, shop, Problems()) for folder in (old, new))
    return *policies, list(_changes(then, now, policies))


def as_json(old: Policy, new: Policy, changes: list[Change]) -> dict[str, Any]:
    return {
        "old": old.version,
        "new": new.version,
        "altogether": together(change.direction for change in changes),
        "changes": [asdict(change) for change in changes],
    }


def told(old: Policy, new: Policy, changes: list[Change]) -> str:
    """The changes as text, those that can permit first: they are what somebody must sign for."""
    if not changes:
        if old.version == new.version:
            return f"no difference: both are policy {old.version}"
        return f"policy {old.version} and policy {new.version} say the same in another order of rows"
    counts = ", ".join(
        f"{count} {direction}"
        for direction in (PERMITS, EITHER, RESTRICTS, NOTHING)
        if (count := sum(change.direction == direction for change in changes))
    )
    lines = [f"from policy {old.version} to {new.version}: {len(changes)} changes ({counts})"]
    for direction in (PERMITS, EITHER, RESTRICTS, NOTHING):
        some = [change for change in changes if change.direction == direction]
        if some:
            lines += ["", direction]
        for change in some:
            lines.append(f"  {sentence(change)}")
            if direction != NOTHING:
                lines.append(f"    touches {change.whom}{f'; {change.note}' if change.note else ''}")
    return "\n".join(lines)


def sentence(change: Change) -> str:
    return f"{change.part}, {change.subject}: {change.what}"


_CHOICE = "whoever has offers to choose from (acts after eligibility)"
_EVERYONE = "everybody"
_UNSAID = constant(NOTHING)


def _scope(rule: Node) -> str:
    scope = rule["scope"]
    told = ["promotions" if scope["promotion_only"] else "all messages"]
    for word, name in (("to people in", "regimes"), ("who are", "client_class"), ("for", "products"), ("by", "channels")):
        if scope[name] is not None:
            told.append(f"{word} {' or '.join(scope[name])}")
    if scope["regimes"] is None and scope["client_class"] is None:
        told.insert(1, "to everybody")
    return " ".join(told) + (f", when {rule['when']}" if rule["when"] else "")


_RULE_FIELDS: dict[str, Direction] = {
    "title": _UNSAID, "statement": _UNSAID, "facts": _UNSAID, "tests": _UNSAID, "vis": _UNSAID,
    "effect": effect, "when": condition, "grain": constant(EITHER),
    "from": moment(PERMITS, none=_FIRST), "to": moment(RESTRICTS, none=_LAST), "obligations": widening(RESTRICTS),
}  # fmt: skip
_SCOPE_FIELDS: dict[str, Direction] = {
    **dict.fromkeys(("regimes", "client_class", "products", "channels"), widening(RESTRICTS, none_is_all=True)),
    "promotion_only": growing(PERMITS),
}
_PACK_FIELDS: dict[str, Direction] = {
    "valid_from": moment(RESTRICTS, none=_FIRST),
    "valid_to": moment(PERMITS, none=_LAST),
    **dict.fromkeys(("id", "version", "review_by", "owner", "approved_by", "judges_from", "judges_to"), _UNSAID),
}
_CHECK = Kind(
    lambda row: str(row["code"]),
    RESTRICTS,
    {"require": constant(EITHER), "penalty": growing(RESTRICTS), "grain": constant(EITHER)},
    lambda row: "",
)
_DUTY = Kind(lambda row: f"{row['name']} when {row['if']}", RESTRICTS, {}, lambda row: "")
_LIMITS: dict[str, Direction] = {
    **dict.fromkeys(("offer_validity_hours", "approp_validity_days", "market_max_age_hours"), growing(PERMITS)),
    **dict.fromkeys(("cool_down_offer_days", "cool_down_line_days"), growing(RESTRICTS)),
}


def _kinds(policies: tuple[Policy, Policy]) -> dict[str, dict[str, Kind]]:
    """By file, by list in it: how its rows are compared."""

    def matrix(fact: str, direction: Direction) -> Direction:
        return direction if is_read_one_way(fact, policies) else constant(EITHER)

    def line(row: Node) -> str:
        return f"offers of {row.get('product', '?')}"

    return {
        "shop": {
            "product_lines": Kind(
                lambda row: row["product"], PERMITS,
                {
                    "rank": matrix("m_rank", growing(RESTRICTS)), "min_kyc": matrix("m_min_kyc", growing(RESTRICTS)),
                    "approp": matrix("m_approp", growing(RESTRICTS)), "vol_max": matrix("m_vol_max", growing(PERMITS)),
                    "profiles": matrix("m_profiles", widening(PERMITS)), "stages": matrix("m_stages", widening(PERMITS)),
                }, line,
            ),
            "permissions": Kind(
                lambda row: f"{row['product']} to {row['client_class']} clients in {row['regime']}{row['nth']}", PERMITS,
                {"from": moment(RESTRICTS, none=_FIRST), "to": moment(PERMITS, none=_LAST), "evidence": _UNSAID},
                lambda row: f"{row['client_class']} clients in {row['regime']}, offers of {row['product']}",
                ("regime", "client_class", "product", "nth"),
            ),
            "quiet_hours": Kind(
                lambda row: f"{row['regime']} on ISO weekday {row['day']}{row['nth']}", RESTRICTS,
                {"open": lambda old, new: RESTRICTS if new > old else PERMITS, "close": lambda old, new: PERMITS if new > old else RESTRICTS},
                lambda row: f"messages that wait for a window, to people in {'any regime' if row['regime'] == '*' else row['regime']}",
                ("regime", "day", "nth"),
            ),
            "market_basket": Kind(lambda row: row["asset"], EITHER, {}, lambda row: "offers of lines for calm markets only"),
            "regime_map": Kind(
                lambda row: row["name"], PERMITS, {"regimes": widening(RESTRICTS)}, lambda row: f"people of {row['name']}", ("name",)
            ),
            "leaves_out": Kind(
                lambda row: row["name"], PERMITS, {"value": _UNSAID}, lambda row: "whom the rule concerns", ("name",)
            ),
            "promotions_per_education": Kind(
                lambda row: row["name"], EITHER, {"value": growing(PERMITS, none=float("inf"))},
                lambda row: f"people of stage {row['name']} (acts after eligibility)", ("name",),
            ),
        },
        "facts": {
            "terms": Kind(lambda row: row["name"], NOTHING, {"value": _UNSAID}, lambda row: "", ("name",)),
            "facts": Kind(
                lambda row: row["name"], NOTHING,
                {
                    "meaning": _UNSAID, "visibility": _UNSAID, "propagate": _UNSAID, "grain": _UNSAID,
                    "max_age_hours": growing(PERMITS, none=float("inf")),
                    "max_age_stressed_hours": growing(PERMITS, none=float("inf")),
                    "domain": widening(PERMITS, none_is_all=True), "awaits": _awaits,
                },
                lambda row: f"whoever is judged by {row['name']}", ("name",),
            ),
        },
        "channels": {
            "channels": Kind(
                lambda row: row["channel"], PERMITS,
                {"slots": growing(PERMITS), "is_push": growing(RESTRICTS), "has_window": growing(RESTRICTS)},
                lambda row: f"offers by {row['channel']}",
            )
        },
        "limits": {
            "limits": Kind(lambda row: row["name"], EITHER, {"why": _UNSAID}, lambda row: f"whom {row['name']} concerns"),
            # No row lets an offer live longer than the row of a lower rank does.
            "staleness": Kind(
                lambda row: f"{row['offers']} from rank {row['from_rank']}", RESTRICTS,
                {"hours": growing(PERMITS), "hours_stressed": growing(PERMITS), "why": _UNSAID},
                lambda row: f"{row['offers']} of lines of rank {row['from_rank']} and higher, up to the next row", ("offers", "from_rank"),
            ),
        },
        "objectives": {"objectives": Kind(lambda row: row["name"], EITHER, {"why": _UNSAID}, lambda row: _CHOICE)},
        "experiments": {"experiments": Kind(lambda row: row["name"], EITHER, {}, lambda row: "who is held out", ("name",))},
        "owners": {"roles": Kind(lambda row: row["role"], NOTHING, {"holder": _UNSAID, "approves": _UNSAID}, lambda row: "who approves")},
        "silos": {
            "silos": Kind(
                lambda row: row["table"], RESTRICTS,
                {
                    "late_after_hours": growing(PERMITS), "needed_for": widening(RESTRICTS), "features": widening(RESTRICTS),
                    "when_late": lambda old, new: RESTRICTS if new == "stop" else PERMITS, "owner": _UNSAID, "why": _UNSAID,
                },
                lambda row: f"offers that need {row['table']}, on days it is late",
            )
        },
        "brand": {
            "languages": Kind(lambda row: row["language"], PERMITS, {"max_lix": growing(PERMITS)}, lambda row: f"creatives in {row['language']}"),
            "flags": Kind(lambda row: row["flag"], RESTRICTS, {"why": _UNSAID}, lambda row: f"creatives that carry {row['flag']}"),
            "phrases": Kind(
                lambda row: f"{row['flag']} in {row['language']}: {row['pattern']}", RESTRICTS, {"examples": _UNSAID},
                lambda row: f"creatives in {row['language']} with such words", ("flag", "language", "pattern"),
            ),
        },
        "fatf": {
            "lists": Kind(
                lambda row: f"{row['list']} from {row['from']}", EITHER, {"source": _UNSAID, "countries": widening(RESTRICTS)},
                lambda row: f"people of the countries of {row['list']}", ("list", "from"),
            )
        },
        # How long records are kept decides nothing of who sees what.
        "retention": {
            "retention": Kind(
                lambda row: row["record_class"], NOTHING,
                dict.fromkeys(("months", "begins", "legal_hold", "tables", "kinds", "basis", "owner"), _UNSAID),
                lambda row: "", ("record_class",),
            )
        },
        "kill_switches": {
            "kill_switches": Kind(
                lambda row: ", ".join(f"{name} {row[name]}" for name in SCOPE if name in row) + f" from {row['since']}", RESTRICTS,
                {"until": moment(RESTRICTS, none=_LAST), "reason": _UNSAID, "owner": _UNSAID},
                lambda row: "whoever would be shown it", (*SCOPE, "since"),
            )
        },
        # Who looks at things, and when, permits nothing; what must be looked at does.
        "review": {
            "kinds": Kind(
                lambda row: row["kind"], NOTHING,
                {"sla_hours": _UNSAID, "roles": _UNSAID, "priority": _UNSAID, "why": _UNSAID}, lambda row: "who reviews", ("kind",),
            ),
            "near_misses": Kind(
                lambda row: row["fact"], NOTHING,
                {"at_least": _UNSAID, "within": _UNSAID, "rule": _UNSAID, "why": _UNSAID}, lambda row: "what is reviewed", ("fact",),
            ),
            "numbers": Kind(lambda row: row["name"], EITHER, {"why": _UNSAID}, lambda row: f"whom {row['name']} concerns", ("name",)),
            "reviewers": Kind(lambda row: row["name"], NOTHING, {"roles": _UNSAID, "why": _UNSAID}, lambda row: "who reviews", ("name",)),
        },
        # What is said of decisions changes none of them.
        "explanations": {
            "sentences": Kind(lambda row: row["language"], NOTHING, {"sentence": _UNSAID, "and": _UNSAID}, lambda row: "", ("language",)),
            "drivers": Kind(
                lambda row: row["driver"], NOTHING,
                {"sensitivity": _UNSAID, "needs": _UNSAID, "without": _UNSAID, "words": _UNSAID}, lambda row: "", ("driver",),
            ),
        },
        "texts": {"texts": Kind(lambda row: row["name"], NOTHING, {"value": _UNSAID}, lambda row: "", ("name",))},
        "identity_overrides": {
            "overrides": Kind(
                lambda row: f"{row['action']} {row['one']} {row['other']}", EITHER, {"reason": _UNSAID, "owner": _UNSAID},
                lambda row: "those two and whoever is joined with them", ("action", "one", "other"),
            )
        },
    }  # fmt: skip


# What stands alone in a file, and is no list of rows.
_ALONE: dict[tuple[str, str], tuple[Direction, str]] = {
    ("shop", "latency_margin_min"): (growing(RESTRICTS), "messages that wait for a window"),
    ("shop", "email_optout_regimes"): (widening(PERMITS), "e-mail to people in those regimes"),
    ("shop", "sensitive_features"): (widening(RESTRICTS), "offers that use such a feature"),
    ("shop", "incentive_budget_usd"): (growing(PERMITS, none=float("inf")), _CHOICE),
    ("shop", "pack"): (_UNSAID, ""),
    ("channels", "not_served"): (_UNSAID, ""),
    ("brand", "values"): (_UNSAID, ""),
    ("explanations", "budget"): (_UNSAID, ""),
    ("explanations", "most_drivers"): (_UNSAID, ""),
    ("explanations", "least_effect"): (_UNSAID, ""),
    ("texts", "otherwise"): (_UNSAID, ""),
    ("brand", "min_words"): (growing(PERMITS), "creatives of few words"),
}


def _awaits(old: Any, new: Any) -> str:
    """A fact that no longer awaits its feed lets rules judge that waited for it."""
    return RESTRICTS if new is None else PERMITS if old is None else NOTHING


def _changes(then: Mapping[str, Node | None], now: Mapping[str, Node | None], policies: tuple[Policy, Policy]) -> list[Change]:
    made = _of_pack(then["pack"] or Node(), now["pack"] or Node(), policies)
    kinds = _kinds(policies)
    for file in (
        "shop",
        "facts",
        "channels",
        "limits",
        "objectives",
        "experiments",
        "owners",
        "silos",
        "brand",
        "explanations",
        "texts",
        "fatf",
        "retention",
        "identity_overrides",
        "kill_switches",
        "review",
    ):
        old, new = then.get(file) or Node(), now.get(file) or Node()
        for name in dict.fromkeys((*old, *new)):
            if name == "schema":
                continue
            kind = kinds[file].get(name)
            if kind is not None:
                part = name if name in (file, "facts") or file in ("shop", "owners") else f"{file} {name}"
                made += _of_rows(part, _rows(name, old.get(name)), _rows(name, new.get(name)), kind)
            elif old.get(name) != new.get(name):
                direction, whom = _ALONE.get((file, name), (constant(EITHER), _EVERYONE))
                made.append(
                    Change(file, name, _became(old.get(name), new.get(name)), direction(old.get(name), new.get(name)), whom)
                )
    return made


def _rows(name: str, given: Any) -> list[dict[str, Any]]:
    """The list or mapping as rows, permissions one by product, quiet hours one by weekday, a mapping one by key."""
    if isinstance(given, dict):
        return [
            {"name": key, **value} if isinstance(value, dict) else {"name": key, "value": value} for key, value in given.items()
        ]
    listed = list(given or ())
    if name == "permissions":
        listed = [
            {**{key: value for key, value in row.items() if key != "products"}, "product": product}
            for row in listed
            for product in row["products"]
        ]
        return _numbered(listed, ("regime", "client_class", "product"), ("from", "to"))
    if name == "quiet_hours":
        listed = [
            {**{key: value for key, value in row.items() if key != "dow"}, "day": day} for row in listed for day in row["dow"]
        ]
        return _numbered(listed, ("regime", "day"), ("open", "close"))
    return listed


def _numbered(listed: list[dict[str, Any]], key: tuple[str, ...], order: tuple[str, ...]) -> list[dict[str, Any]]:
    """With `nth`: empty, or which of several rows of the same key it is."""
    seen: dict[tuple[Any, ...], int] = {}
    for row in sorted(listed, key=lambda row: [row[name] for name in order]):
        place = tuple(row[name] for name in key)
        seen[place] = seen.get(place, 0) + 1
        row["nth"] = "" if seen[place] == 1 else f" ({seen[place]})"
    return listed


def _of_rows(part: str, old: list[Any], new: list[Any], kind: Kind) -> list[Change]:
    then, now = ({kind.key(row): row for row in rows} for rows in (old, new))
    made = []
    for key in dict.fromkeys((*then, *now)):
        if key not in then or key not in now:
            is_added = key in now
            row = now[key] if is_added else then[key]
            said = ", ".join(
                f"{name} {_short(value)}" for name, value in row.items() if name not in kind.silent and value != key
            )
            direction = kind.added if is_added else opposite(kind.added)
            made.append(
                Change(
                    part, key, f"{'added' if is_added else 'removed'}{f': {said}' if said else ''}", direction, kind.whom(row)
                )
            )
            continue
        for name in dict.fromkeys((*then[key], *now[key])):
            before, after = then[key].get(name), now[key].get(name)
            if before != after:
                judge = kind.fields.get(name, constant(EITHER))
                if part == "limits" and name == "value":
                    judge = _LIMITS.get(key, judge)
                what = f"{name} {_became(before, after)}"
                made.append(Change(part, key, what, judge(before, after), kind.whom(now[key])))
    return made


def _of_pack(old: Node, new: Node, policies: tuple[Policy, Policy]) -> list[Change]:
    made = [
        Change("pack", name, _became(old["pack"].get(name), new["pack"].get(name)),
               _PACK_FIELDS.get(name, constant(EITHER))(old["pack"].get(name), new["pack"].get(name)), _EVERYONE)
        for name in dict.fromkeys((*old["pack"], *new["pack"]))
        if old["pack"].get(name) != new["pack"].get(name)
    ]  # fmt: skip
    then, now = ({(row["id"], row["v"]): row for row in node["rules"]} for node in (old, new))
    for key in dict.fromkeys((*then, *now)):
        subject = f"{key[0]} v{key[1]}"
        if key in then and key in now:
            made += _of_rule(subject, then[key], now[key], policies)
            continue
        row, is_added = (now[key], True) if key in now else (then[key], False)
        codes = ", ".join(check["code"] for check in row["checks"]) or "disclosures"
        what = f"{'added' if is_added else 'removed'}: {row['title']}; {row['effect']} {codes}; {row['statement']} Cites {row['source']['cite']}."
        note = _note(key, policies[1] if is_added else policies[0])
        made.append(Change("rules", subject, what, RESTRICTS if is_added else PERMITS, _scope(row), note))
    return made


def _of_rule(subject: str, old: Any, new: Any, policies: tuple[Policy, Policy]) -> list[Change]:
    whom = _scope(new) if _scope(new) == _scope(old) else f"{_scope(old)}; and now {_scope(new)}"
    note = _note((new["id"], new["v"]), policies[1])
    found: list[tuple[str, str]] = []
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name == "checks":
            found += [(f"check {one.subject} {one.what}", one.direction) for one in _of_rows("", before, after, _CHECK)]
        elif name == "obligations_when":
            then, now = (
                [{"name": duty, "if": row["if"]} for row in rows or () for duty in row["add"]] for rows in (before, after)
            )
            found += [(f"disclosure {one.subject} {one.what}", one.direction) for one in _of_rows("", then, now, _DUTY)]
        elif name in ("scope", "source"):
            fields = _SCOPE_FIELDS if name == "scope" else {}
            for key in dict.fromkeys((*before, *after)):
                if before.get(key) != after.get(key):
                    direction = fields[key](before.get(key), after.get(key)) if fields else NOTHING
                    found.append((f"{name} {key} {_became(before.get(key), after.get(key))}", direction))
        else:
            found.append((f"{name} {_became(before, after)}", _RULE_FIELDS.get(name, constant(EITHER))(before, after)))
    return [Change("rules", subject, what, direction, whom, note) for what, direction in found]


def _note(key: tuple[str, int], policy: Policy) -> str:
    """What keeps the rule from judging the daily run, wholly or in part."""
    waits = sorted({fact for rule in policy.waiting if (rule.rule_id, rule.version) == key for fact in rule.waits_for})
    if key[0] in policy.leaves_out:
        return f"the shop leaves it out: {policy.leaves_out[key[0]]}"
    if not waits:
        return ""
    judges = any((rule.rule_id, rule.version) == key for rule in policy.rules)
    return f"{'a part' if judges else 'it'} waits for {', '.join(waits)} and judges cases only"


def _became(old: Any, new: Any) -> str:
    if isinstance(old, list) and isinstance(new, list) and all(isinstance(item, str | int) for item in (*old, *new)):
        gained, lost = [item for item in new if item not in old], [item for item in old if item not in new]
        told = ([f"gains {', '.join(map(str, gained))}"] if gained else []) + (
            [f"loses {', '.join(map(str, lost))}"] if lost else []
        )
        return " and ".join(told) or "is in another order"
    return f"was {_short(old)}, becomes {_short(new)}"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
