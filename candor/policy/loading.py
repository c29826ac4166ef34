"""The policy folder read and checked as a whole: a Policy, or one PolicyError with every problem."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from candor.errors import PolicyError
from candor.policy import grains
from candor.policy.model import Check, Fact, Policy, ProductLine, Rule, Scope
from candor.policy.reading import (
    Node,
    Problems,
    clock,
    instant,
    keys,
    mapping,
    moment,
    nullable,
    number,
    one_of,
    read,
    rows,
    text,
    texts,
    truth,
    whole,
    wholes,
)

FACT = re.compile(r"\b[uomdc]_[a-z0-9_]+\b")
WORD = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]*\b")
# What an expression may use besides facts. A short list on purpose: an expression is a predicate, not a program.
VOCABULARY = frozenset(
    {
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "true",
        "false",
        "between",
        "coalesce",
        "len",
        "list_contains",
        "list_has_any",
        "list_has_all",
    }
)

PACK = {
    "id": text, "version": text, "valid_from": moment, "valid_to": moment, "review_by": text, "owner": text, "approved_by": texts,
    "combine": one_of("deny-overrides"), "on_unknown": one_of("fail-closed"),
}  # fmt: skip
RULE = {
    "id": text, "v": whole, "title": text, "effect": one_of("BLOCK", "HOLD", "DEMOTE"), "vis": one_of("safe", "internal", "restricted"),
    "grain": one_of(*grains.GRAINS), "from": nullable(moment), "to": nullable(moment), "scope": mapping, "when": nullable(text),
    "checks": rows, "obligations": texts, "facts": texts, "statement": text, "source": mapping, "tests": texts,
}  # fmt: skip
SCOPE = {
    "regimes": nullable(texts), "client_class": nullable(texts), "products": nullable(texts), "channels": nullable(texts),
    "promotion_only": truth,
}  # fmt: skip
SOURCE = {
    "regulator": text, "cite": text, "url": text, "seen": text, "effective": text, "confidence": one_of("high", "medium", "low"),
    "verified": one_of("V", "M"), "could_change": text, "text_sha256": text,
}  # fmt: skip
FACT_ENTRY = {
    "type": one_of("string", "bool", "int", "instant", "date", "strings"), "domain": lambda value: None if isinstance(value, list) else "must be a list",
    "max_age_hours": whole, "propagate": one_of("restrictive", "permissive", "counter"), "visibility": one_of("safe", "internal", "restricted"),
    "grain": text, "from": texts, "meaning": text,
}  # fmt: skip
SHOP = {
    "schema": one_of("shop/1"), "shop": text, "pack": text, "product_lines": rows, "regime_map": mapping, "permissions": rows, "quiet_hours": rows,
    "latency_margin_min": whole, "email_optout_regimes": texts, "sensitive_features": texts,
}  # fmt: skip
PROFILES = {"unknown", "conservative", "moderate", "aggressive"}
STAGES = {"prospect", "new", "developing", "experienced", "dormant"}


def _among(allowed: set[str]) -> Any:
    def check(value: Any) -> str | None:
        if complaint := texts(value):
            return complaint
        strange = [item for item in value if item not in allowed]
        return f"knows no {', '.join(strange)} (known: {', '.join(sorted(allowed))})" if strange else None

    return check


PRODUCT_LINE = {
    "product": text, "rank": whole, "min_kyc": one_of(0, 1, 2), "approp": truth, "vol_max": one_of(0, 1, 2), "profiles": _among(PROFILES),
    "stages": _among(STAGES), "outcomes": texts,
}  # fmt: skip
PERMISSION = {
    "regime": text, "client_class": one_of("retail", "professional", "institutional"), "products": texts, "from": moment, "to": moment, "evidence": text,
}  # fmt: skip
QUIET = {"regime": text, "dow": wholes, "open": clock, "close": clock}
CHANNEL = {"channel": text, "rule_channel": text, "slots": whole, "is_push": truth, "has_window": truth}
VALUE = {"name": text, "value": number, "why": text}
EXPERIMENT = {"holdout_share": number, "salt": text}
ROLE = {"role": text, "holder": text, "approves": texts}


def load(folder: Path, shop: str) -> Policy:
    """The policy of `shop` in `folder`. Raises PolicyError listing every problem of every file at once."""
    problems = Problems()
    shop_file = f"shops/{shop}.yml"
    shop_node = read(folder / "shops" / f"{shop}.yml", problems)
    facts_node = read(folder / "facts.yml", problems)
    pack_file = shop_node.get("pack", "pack.yaml") if shop_node else "pack.yaml"
    pack_node = read(folder / str(pack_file), problems)
    others = {
        name: read(folder / f"{name}.yml", problems) for name in ("channels", "limits", "objectives", "experiments", "owners")
    }
    nodes = {"shop": shop_node, "facts": facts_node, "pack": pack_node, **others}

    facts = _facts(facts_node, problems) if facts_node is not None else {}
    lines = _shop(shop_node, shop_file, shop, problems) if shop_node is not None else ()
    channels = _table(others["channels"], "channels", "channel", CHANNEL, problems)
    for node in channels:
        if whole(node.get("slots")) is None and node["slots"] < 1:
            problems.add("channels.yml", node.line, str(node.get("channel")), f"slots must be at least 1, is {node['slots']}")
    limits = _table(others["limits"], "limits", "name", VALUE, problems)
    if others["limits"] is not None:
        for needed in ("offer_validity_hours", "approp_validity_days"):
            if needed not in {node.get("name") for node in limits}:
                problems.add("limits.yml", None, "limits", f"{needed} is missing")
    objectives = _table(others["objectives"], "objectives", "name", VALUE, problems)
    roles = _table(others["owners"], "owners", "role", ROLE, problems, key="roles")
    experiments = _experiments(others["experiments"], problems)
    rule_channels = {str(node.get("rule_channel")) for node in channels}
    pack, rules = (
        _pack(pack_node, str(pack_file), facts, {line.product_line for line in lines}, rule_channels, problems)
        if pack_node is not None
        else (Node(), ())
    )
    if problems.found:
        count = len(problems.found)
        raise PolicyError(
            f"the policy of shop {shop!r} has {count} problem{'s' if count > 1 else ''}:\n" + "\n".join(problems.found),
            hint=f"the files are in {folder}",
        )
    assert shop_node is not None
    return Policy(
        version=_version(nodes),
        shop=shop,
        pack_id=pack["id"],
        pack_version=pack["version"],
        valid_from=instant(pack["valid_from"]),
        valid_to=instant(pack["valid_to"]),
        rules=rules,
        facts=MappingProxyType(facts),
        product_lines=lines,
        regime_map=MappingProxyType(
            {market: (tuple(row["regimes"]), row["permission"]) for market, row in shop_node["regime_map"].items()}
        ),
        permissions=tuple(
            (row["regime"], row["client_class"], tuple(row["products"]), instant(row["from"]), instant(row["to"]))
            for row in shop_node["permissions"]
        ),
        quiet_hours=tuple((row["regime"], tuple(row["dow"]), row["open"], row["close"]) for row in shop_node["quiet_hours"]),
        latency_margin_min=shop_node["latency_margin_min"],
        email_optout_regimes=tuple(shop_node["email_optout_regimes"]),
        sensitive_features=tuple(shop_node["sensitive_features"]),
        channels=tuple(
            (row["channel"], row["rule_channel"], row["slots"], row["is_push"], row["has_window"]) for row in channels
        ),
        limits=MappingProxyType({row["name"]: (float(row["value"]), row["why"]) for row in limits}),
        objectives=MappingProxyType({row["name"]: (float(row["value"]), row["why"]) for row in objectives}),
        holdout_share=float(experiments["holdout_share"]),
        salt=experiments["salt"],
        roles=tuple((row["role"], row["holder"], tuple(row["approves"])) for row in roles),
    )


def _version(nodes: dict[str, Node | None]) -> str:
    """First 16 hex of the hash of what the files say: comments, order of keys and layout do not count."""
    canonical = json.dumps(nodes, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _schema(node: Node, file: str, expected: str, extra: set[str], problems: Problems) -> None:
    if node.get("schema") != expected:
        problems.add(file, node.lines.get("schema", 1), "schema", f"must be {expected}, is {node.get('schema')!r}")
    for key in node:
        if key not in {"schema"} | extra:
            problems.add(file, node.lines[key], "", f"unknown key {key!r} (known: schema, {', '.join(sorted(extra))})")


def _table(
    node: Node | None, name: str, id_key: str, spec: dict[str, Any], problems: Problems, key: str | None = None
) -> list[Node]:
    if node is None:
        return []
    file, key = f"{name}.yml", key or name
    _schema(node, file, f"{name}/1", {key}, problems)
    listed = node.get(key)
    if complaint := rows(listed):
        problems.add(file, node.lines.get(key), key, complaint)
        return []
    seen: dict[str, int] = {}
    for row in listed:
        where = str(row.get(id_key, "?"))
        keys(row, spec, file=file, where=where, problems=problems)
        if where in seen:
            problems.add(file, row.line, where, f"is there twice (first in line {seen[where]})")
        seen.setdefault(where, row.line)
    return listed


def _experiments(node: Node | None, problems: Problems) -> Node:
    if node is None:
        return Node()
    _schema(node, "experiments.yml", "experiments/1", {"experiments"}, problems)
    made = node.get("experiments")
    if not isinstance(made, Node):
        problems.add("experiments.yml", None, "experiments", "must be a mapping")
        return Node()
    if (
        keys(made, EXPERIMENT, file="experiments.yml", where="experiments", problems=problems)
        and not 0 <= made["holdout_share"] < 1
    ):
        problems.add(
            "experiments.yml",
            made.lines["holdout_share"],
            "holdout_share",
            f"must be from 0 to below 1, is {made['holdout_share']}",
        )
    return made


def _facts(node: Node, problems: Problems) -> dict[str, Fact]:
    _schema(node, "facts.yml", "fact-dictionary/1", {"terms", "facts"}, problems)
    declared = node.get("facts")
    if not isinstance(declared, Node):
        problems.add("facts.yml", None, "facts", "must be a mapping of facts")
        return {}
    made: dict[str, Fact] = {}
    for name, entry in declared.items():
        if not FACT.fullmatch(name):
            problems.add("facts.yml", declared.lines[name], name, "a fact's name starts with u_, o_, m_, d_ or c_")
        if not isinstance(entry, Node):
            problems.add("facts.yml", declared.lines[name], name, "must be a mapping")
            continue
        optional = {"domain", "max_age_hours", "propagate", "grain", "from"}
        if keys(entry, FACT_ENTRY, file="facts.yml", where=name, problems=problems, optional=optional):
            domain = tuple(entry["domain"]) if "domain" in entry else None
            sources = tuple(entry.get("from", ()))
            made[name] = Fact(name, entry["type"], entry.get("max_age_hours"), entry["visibility"], domain, sources)
    return made


def _shop(node: Node, file: str, shop: str, problems: Problems) -> tuple[ProductLine, ...]:
    if not keys(node, SHOP, file=file, where="", problems=problems):
        return ()
    if node["shop"] != shop:
        problems.add(file, node.lines["shop"], "shop", f"must be {shop!r}, as the file is called, is {node['shop']!r}")
    lines: dict[str, ProductLine] = {}
    for row in node["product_lines"]:
        where = f"product line {row.get('product', '?')}"
        if not keys(row, PRODUCT_LINE, file=file, where=where, problems=problems):
            continue
        if row["product"] in lines:
            problems.add(file, row.line, where, "is there twice")
        lines[row["product"]] = ProductLine(
            row["product"], row["rank"], row["min_kyc"], row["approp"], row["vol_max"],
            tuple(row["profiles"]), tuple(row["stages"]), tuple(row["outcomes"]),
        )  # fmt: skip
        if not row["outcomes"]:
            problems.add(file, row.line, where, "needs at least one outcome")
    regimes: set[str] = set()
    for market, row in node["regime_map"].items():
        where = f"market {market}"
        if not isinstance(row, Node):
            problems.add(file, node["regime_map"].lines[market], where, "must be a mapping")
        elif keys(row, {"regimes": texts, "permission": text}, file=file, where=where, problems=problems):
            regimes |= set(row["regimes"]) | {row["permission"]}
            if not row["regimes"] or row["permission"] not in row["regimes"]:
                problems.add(file, row.line, where, f"its permission regime {row['permission']!r} must be one of its regimes")
    for number_, row in enumerate(node["permissions"], start=1):
        where = f"permission {number_} ({row.get('regime', '?')})"
        if not keys(row, PERMISSION, file=file, where=where, problems=problems, optional={"evidence"}):
            continue
        if row["regime"] not in regimes:
            problems.add(file, row.line, where, f"no market has the regime {row['regime']!r}")
        for product in row["products"]:
            if product not in lines:
                problems.add(file, row.line, where, f"product line {product!r} is not in the matrix")
        if instant(row["from"]) >= instant(row["to"]):
            problems.add(file, row.line, where, f"from {row['from']!r} must be before to {row['to']!r}")
    for number_, row in enumerate(node["quiet_hours"], start=1):
        where = f"quiet hours {number_} ({row.get('regime', '?')})"
        if not keys(row, QUIET, file=file, where=where, problems=problems):
            continue
        if any(day not in range(1, 8) for day in row["dow"]):
            problems.add(file, row.line, where, f"dow holds ISO weekdays 1 to 7, is {row['dow']}")
        if row["regime"] != "*" and row["regime"] not in regimes:
            problems.add(file, row.line, where, f"no market has the regime {row['regime']!r}")
        if row["open"] >= row["close"]:
            problems.add(file, row.line, where, f"open {row['open']!r} must be before close {row['close']!r}")
    return tuple(lines.values())


def _pack(
    node: Node, file: str, facts: dict[str, Fact], product_lines: set[str], rule_channels: set[str], problems: Problems
) -> tuple[Node, tuple[Rule, ...]]:
    _schema(node, file, "offer-rulepack/1", {"pack", "rules"}, problems)
    pack = node.get("pack")
    if not isinstance(pack, Node):
        problems.add(file, None, "pack", "must be a mapping")
        pack = Node()
    elif keys(pack, PACK, file=file, where="pack", problems=problems):
        if instant(pack["valid_from"]) >= instant(pack["valid_to"]):
            problems.add(file, pack.lines["valid_to"], "pack", "valid_to must be later than valid_from")
        if len(set(pack["approved_by"])) < 2:
            problems.add(file, pack.lines["approved_by"], "pack", "approved_by must name two different people or roles")
    listed = node.get("rules")
    if rows(listed) is not None:
        problems.add(file, node.lines.get("rules"), "rules", "must be a list of rules")
        return pack, ()
    dictionary = frozenset(facts)
    made: list[Rule] = []
    places: dict[int, Node] = {}
    for row in listed:
        where = f"rule {row.get('id', '?')} v{row.get('v', '?')}"
        rule = _rule(row, file, where, dictionary, product_lines, rule_channels, problems)
        if rule is not None:
            places[len(made)] = row
            made.append(rule)
    _clashes(made, places, file, problems)
    return pack, tuple(made)


def _rule(
    row: Node,
    file: str,
    where: str,
    dictionary: frozenset[str],
    product_lines: set[str],
    rule_channels: set[str],
    problems: Problems,
) -> Rule | None:
    sound = keys(row, RULE, file=file, where=where, problems=problems)
    if isinstance(row.get("scope"), Node):
        sound &= keys(row["scope"], SCOPE, file=file, where=f"{where} scope", problems=problems)
    if isinstance(row.get("source"), Node):
        sound &= keys(
            row["source"],
            SOURCE,
            file=file,
            where=f"{where} source",
            problems=problems,
            optional={"url", "seen", "text_sha256"},
        )
    if rows(row.get("checks")) is None:
        spec = {"code": text, "require": text, "penalty": whole}
        for check in row["checks"]:
            sound &= keys(check, spec, file=file, where=f"{where} check", problems=problems, optional={"penalty"})
            if isinstance(check.get("code"), str) and not re.fullmatch(r"[A-Z][A-Z0-9_]*", check["code"]):
                problems.add(
                    file, check.lines["code"], where, f"a code is capitals, digits and underscores, is {check['code']!r}"
                )
            if ("penalty" in check) != (row.get("effect") == "DEMOTE"):
                problems.add(file, check.line, where, "a penalty goes with effect DEMOTE, and only with that")
    if not sound:
        return None
    used: set[str] = set()
    expressions = [(row.lines["when"], row["when"])] if row["when"] is not None else []
    expressions += [(check.lines["require"], check["require"]) for check in row["checks"]]
    for line, expression in expressions:
        used |= _read_facts(expression, row["grain"], dictionary, file, line, where, problems)
    for fact in sorted(used - set(row["facts"])):
        problems.add(file, row.lines["facts"], where, f"reads {fact}, which its `facts` do not declare")
    for fact in sorted(set(row["facts"]) - used):
        problems.add(file, row.lines["facts"], where, f"declares {fact}, which no expression reads")
    scope = row["scope"]
    scope_line = scope.line
    for key, fact in (
        ("regimes", "u_regimes"),
        ("client_class", "u_client_class"),
        ("products", "m_product"),
        ("channels", "c_channel"),
    ):
        if scope[key] is not None and not grains.known_at(row["grain"], fact, dictionary | {fact}):
            problems.add(file, scope_line, where, f"its scope reads {fact}, which is not known at grain {row['grain']}")
    for product in scope["products"] or []:
        if product not in product_lines:
            problems.add(file, scope_line, where, f"product line {product!r} is not in the matrix")
    for channel in scope["channels"] or []:
        if channel not in rule_channels:
            problems.add(file, scope_line, where, f"no channel is called {channel!r} by the rules")
    if not row["checks"] and not row["obligations"]:
        problems.add(file, row.line, where, "has neither checks nor obligations, so it could never speak")
    if row["obligations"] and row["grain"] not in ("offer", "offer_x_regime"):
        problems.add(file, row.lines["obligations"], where, "obligations need the creative: grain offer or offer_x_regime")
    starts_at = None if row["from"] is None else instant(row["from"])
    ends_at = None if row["to"] is None else instant(row["to"])
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        problems.add(file, row.lines["to"], where, f"to {row['to']!r} must be later than from {row['from']!r}")

    def several(value: list[str] | None) -> tuple[str, ...] | None:
        return None if value is None else tuple(value)

    return Rule(
        rule_id=row["id"],
        version=row["v"],
        title=row["title"],
        effect=row["effect"],
        visibility=row["vis"],
        grain=row["grain"],
        starts_at=starts_at,
        ends_at=ends_at,
        scope=Scope(
            several(scope["regimes"]),
            several(scope["client_class"]),
            several(scope["products"]),
            several(scope["channels"]),
            scope["promotion_only"],
        ),  # fmt: skip
        when=row["when"],
        checks=tuple(Check(check["code"], check["require"], check.get("penalty", 0)) for check in row["checks"]),
        obligations=tuple(row["obligations"]),
        statement=row["statement"],
        cite=row["source"]["cite"],
    )


def _read_facts(
    expression: str, grain: str, dictionary: frozenset[str], file: str, line: int, where: str, problems: Problems
) -> set[str]:
    """The facts an expression reads; undeclared ones, other words, and facts not known at the grain are problems."""
    bare = re.sub(r"'(?:[^']|'')*'", "''", expression)
    if any(mark in bare for mark in (";", "--", "/*", '"', "{", "$")):
        problems.add(file, line, where, f'an expression is one predicate, without ; -- /* " {{ or $: {expression!r}')
    used = set(FACT.findall(bare))
    for fact in sorted(used):
        if fact not in dictionary | grains.BUILT_IN:
            problems.add(file, line, where, f"reads the undeclared fact {fact}")
        elif not grains.known_at(grain, fact, dictionary):
            problems.add(file, line, where, f"reads {fact}, which is not known at grain {grain}")
    for word in sorted({found for found in WORD.findall(bare) if found not in used and found.lower() not in VOCABULARY}):
        problems.add(file, line, where, f"{word!r} is neither a fact nor a word an expression may use")
    return used


def _clashes(rules: list[Rule], places: dict[int, Node], file: str, problems: Problems) -> None:
    """Codes of two rules, versions doubled or overlapping."""
    owner: dict[str, str] = {}
    for index, rule in enumerate(rules):
        for check in rule.checks:
            if owner.setdefault(check.code, rule.rule_id) != rule.rule_id:
                problems.add(
                    file,
                    places[index].line,
                    f"rule {rule.rule_id}",
                    f"code {check.code} already belongs to {owner[check.code]}",
                )
        codes = [check.code for check in rule.checks]
        for code in sorted({code for code in codes if codes.count(code) > 1}):
            problems.add(file, places[index].line, f"rule {rule.rule_id}", f"code {code} is there twice")
        for earlier in rules[:index]:
            if earlier.rule_id != rule.rule_id:
                continue
            where = f"rule {rule.rule_id}"
            if earlier.version == rule.version:
                problems.add(file, places[index].line, where, f"version {rule.version} is there twice")
            if (earlier.starts_at or datetime.min) < (rule.ends_at or datetime.max) and (rule.starts_at or datetime.min) < (
                earlier.ends_at or datetime.max
            ):
                problems.add(file, places[index].line, where, f"versions {earlier.version} and {rule.version} overlap in time")
