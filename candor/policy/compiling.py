"""Rules as set-wise SQL: one compile path from a check to one SELECT, whatever the grain.

Three-valued on purpose. Unknown applicability applies; an unknown requirement is not met; a code that rests on something
unknown ends in _UNKNOWN, so that repair work can be told from a refusal. Nothing here can permit: a SELECT only gives reasons against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from candor.errors import PolicyError
from candor.policy.grains import ALL_GRAINS, KEYS, PATTERN_KEYS, PATTERNED, PRODUCT_FACTS, known_at
from candor.policy.model import Check, Policy, Rule, Scope

# What the engine itself blocks, through the same path as the pack.
_EVERYTHING = Scope(promotion_only=False)
_PROMOTIONS = Scope(promotion_only=True)
# Facts that are lists of texts.
LISTED = frozenset(
    {"u_regimes", "u_perm_regimes", "u_tzs", "o_pressure", "o_disclosures", "o_features", "m_profiles", "m_stages"}
)


def _engine_rule(
    rule_id: str,
    title: str,
    grain: str,
    code: str,
    require: str,
    statement: str,
    effect: str = "BLOCK",
    visibility: str = "internal",
    scope: Scope = _EVERYTHING,
    is_releasable: bool = False,  # a late silo is no reviewer's to release
) -> Rule:
    return Rule(
        rule_id=rule_id,
        version=1,
        title=title,
        effect=effect,
        visibility=visibility,
        grain=grain,
        starts_at=None,
        ends_at=None,
        scope=scope,
        when=None,
        checks=(Check(code, require),),
        obligations=(),
        statement=statement,
        cite="engine",
        is_releasable=is_releasable,
    )


def engine_rules(policy: Policy) -> tuple[Rule, ...]:
    """The blocks that no pack can leave out: dates of pack and offer, products nobody knows, accounts made for testing."""
    in_force = f"c_as_of >= {literal(policy.valid_from)} and c_as_of < {literal(policy.valid_to)}"
    ends = "An offer ends at its instant, or at its wall-clock end where that comes first in one of the person's zones."
    return tuple(
        _engine_rule(*row)
        for row in (
            (
                "ENG-PACK",
                "Pack in force",
                "offer",
                "PACK_OUT_OF_DATE",
                in_force,
                "Outside the pack's dates nothing is offered.",
            ),
            (
                "ENG-PRODUCT",
                "Known product",
                "offer",
                "ENG_UNKNOWN_PRODUCT",
                "m_product is not null",
                "No matrix row, no offer.",
            ),
            ("ENG-START", "Offer has started", "offer", "OFFER_NOT_STARTED", "c_as_of >= o_starts_at", "Not before it starts."),
            ("ENG-END", "Offer has not ended", "offer_x_regime", "OFFER_EXPIRED", "c_as_of < o_ends_at", ends),
            (
                "ENG-SILO-LATE",
                "What the offer needs arrived in time",
                "offer",
                "DQ_SILO_LATE",
                "o_silos_in_time",
                "A source that the offer rests on delivers late (policy/silos.yml): held until it arrives.",
                "HOLD",
            ),
            (
                "ENG-SILO-MISSING",
                "What the offer needs was ever delivered",
                "offer",
                "DQ_SILO_MISSING",
                "o_silos_delivered",
                "A source that the offer rests on has never delivered (policy/silos.yml): held until it does.",
                "HOLD",
            ),
            (
                "ENG-REVIEW",
                "Of high risk only after a person has looked at it",
                "offer",
                "REV_NOT_REVIEWED",
                f"m_rank < {policy.reviewing.rank} or o_reviewed",
                "A new offer or creative of a product line of high risk is withheld until somebody has reviewed it (policy/review.yml).",
                "HOLD",
                "internal",
                _PROMOTIONS,
                True,
            ),
            (
                "ENG-CHAT",
                "No refusal of marketing by chat",
                "user_x_channel",
                "ENG_CHAT_REFUSED",
                "c_channel <> 'chatbot' or not u_refuses_chat",
                "PRV-001 asks no consent for the chatbot, but whoever refused marketing by chat is shown nothing there.",
                "BLOCK",
                "safe",
            ),
            (
                "ENG-TEST",
                "A real person",
                "user",
                "ENG_TEST_PERSON",
                "not u_is_test",
                "Accounts made for testing get no offers.",
            ),
            (
                "ENG-WITHHOLD",
                "Not drawn to get no promotions this quarter",
                "user",
                "ENG_STANDING_WITHHOLD",
                "not u_is_withheld",
                "Some people, drawn anew each quarter, get no promotions for no reason, so that getting none says nothing.",
                "BLOCK",
                "restricted",
                _PROMOTIONS,
            ),
        )
    )


def literal(value: datetime) -> str:
    return f"timestamp '{value:%Y-%m-%d %H:%M:%S}'"


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(values: Iterable[str]) -> str:
    return ", ".join(quoted(value) for value in values)


def conditions(rule: Rule) -> list[str]:
    """The parts of the rule's applicability that may be unknown, each a SQL predicate."""
    scope, parts = rule.scope, []
    if scope.regimes is not None:
        parts.append(f"list_has_any(u_regimes, [{_list(scope.regimes)}])")
    if scope.client_class is not None:
        parts.append(f"u_client_class in ({_list(scope.client_class)})")
    if scope.products is not None:
        parts.append(f"m_product in ({_list(scope.products)})")
    if scope.channels is not None:
        parts.append(f"c_channel in ({_list(scope.channels)})")
    if scope.promotion_only:
        parts.append("o_is_promotion")
    if rule.when is not None:
        parts.append(rule.when)
    return parts


def reads_promotion(rule: Rule) -> bool:
    """Whether the rule can tell promotions from other messages; if not, its hits speak against both."""
    return rule.scope.promotion_only or any(
        "o_is_promotion" in text for text in [rule.when or "", *(check.require for check in rule.checks)]
    )


def applies(rule: Rule) -> list[str]:
    """The predicates under which the rule applies: what is unknown applies, and its dates are half-open."""
    where = [f"coalesce(({part}), true)" for part in conditions(rule)]
    if rule.starts_at is not None:
        where.append(f"c_as_of >= {literal(rule.starts_at)}")
    if rule.ends_at is not None:
        where.append(f"c_as_of < {literal(rule.ends_at)}")
    return where


def select(
    rule: Rule, check: Check, *, relation: str, keyed_by: Iterable[str], suffixed: bool = True, only_if: str | None = None
) -> str:
    """One check as one SELECT over `relation`, which holds the facts of the rule's grain. `only_if`: a condition of this check alone."""
    keys = []
    for key in keyed_by:
        if key == "is_promotion":
            keys.append("o_is_promotion as is_promotion" if reads_promotion(rule) else "cast(null as boolean) as is_promotion")
        else:
            keys.append(key)
    code = quoted(check.code)
    if suffixed:
        unknown = " or ".join(f"({part}) is null" for part in [check.require, *conditions(rule)])
        code = f"{code} || case when {unknown} then '_UNKNOWN' else '' end"
    where = applies(rule)
    if only_if is not None:
        where.append(f"coalesce(({only_if}), true)")
    where.append(f"not coalesce(({check.require}), false)")
    return (
        f"select {', '.join(keys)}, {quoted(rule.rule_id)} as rule_id, {rule.version} as v, {quoted(rule.effect)} as effect, "
        f"{quoted(rule.visibility)} as visibility, {code} as code, {check.penalty_bp} as penalty_bp, {_facts_text(rule, check)} as facts\n"
        f"from {relation}\nwhere " + "\n    and ".join(where)
    )


def _facts_text(rule: Rule, check: Check) -> str:
    """SQL: every fact that a hold rests on, as one text (`name=value`, in the order of names); null where a release could not lift it.

    A release is bound to the hash of this text. Nobody releases what is not known, so a fact that is null makes the text null.
    """
    if rule.effect != "HOLD" or not rule.is_releasable:
        return "cast(null as varchar)"
    from candor.policy.packs import facts_read

    unknown = " or ".join(f"({part}) is null" for part in [check.require, *conditions(rule)])
    told = [
        f"'{name}=' || coalesce(array_to_string(list_sort(cast({name} as varchar[])), ','), '?')"
        if name in LISTED
        else f"'{name}=' || coalesce(cast({name} as varchar), '?')"
        for name in sorted(facts_read(rule) - {"c_as_of"})
    ]
    return f"case when not ({unknown}) then concat_ws(';', {', '.join(told)}) end"


def selects(rule: Rule, *, relation: str | None = None, keyed_by: Iterable[str] | None = None) -> list[str]:
    """All SELECTs of a rule: its checks, then its obligations, which the creative must already carry.

    `relation` and `keyed_by` are by default those of the rule's grain.
    """
    relation, keyed_by = relation or _relation(rule), tuple(keyed_by or KEYS[rule.grain])
    made = [select(rule, check, relation=relation, keyed_by=keyed_by) for check in rule.checks]
    # What a creative lacks is nobody's business but the firm's, whatever the rule's own reasons are.
    blocking = replace(rule, effect="BLOCK", visibility="internal" if rule.visibility == "safe" else rule.visibility)
    for obligation in rule.obligations:
        carried = Check(
            f"DISC_MISSING_{obligation.name}", f"coalesce(list_contains(o_disclosures, {quoted(obligation.name)}), false)"
        )
        made.append(
            select(blocking, carried, relation=relation, keyed_by=keyed_by, suffixed=False, only_if=obligation.condition)
        )
    return made


def _relation(rule: Rule) -> str:
    promoted = "is_promotion" in KEYS[rule.grain] and reads_promotion(rule)
    return f"eval_{rule.grain}{'_by_promotion' if promoted else ''}"


def obligations_sql(policy: Policy, key: str) -> str:
    """One row per obligation of a rule that applies, whether the creative carries it or not: `key`, obligation."""
    made = [f"select cast(null as bigint) as {key}, cast(null as varchar) as obligation where false"]
    for rule in sorted(policy.rules, key=lambda rule: (rule.rule_id, rule.version, rule.grain)):
        for obligation in rule.obligations:
            where = applies(rule) + ([f"coalesce(({obligation.condition}), true)"] if obligation.condition else [])
            made.append(
                f"select {key}, {quoted(obligation.name)} as obligation\nfrom {_relation(rule)}\nwhere "
                + "\n    and ".join(where)
            )
    return "\n\nunion all\n\n".join(made)


def grain_sql(policy: Policy, grain: str) -> str:
    """The hits of `grain`: every check of every rule of that grain, none short-circuited, in one UNION ALL."""
    made = [text for rule in rules_of(policy, grain) for text in selects(rule)]
    return _union(KEYS[grain], made)


def daily_sql(policy: Policy, grain: str) -> str:
    """The hits of `grain` as the eligibility models find them.

    As `grain_sql`, but at a grain of PATTERNED each rule looks at its own rows of eval_<grain> (`rule_no`), which hold one row per
    combination of the facts it reads (`rule_facts`) instead of one per person.
    """
    if grain not in PATTERNED:
        return grain_sql(policy, grain)
    made = []
    for number, rule in enumerate(rules_of(policy, grain), start=1):
        made += selects(rule, relation=f"(from eval_{grain} where rule_no = {number})", keyed_by=PATTERN_KEYS)
    return _union(PATTERN_KEYS, made)


def rule_facts(policy: Policy, grain: str) -> list[dict[str, Any]]:
    """What each rule of a grain of PATTERNED needs to know of a person, in the order of `rule_no`.

    [{rule_no, rule_id, v, facts: of person_facts, in the order of names, reads_tests: whether it asks for appropriateness tests,
    is_liftable: whether a reviewer can lift its hold}].
    """
    made = []
    for number, rule in enumerate(rules_of(policy, grain), start=1):
        read = read_by(rule)
        made.append(
            {
                "rule_no": number,
                "rule_id": rule.rule_id,
                "v": rule.version,
                "facts": sorted(
                    fact for fact in read if fact[:2] != "o_" and fact != "c_as_of" and known_at("user", fact, frozenset(read))
                ),
                "reads_tests": not read.isdisjoint(PRODUCT_FACTS),
                "is_liftable": rule.effect == "HOLD" and rule.is_releasable,
            }
        )
    return made


def read_by(rule: Rule) -> set[str]:
    """The facts that the rule's conditions and checks read."""
    from candor.policy.packs import FACT_NAME

    texts = [*conditions(rule), *(check.require for check in rule.checks)]
    texts += [duty.condition for duty in rule.obligations if duty.condition is not None]
    texts += ["o_disclosures"] if rule.obligations else []
    bare = " ".join(re.sub(r"'(?:[^']|'')*'", "''", text) for text in texts)
    return set(FACT_NAME.findall(bare))


def rules_of(policy: Policy, grain: str) -> list[Rule]:
    """The rules that are decided at `grain`, those of the engine included, in the order of ids and versions."""
    if grain not in ALL_GRAINS:
        raise PolicyError(f"no grain is called {grain!r}", hint=f"grains: {', '.join(ALL_GRAINS)}")
    rules = sorted((*engine_rules(policy), *policy.rules), key=lambda rule: (rule.rule_id, rule.version))
    return [rule for rule in rules if rule.grain == grain]


def _union(keys: Mapping[str, str], made: list[str]) -> str:
    # A first branch without rows fixes names and types, also for a grain without rules.
    typed = ", ".join(f"cast(null as {kind}) as {key}" for key, kind in keys.items())
    head = (
        f"select {typed}, cast(null as varchar) as rule_id, cast(null as integer) as v, cast(null as varchar) as effect, "
        "cast(null as varchar) as visibility, cast(null as varchar) as code, cast(null as integer) as penalty_bp, "
        "cast(null as varchar) as facts where false"
    )
    return "\n\nunion all\n\n".join([head, *made])


def complete(policy: Policy) -> Policy:
    """The policy as cases are judged by it: with what still waits for a feed, on all days that the pack can judge."""
    return replace(
        policy,
        rules=policy.rules + policy.waiting,
        waiting=(),
        valid_from=policy.judges_from,
        valid_to=policy.judges_to,
    )


def codes(policy: Policy) -> list[tuple[str, str, int, str, str, str, str]]:
    """Every code that may appear: (code, rule_id, v, effect, visibility, grain, title)."""
    made: set[tuple[str, str, int, str, str, str, str]] = set()
    for rule in (*engine_rules(policy), *policy.rules):
        for check in rule.checks:
            for suffix in ("", "_UNKNOWN"):
                made.add(
                    (check.code + suffix, rule.rule_id, rule.version, rule.effect, rule.visibility, rule.grain, rule.title)
                )
        for obligation in rule.obligations:
            code = f"DISC_MISSING_{obligation.name}"
            visibility = "internal" if rule.visibility == "safe" else rule.visibility
            made.add((code, rule.rule_id, rule.version, "BLOCK", visibility, rule.grain, rule.title))
    # Four reasons that the eligibility models give themselves, since no fact holds them.
    made.add(("KILL_SWITCH", "ENG-KILL", 1, "BLOCK", "internal", "pair", "Nothing that a kill switch names"))
    made.add(("REV_UPHELD", "ENG-UPHELD", 1, "BLOCK", "internal", "pair", "Nothing that a reviewer said must not be shown"))
    made.add(("ENG_NO_CREATIVE", "ENG-CREATIVE", 1, "BLOCK", "internal", "pair", "A creative the person can read"))
    made.add(
        ("ENG_NO_SEND_WINDOW", "ENG-WINDOW", 1, "BLOCK", "internal", "offer_x_regime", "A permitted hour while the offer holds")
    )
    return sorted(made)
