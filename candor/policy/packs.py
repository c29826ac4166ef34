"""The rule pack: each rule checked by itself, then against the others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from candor.policy import grains, specs
from candor.policy.model import Check, Fact, Obligation, Rule, Scope
from candor.policy.reading import Node, Problems, instant, keys, rows, schema

FACT_NAME = re.compile(r"\b[uomdc]_[a-z0-9_]+\b")
WORD = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]*\b")
# What an expression may use besides facts. A short list on purpose: an expression is a predicate, not a program.
VOCABULARY = frozenset(
    "and or not in is null true false between coalesce len list_contains list_has_any list_has_all interval hour year".split()  # noqa: SIM905
)
# Ends of an open interval, later and earlier than any law.
ALWAYS = (datetime(1, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001  # naive UTC, as in the whole warehouse


def read_pack(
    node: Node,
    file: str,
    facts: dict[str, Fact],
    product_lines: set[str],
    rule_channels: set[str],
    leaves_out: Collection[str],
    problems: Problems,
) -> tuple[Node, tuple[Rule, ...]]:
    """The pack's own mapping and its sound rules without those left out, which must be sound as well; every problem noted."""
    schema(node, file, "offer-rulepack/1", {"pack", "rules"}, problems)
    pack = node.get("pack")
    if not isinstance(pack, Node):
        problems.add(file, None, "pack", "must be a mapping")
        pack = Node()
    elif keys(pack, specs.PACK, file=file, where="pack", problems=problems):
        if instant(pack["judges_from"]) > instant(pack["valid_from"]) or instant(pack["judges_to"]) < instant(pack["valid_to"]):
            problems.add(
                file, pack.lines["judges_from"], "pack", "judges_from to judges_to must contain valid_from to valid_to"
            )
        if instant(pack["valid_from"]) >= instant(pack["valid_to"]):
            problems.add(file, pack.lines["valid_to"], "pack", "valid_to must be later than valid_from")
        if len(set(pack["approved_by"])) < 2:
            problems.add(file, pack.lines["approved_by"], "pack", "approved_by must name two different people or roles")
    listed: Any = node.get("rules")
    if rows(listed) is not None:
        problems.add(file, node.lines.get("rules"), "rules", "must be a list of rules")
        return pack, ()
    dictionary = frozenset(facts)
    made: list[Rule] = []
    places: dict[int, Node] = {}
    for row in listed:
        where = f"rule {row.get('id', '?')} v{row.get('v', '?')}"
        is_left_out = row.get("id") in leaves_out
        rule = _rule(row, file, where, dictionary, None if is_left_out else product_lines, rule_channels, problems)
        if rule is not None:
            places[len(made)] = row
            made.append(rule)
    _clashes(made, places, file, problems)
    return pack, tuple(rule for rule in made if rule.rule_id not in leaves_out)


def _rule(
    row: Node,
    file: str,
    where: str,
    dictionary: frozenset[str],
    product_lines: set[str] | None,
    rule_channels: set[str],
    problems: Problems,
) -> Rule | None:
    """The rule, or None with its problems noted. Without `product_lines` it may name any: nobody here will apply it."""
    sound = keys(row, specs.RULE, file=file, where=where, problems=problems, optional=specs.RULE_OPTIONAL)
    if isinstance(row.get("scope"), Node):
        sound &= keys(row["scope"], specs.SCOPE, file=file, where=f"{where} scope", problems=problems)
    if isinstance(row.get("source"), Node):
        sound &= keys(
            row["source"],
            specs.SOURCE,
            file=file,
            where=f"{where} source",
            problems=problems,
            optional=specs.SOURCE_OPTIONAL,
        )
    if rows(row.get("checks")) is None:
        for check in row["checks"]:
            sound &= keys(
                check, specs.CHECK, file=file, where=f"{where} check", problems=problems, optional={"penalty", "grain"}
            )
            if isinstance(check.get("code"), str) and not re.fullmatch(r"[A-Z][A-Z0-9_]*", check["code"]):
                problems.add(
                    file, check.lines["code"], where, f"a code is capitals, digits and underscores, is {check['code']!r}"
                )
            if ("penalty" in check) != (row.get("effect") == "DEMOTE"):
                problems.add(file, check.line, where, "a penalty goes with effect DEMOTE, and only with that")
    for added in row.get("obligations_when", []) if rows(row.get("obligations_when")) is None else []:
        sound &= keys(added, specs.OBLIGATION, file=file, where=f"{where} obligations_when", problems=problems)
    if not sound:
        return None
    conditional = row.get("obligations_when", [])
    other_grains = {check["grain"] for check in row["checks"] if "grain" in check}
    used: set[str] = set()
    expressions = [
        (row.lines["when"], row["when"], grain) for grain in {row["grain"], *other_grains} if row["when"] is not None
    ]
    expressions += [(check.lines["require"], check["require"], check.get("grain", row["grain"])) for check in row["checks"]]
    expressions += [(added.lines["if"], added["if"], row["grain"]) for added in conditional]
    for line, expression, grain in expressions:
        used |= _read_facts(expression, grain, dictionary, file, line, where, problems)
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
        for grain in sorted({row["grain"], *other_grains}):
            if scope[key] is not None and not grains.known_at(grain, fact, dictionary | {fact}):
                problems.add(file, scope_line, where, f"its scope reads {fact}, which is not known at grain {grain}")
    for product in scope["products"] or []:
        if product_lines is not None and product not in product_lines:
            problems.add(file, scope_line, where, f"product line {product!r} is not in the matrix")
    for channel in scope["channels"] or []:
        if channel not in rule_channels:
            problems.add(file, scope_line, where, f"no channel is called {channel!r} by the rules")
    if not row["checks"] and not row["obligations"] and not conditional:
        problems.add(file, row.line, where, "has neither checks nor obligations, so it could never speak")
    if row["vis"] == "restricted" and row["grain"] not in ("user", "user_x_product"):
        problems.add(file, row.lines["vis"], where, "restricted rules are about people: grain user or user_x_product")
    if (row["obligations"] or conditional) and row["grain"] not in ("offer", "offer_x_regime"):
        problems.add(file, row.lines["obligations"], where, "obligations need the creative: grain offer or offer_x_regime")
    starts_at = None if row["from"] is None else instant(row["from"])
    ends_at = None if row["to"] is None else instant(row["to"])
    if starts_at is not None and ends_at is not None and starts_at >= ends_at:
        problems.add(file, row.lines["to"], where, f"to {row['to']!r} must be later than from {row['from']!r}")

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
            **{
                key: None if scope[key] is None else tuple(scope[key])
                for key in ("regimes", "client_class", "products", "channels")
            },
            promotion_only=scope["promotion_only"],
        ),
        when=row["when"],
        checks=tuple(
            Check(check["code"], check["require"], check.get("penalty", 0), check.get("grain")) for check in row["checks"]
        ),
        obligations=(
            *(Obligation(name) for name in row["obligations"]),
            *(
                Obligation(name, None if added["if"] == "true" else added["if"])
                for added in conditional
                for name in added["add"]
            ),
        ),
        statement=row["statement"],
        cite=row["source"]["cite"],
    )


def in_parts(rules: Iterable[Rule], facts: Mapping[str, Fact]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """The rules by where and whether they can be decided: what judges the daily run, and what waits for a fact.

    A check or an obligation waits when it, or its rule's `when`, reads a fact that `awaits` its feed. A rule of which one check waits is
    in both, each with its own part; so is a check with a grain of its own.
    """
    daily: list[Rule] = []
    waiting: list[Rule] = []
    for rule in rules:
        parts: dict[tuple[str, tuple[str, ...]], tuple[list[Check], list[Obligation]]] = {}
        for check in rule.checks:
            key = (check.grain or rule.grain, _awaited(facts, rule.when, check.require))
            parts.setdefault(key, ([], []))[0].append(replace(check, grain=None))
        for obligation in rule.obligations:
            key = (rule.grain, _awaited(facts, rule.when, obligation.condition))
            parts.setdefault(key, ([], []))[1].append(obligation)
        for (grain, waits_for), (checks, obligations) in parts.items():
            part = replace(rule, grain=grain, checks=tuple(checks), obligations=tuple(obligations), waits_for=waits_for)
            (waiting if waits_for else daily).append(part)
    return tuple(daily), tuple(waiting)


def facts_read(rule: Rule) -> frozenset[str]:
    """The facts that the rule's own expressions read, without those of its scope."""
    return _facts_in(rule.when, *(check.require for check in rule.checks), *(duty.condition for duty in rule.obligations))


def _facts_in(*expressions: str | None) -> frozenset[str]:
    bare = " ".join(re.sub(r"'(?:[^']|'')*'", "''", text) for text in expressions if text is not None)
    return frozenset(FACT_NAME.findall(bare))


def _awaited(facts: Mapping[str, Fact], *expressions: str | None) -> tuple[str, ...]:
    """The facts that `expressions` read and that the daily run does not know yet."""
    return tuple(sorted(name for name in _facts_in(*expressions) if name in facts and facts[name].awaits is not None))


def _read_facts(
    expression: str, grain: str, dictionary: frozenset[str], file: str, line: int, where: str, problems: Problems
) -> set[str]:
    """The facts an expression reads; undeclared ones, other words, and facts not known at the grain are problems."""
    bare = re.sub(r"'(?:[^']|'')*'", "''", expression)
    if any(mark in bare for mark in (";", "--", "/*", '"', "{", "$")):
        problems.add(file, line, where, f'an expression is one predicate, without ; -- /* " {{ or $: {expression!r}')
    used = set(FACT_NAME.findall(bare))
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
            first, last = ALWAYS
            begins_before = (earlier.starts_at or first) < (rule.ends_at or last)
            if begins_before and (rule.starts_at or first) < (earlier.ends_at or last):
                problems.add(file, places[index].line, where, f"versions {earlier.version} and {rule.version} overlap in time")
