"""Whatever judges the daily run has a counterpart in the audit, so that no rule goes live with only one implementation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import polars as pl
import pytest

from candor.audit import assessments, consent, evaluation, feedback, rulebook, rules
from candor.policy import compiling, load
from candor.policy.model import Check, Policy
from candor.policy.staleness import of_rank
from candor.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "policy"
# Rules that say when offers wait for data. They hold an offer and speak of no person, and nothing that reaches anybody shows whether
# yesterday's delivery was late: the raw gate and these two holds are the only places that know.
ABOUT_DELIVERIES = {"DQ_SILO_LATE", "DQ_SILO_MISSING"}
NAIVE_UTC = datetime(2026, 11, 23)  # noqa: DTZ001


def live(policy: Policy) -> dict[str, set[str]]:
    """Code -> the rules that give it on a day: the engine's, and those of the pack that wait for no fact."""
    made: dict[str, set[str]] = {}
    for rule in (*compiling.engine_rules(policy), *policy.rules):
        if rule.effect == "DEMOTE":  # ranks, never keeps anything from anybody
            continue
        of = "ENGINE" if rule.rule_id.startswith("ENG-") else rule.rule_id
        for code in [check.code for check in rule.checks] + [f"DISC_MISSING_{duty.name}" for duty in rule.obligations]:
            made.setdefault(code, set()).add(of)
    return made


def audited(shop: str) -> dict[str, set[str]]:
    """Code -> the rules under which the audit gives it."""
    book = rulebook.load(FOLDER, shop)
    made: dict[str, set[str]] = {}
    for check in rules.checks(SimpleNamespace(as_of=NAIVE_UTC, run_id="r", rulebook=book, killed=(), decided_as_of=None)):
        made.setdefault(check.code, set()).add(check.rule)
    return made


def without_counterpart(policy: Policy, shop: str) -> dict[str, set[str]]:
    has = audited(shop)
    lacking = {code: of - has.get(code, set()) for code, of in live(policy).items() if code not in ABOUT_DELIVERIES}
    return {code: of for code, of in lacking.items() if of}


@pytest.mark.parametrize("shop", ["crypto", "retail"])
def test_every_live_rule_has_a_counterpart_in_the_audit(shop: str) -> None:
    assert without_counterpart(load(FOLDER, shop), shop) == {}


def test_a_rule_that_goes_live_alone_is_named() -> None:
    policy = load(FOLDER, "crypto")
    known = replace(policy.rules[0], rule_id="XX-001", checks=(Check("FC_SANCTIONED", "true"), Check("XX_NEW", "true")))
    alone = replace(policy, rules=(*policy.rules, known))
    assert without_counterpart(alone, "crypto") == {"FC_SANCTIONED": {"XX-001"}, "XX_NEW": {"XX-001"}}


@pytest.mark.parametrize("shop", ["crypto", "retail"])
def test_the_audit_keeps_what_is_restricted_as_secret_as_the_pack(shop: str) -> None:
    policy = load(FOLDER, shop)
    every = (*compiling.engine_rules(policy), *policy.rules)
    restricted = {check.code for rule in every if rule.visibility == "restricted" for check in rule.checks}
    book = rulebook.load(FOLDER, shop)
    listed = rules.checks(SimpleNamespace(as_of=NAIVE_UTC, run_id="r", rulebook=book, killed=(), decided_as_of=None))
    assert restricted == {check.code for check in listed if check.visibility == rules.RESTRICTED}


@pytest.mark.parametrize("shop", ["crypto", "retail"])
@pytest.mark.parametrize("stressed", [False, True])
def test_the_audit_lets_every_class_live_as_long_as_the_engine_does(shop: str, stressed: bool) -> None:
    policy, book = load(FOLDER, shop), rulebook.load(FOLDER, shop)
    expected = [
        (line.rank, row.is_promotion, row.hours_stressed if stressed else row.hours)
        for line in policy.product_lines
        for row in of_rank(policy.staleness, line.rank)
    ]
    frame = pl.DataFrame(expected, schema=["m_rank", "o_is_promotion", "hours"], orient="row")
    found = frame.with_columns(evaluation._most_hours(book, stressed).alias("hours"))
    assert found.rows() == expected


def test_the_audit_believes_a_fact_in_stress_for_as_long_as_the_dictionary_says() -> None:
    said = {
        name: fact.max_age_stressed_hours
        for name, fact in load(FOLDER, "crypto").facts.items()
        if fact.max_age_stressed_hours is not None
    }
    read = dict.fromkeys(("u_dismiss_30d", "u_neg_fb_30d"), feedback.MAX_AGE_STRESSED_HOURS)
    assert said == consent.STRESSED_HOURS | read | {"u_trust": assessments.TRUST_MAX_AGE_STRESSED_HOURS}
