"""Every rule, check, condition, date and duty broken in turn: the repo's cases and random cases that the oracle agrees with notice each.

A mutant is one SELECT with one thing changed. It is noticed when it speaks of other cases than the rule does, among cases whose exact codes
are known: those of cases.yml that say them, and random ones that `benchmarks.policy_oracle` decides by hand.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks import policy_cases, policy_oracle
from candor.policy import columns, compiling, conformance, evaluation, load
from candor.policy.model import Check, Rule
from candor.settings import PROJECT_ROOT

HERE = Path(__file__).parent
POLICY = load(PROJECT_ROOT / "policy", "crypto")
COMPLETE = compiling.complete(POLICY)
RULES = [*compiling.engine_rules(COMPLETE), *COMPLETE.rules]
RANDOM = 24_000
# What no case can tell from the rule: (code, beginnings of the change), and why it is so.
NEVER_UNKNOWN = ("unknown passes", "unknown and known alike")
EQUIVALENT = {
    "PACK_OUT_OF_DATE": NEVER_UNKNOWN,  # the instant is always known
    "ENG_UNKNOWN_PRODUCT": NEVER_UNKNOWN,  # asks itself whether something is known; so do the next two
    "FC_SCREEN_STALE": NEVER_UNKNOWN,
    "JUR_UNKNOWN": (*NEVER_UNKNOWN, "0 is -1", "> is >="),  # no market of the map is without regimes
    "UK_DERIVATIVES_BAN": ("unknown passes",),  # "false" is known
    "SG_PUBLIC_PROMO": ("unknown passes",),
    "SG_INCENTIVE_BAN": ("whenever", "when: 2 ", "when: >=", "when: 'none'"),  # what breaks it is itself one half of its `when`
    "SG_LEND_STAKE": ("whenever", "when: 2 ", "when: >=", "when: <>", "when: 'none'"),  # staking and lending have rank 3 and 4
    "HK_PI_ONLY": ("whenever", "when: 2 ", "when: >="),  # derivatives have rank 6
    "SUI_APPROPRIATENESS": ("whenever", "when: 1 ", "when: >="),  # what needs the test has rank 2 or more
    # A duty for one kind of asset already says that there is an asset; the three products have ranks of 4 and more.
    "MICA_ART7_STATEMENT": ("when: 'none'",),
    "MICA_ART53_REDEMPTION": ("when: 'none'",),
    "MICA_ART29_REDEMPTION": ("when: 'none'",),
    "MICA_UNREGULATED_NOTICE": ("when: 1 ", "when: >="),
}


def changed(text: str) -> Iterator[tuple[str, str]]:
    """(what was changed, the expression with that one thing changed), for every thing that can be."""
    quoted = [match.span() for match in re.finditer(r"'[^']*'", text)]

    def bare(match: re.Match[str]) -> bool:
        return not any(start <= match.start() < end for start, end in quoted)

    def put(match: re.Match[str], new: str) -> str:
        return text[: match.start()] + new + text[match.end() :]

    for match in re.finditer(r"\b\d+(\.\d+)?\b", text):
        if bare(match):
            number = float(match[0]) if "." in match[0] else int(match[0])
            for other in (number - 1, number + 1):
                yield f"{match[0]} is {other}", put(match, str(other))
    for match in re.finditer(r"<=|>=|<>|<|>|=", text):
        if bare(match):
            other_sign = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "<>", "<>": "="}[match[0]]
            yield f"{match[0]} is {other_sign}", put(match, other_sign)
    for match in re.finditer(r"\bAND\b|\bOR\b", text):
        if bare(match):
            yield f"{match[0]} {match.start()} swapped", put(match, "OR" if match[0] == "AND" else "AND")
    for match in re.finditer(r"(timestamp )?'([^']*)'", text):
        for by in (-1, 1) if match[1] else ():
            yield f"{match[2]} {by:+} s", put(match, f"timestamp '{datetime.fromisoformat(match[2]) + timedelta(seconds=by)}'")
        if match[1]:
            continue
        yield f"{match[0]} gone", put(match, "'nothing_is_called_so'")


def selects(rule: Rule, check: Check, **more: Any) -> str:
    return compiling.select(replace(rule, grain="pair"), check, relation="facts", keyed_by=compiling.KEYS["pair"], **more)


def of_scope(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """The rule with another scope, `when` or dates."""
    for part in ("regimes", "client_class", "products", "channels"):
        given = getattr(rule.scope, part)
        if given is not None:
            yield f"any {part}", replace(rule, scope=replace(rule.scope, **{part: None}))
            for one in given if len(given) > 1 else ():
                rest = tuple(other for other in given if other != one)
                yield f"{part} without {one}", replace(rule, scope=replace(rule.scope, **{part: rest}))
    yield (
        "promotions and all else swapped",
        replace(rule, scope=replace(rule.scope, promotion_only=not rule.scope.promotion_only)),
    )
    if rule.when is not None:
        yield "whenever", replace(rule, when=None)
        yield "when not", replace(rule, when=f"NOT ({rule.when})")
        for what, text in changed(rule.when):
            yield f"when: {what}", replace(rule, when=text)
    for end in ("starts_at", "ends_at"):
        instant = getattr(rule, end)
        if instant is not None:
            yield f"{end} open", replace(rule, **{end: None})
            for by in (-1, 1):
                yield f"{end} {by:+} s", replace(rule, **{end: instant + timedelta(seconds=by)})


def mutants(rule: Rule, check: Check) -> Iterator[tuple[str, str]]:
    """(what is broken, the broken SELECT) of one check."""
    base = selects(rule, check)
    yield "dropped", f"{base} and false"
    yield "negated", selects(rule, replace(check, require=f"NOT ({check.require})"))
    yield "unknown passes", base.replace(f"not coalesce(({check.require}), false)", f"not coalesce(({check.require}), true)")
    yield "unknown and known alike", selects(rule, check, suffixed=False)
    for what, text in changed(check.require):
        yield what, selects(rule, replace(check, require=text))
    for part in compiling.conditions(rule):
        applied = f"coalesce(({part}), true)"
        assert applied in base
        yield f"{part} unknown is no", base.replace(applied, f"coalesce(({part}), false)")
    for what, other in of_scope(rule):
        yield what, selects(other, check)


def duties(rule: Rule, name: str, condition: str | None) -> str:
    where = ["true", *compiling.applies(rule), *([f"coalesce(({condition}), true)"] if condition else [])]
    return f"select n as person_id, '{name}' as code from facts where " + " and ".join(where)


def mutants_of_duty(rule: Rule, name: str, condition: str | None) -> Iterator[tuple[str, str]]:
    yield "dropped", f"{duties(rule, name, condition)} and false"
    for what, other in of_scope(rule):
        yield what, duties(other, name, condition)
    if condition:
        yield "always", duties(rule, name, None)
        yield "unknown needs nothing", duties(rule, name, f"coalesce(({condition}), false)")
        for what, text in changed(condition):
            yield f"if: {what}", duties(rule, name, text)


@pytest.fixture(scope="module", params=[11], ids="seed{}".format)
def judged(request: pytest.FixtureRequest) -> Iterator[tuple[Any, set[str]]]:
    """A database with the facts of cases whose codes are known, and the random cases in which the oracle says otherwise (none)."""
    listed = [case for case in conformance._cases(HERE / "cases.yml") if "c" in case]
    base = conformance._base(HERE / "cases.yml", None)
    rows = policy_cases.cases(request.param, RANDOM)
    stated = conformance.as_table(POLICY, listed, base)
    for name, value in columns.OPERATIONAL.items():  # of which cases.yml says nothing
        stated = stated.append_column(name, pa.array([value] * len(listed)))
    given = pa.concat_tables([stated, policy_cases.as_table(rows)], promote_options="permissive")
    with tempfile.TemporaryDirectory() as scratch, evaluation._Evaluation(POLICY, Path(scratch), 2, "2GB") as made:
        made.connection.register("cases_given", given)
        made.run("cases_given", None)
        fetched = made.connection.execute("select * from decisions")
        names = [column[0] for column in fetched.description or []]
        decided = [dict(zip(names, row, strict=True)) for row in fetched.fetchall()]
        by_id = {row["case_id"]: row for row in decided}
        wrong = {case["id"] for case in listed if conformance._compare(case, by_id[case["id"]])}
        wrong |= {row["case_id"] for row, _, _ in policy_oracle.differing(rows, decided)}
        yield made.connection, wrong


def test_the_random_cases_are_decided_as_the_oracle_decides_them(judged: tuple[Any, set[str]]) -> None:
    """What follows rests on it."""
    assert judged[1] == set()


def test_every_check_of_every_rule_fires_in_a_random_case_and_every_duty_is_missed_in_one(judged: tuple[Any, set[str]]) -> None:
    found = {code for (code,) in judged[0].execute("select distinct code from hits").fetchall()}
    every = {check.code for rule in RULES for check in rule.checks}
    every |= {f"DISC_MISSING_{duty.name}" for rule in RULES for duty in rule.obligations}
    assert every - found == set()
    assert len({code for code in found if code.endswith("_UNKNOWN")}) >= len(every) - 35  # duties and what is never unknown


def unnoticed(connection: Any, base: dict[str, str], made: list[tuple[str, str, str]]) -> list[str]:
    """The mutants (of, name, SELECT) that speak of the same cases, in the same words, as what they were made of; `base`: of -> SELECT."""

    def seen(of: str, select: str) -> str:
        return (
            f"select '{of}' as mutant, coalesce(sum(hash(person_id, code)::hugeint), 0) as print "
            f"from (select distinct person_id, code from ({select}))"
        )

    prints: dict[str, int] = {}
    listed = [*base.items()] + [(str(n), select) for n, (_, _, select) in enumerate(made)]
    for first in range(0, len(listed), 200):
        some = listed[first : first + 200]
        prints |= dict(connection.execute(" union all ".join(seen(of, select) for of, select in some)).fetchall())
    return [f"{of}: {name}" for n, (of, name, _) in enumerate(made) if prints[str(n)] == prints[of]]


def compare(silent: list[str], made: list[tuple[str, str, str]]) -> None:
    """Those that nothing notices must be those that cannot be told from the rule, and no fewer."""
    expected = {f"{of}: {name}" for of, name, _ in made if name.startswith(EQUIVALENT.get(of.split()[2], ("?",)))}
    assert sorted(set(silent) - expected) == []
    assert sorted(expected - set(silent)) == [], "these can be told apart, so they are not equivalent"


def test_every_broken_check_is_noticed(judged: tuple[Any, set[str]]) -> None:
    base, made = {}, []
    for number, rule in enumerate(RULES):
        for check in rule.checks:
            of = f"{rule.rule_id} v{rule.version} {check.code} {number}"
            base[of] = selects(rule, check)
            made += [(of, name, select) for name, select in mutants(rule, check)]
    compare(unnoticed(judged[0], base, made), made)


def test_every_broken_duty_is_noticed(judged: tuple[Any, set[str]]) -> None:
    base, made = {}, []
    for number, rule in enumerate(RULES):
        for duty in rule.obligations:
            of = f"{rule.rule_id} v{rule.version} {duty.name} {number}"
            base[of] = duties(rule, duty.name, duty.condition)
            made += [(of, name, select) for name, select in mutants_of_duty(rule, duty.name, duty.condition)]
    compare(unnoticed(judged[0], base, made), made)
