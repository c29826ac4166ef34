"""What holds for any case whatever the rules say: the invariants of the rule pack, over seeded random cases."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks import policy_cases
from benchmarks.policy_cases import BEGINNINGS, EDGES, GREEN, HOUR, OBSERVED, SECOND, ZONE_OF, Row, tables
from candor.policy import columns, compiling, evaluation, load
from candor.policy.model import Policy
from candor.settings import PROJECT_ROOT

POLICY = load(PROJECT_ROOT / "policy", "crypto")
COMPLETE = compiling.complete(POLICY)
RANK = {"ALLOW": 0, "HOLD": 1, "BLOCK": 2}
SEEDS = [21, 22]
seeded = pytest.mark.parametrize("seed", SEEDS)


def decide(rows: list[Row], policy: Policy = POLICY) -> dict[str, Row]:
    return {row["case_id"]: row for row in evaluation.evaluate_rows(policy, policy_cases.as_table(rows))}


def changed(rows: list[Row], change: Callable[[Row], Row]) -> list[Row]:
    """The cases under the same names, each with what `change` gives of it."""
    return [{**row, **change(row)} for row in rows]


def plain(codes: list[str]) -> set[str]:
    """JUR_UNKNOWN is a code of its own."""
    return {code if code == "JUR_UNKNOWN" else code.removesuffix("_UNKNOWN") for code in codes}


def improved(before: dict[str, Row], after: dict[str, Row]) -> list[str]:
    """The cases that got a better decision or a lower penalty."""
    assert before.keys() == after.keys()
    return [
        case
        for case, row in before.items()
        if RANK[after[case]["decision"]] < RANK[row["decision"]] or after[case]["penalty_bp"] < row["penalty_bp"]
    ]


@seeded
def test_a_rule_more_only_adds_reasons_and_a_rule_less_only_takes_them_away(seed: int) -> None:
    """I-1, and for the complete pack what I-2 says of order."""
    of = random.Random(seed)
    rows = policy_cases.cases(seed, 1000)
    every = decide(rows)
    ids = sorted({rule.rule_id for rule in COMPLETE.rules})
    kept = set(of.sample(ids, len(ids) // 2))
    fewer = replace(
        POLICY,
        rules=tuple(rule for rule in POLICY.rules if rule.rule_id in kept),
        waiting=tuple(rule for rule in POLICY.waiting if rule.rule_id in kept),
    )
    some = decide(rows, fewer)
    assert improved(some, every) == []
    for case, row in some.items():
        assert set(row["codes"]) <= set(every[case]["codes"]), case
        assert set(row["obligations"]) <= set(every[case]["obligations"]), case
    assert any(row["codes"] != every[case]["codes"] for case, row in some.items())


@seeded
def test_a_wider_scope_never_makes_anything_more_eligible(seed: int) -> None:
    """I-1."""
    rows = policy_cases.cases(seed, 1000)
    wider = replace(
        POLICY,
        rules=tuple(replace(rule, scope=replace(rule.scope, regimes=None, client_class=None)) for rule in POLICY.rules),
        waiting=tuple(replace(rule, scope=replace(rule.scope, regimes=None, client_class=None)) for rule in POLICY.waiting),
    )
    before, after = decide(rows), decide(rows, wider)
    assert improved(before, after) == []
    assert all(plain(row["codes"]) <= plain(after[case]["codes"]) for case, row in before.items())
    assert any(plain(row["codes"]) < plain(after[case]["codes"]) for case, row in before.items())


@seeded
def test_a_fact_that_becomes_unknown_never_helps(seed: int) -> None:
    """I-3. A local end that is not given says that there is none."""
    rows = policy_cases.cases(seed, 120)
    before = decide(rows)
    names = sorted({*GREEN, "u_residence", "u_tzs", "u_dofp_requested_at", "u_uk_cat_at"} - {"o_end_local"})
    copies = [{**row, name: None, "case_id": f"{row['case_id']}/{name}"} for name in names for row in rows]
    after = decide(copies)
    assert len(names) > 80
    assert improved({case: before[case.split("/")[0]] for case in after}, after) == []


@seeded
def test_a_fact_too_old_or_of_the_future_is_a_fact_nobody_knows(seed: int) -> None:
    """I-4, for every fact that ages."""
    of = random.Random(seed)
    rows = policy_cases.cases(seed, 1000)
    aged, missing = [], []
    for row in rows:
        fact = of.choice(sorted(tables().ages.keys() & row.keys()))
        late = row["c_as_of"] - tables().ages[fact] * HOUR - SECOND
        aged.append({**row, fact + OBSERVED: of.choice([late, row["c_as_of"] + SECOND])})
        missing.append({**row, fact: None})
    assert decide(aged) == decide(missing)


@seeded
def test_another_country_never_helps_but_for_what_the_pack_grants_to_british_office_holders(seed: int) -> None:
    """I-5. FC-006 lets a domestic office holder of low risk off where one of the countries is the United Kingdom; no other rule does such."""
    of = random.Random(seed)
    rows = policy_cases.cases(seed, 1200)
    more = changed(
        rows,
        lambda row: {
            "u_other_countries": None
            if row["u_other_countries"] is None
            else [*row["u_other_countries"], of.choice([*ZONE_OF, "ZZ"])]
        },
    )
    before, after = decide(rows), decide(more)
    lost = {case: plain(row["codes"]) - plain(after[case]["codes"]) for case, row in before.items()}
    # A country nobody can place makes the regimes unknown, which blocks; the quiet hours of no known regime are then nobody's.
    nowhere = {case for case in before if "JUR_UNKNOWN" in plain(after[case]["codes"])}
    lost = {case: codes - ({"US_QUIET_HOURS"} if case in nowhere else set()) for case, codes in lost.items()}
    spared = {case for case, codes in lost.items() if codes}
    assert set().union(*lost.values()) <= {"FC_PEP_EDD"}
    assert {row["u_pep"] for row in rows if row["case_id"] in spared} <= {"domestic"}
    assert set(improved(before, after)) <= spared
    assert any(RANK[row["decision"]] < RANK[after[case]["decision"]] for case, row in before.items())


# What a linked profile, a withdrawal or a restriction brings (I-6, I-15).
WORSE: dict[str, Any] = {
    "u_sanctions_status": "confirmed", "u_wallet_sanctioned": True, "u_embargo": True, "u_minor_signal": True, "u_self_excluded": True,
    "u_dm_objection": True, "u_profiling_objection": True, "u_erasure": True, "u_unsub_email": True, "u_vuln_flag": True, "u_harm_signal": True,
    "u_fincrime_hold": True, "u_adverse_media": "confirmed", "u_dnc": True, "u_gpc": True, "u_glba_optout": True, "u_kyc_conflict": True,
    "u_consent_email": "withdrawn", "u_consent_sms": "withdrawn", "u_consent_push": "withdrawn", "u_consent_chat": "withdrawn",
    "u_consent_thirdparty": "withdrawn", "u_soft_opt_in": False, "u_tcpa_pewc": False, "u_is_test": True, "u_is_withheld": True,
    "u_refuses_chat": True,    "u_country_conflict": True,
}  # fmt: skip


@pytest.mark.parametrize("seed", [23])
def test_a_restricted_profile_linked_or_a_consent_withdrawn_never_helps_on_any_channel(seed: int) -> None:
    rows = policy_cases.cases(seed, 150)
    before = decide(rows)
    after = decide(
        [{**row, fact: value, "case_id": f"{row['case_id']}/{fact}"} for fact, value in WORSE.items() for row in rows]
    )
    assert improved({case: before[case.split("/")[0]] for case in after}, after) == []
    harmed = {
        case.split("/")[1]
        for case, row in after.items()
        if RANK[row["decision"]] > RANK[before[case.split("/")[0]]["decision"]]
    }
    assert {"u_sanctions_status", "u_embargo", "u_self_excluded", "u_dm_objection", "u_erasure", "u_fincrime_hold"} <= harmed


@seeded
def test_releases_turn_holds_into_allowed_and_change_no_block(seed: int) -> None:
    """I-7, with every rule that can hold released."""
    rows = changed(policy_cases.cases(seed, 1200), lambda row: {"c_releases": None})
    holding = sorted({rule.rule_id for rule in (*compiling.engine_rules(COMPLETE), *COMPLETE.rules) if rule.effect == "HOLD"})
    released = changed(rows, lambda row: {"c_releases": [{"rule": rule, "until": row["c_as_of"] + SECOND} for rule in holding]})
    before, after = decide(rows), decide(released)
    for case, row in before.items():
        assert after[case]["decision"] == ("ALLOW" if row["decision"] == "HOLD" else row["decision"]), case
        assert set(after[case]["codes"]) | set(after[case]["released"]) == set(row["codes"]), case
    assert any(row["decision"] == "HOLD" for row in before.values())


@seeded
def test_a_person_is_told_of_safe_and_known_reasons_alone(seed: int) -> None:
    """I-9."""
    safe = {code for code, _, _, _, visibility, *_ in compiling.codes(COMPLETE) if visibility == "safe"}
    for case, row in decide(policy_cases.cases(seed, 1200)).items():
        told = any(code in safe and not code.endswith("_UNKNOWN") for code in row["codes"])
        assert row["explanation"] == (None if row["decision"] == "ALLOW" else "SPECIFIC" if told else "GENERIC"), case


@pytest.mark.parametrize("seed", [24])
def test_no_restricted_fact_changes_what_somebody_is_told(seed: int) -> None:
    """I-10: of an offer that was withheld anyway nothing changes, of one that was not only the constant sentence is heard."""
    rows = policy_cases.cases(seed, 150)
    before = decide(rows)
    restricted = sorted(name for name, fact in POLICY.facts.items() if fact.visibility == "restricted" and name in rows[0])
    flipped: list[Row] = []
    for name in restricted:
        fact = POLICY.facts[name]
        for value in fact.domain or (True, False):
            flipped += [{**row, name: value, "case_id": f"{row['case_id']}/{name}/{value}"} for row in rows]
    assert len(restricted) >= 12
    for case, row in decide(flipped).items():
        was = before[case.split("/")[0]]
        if was["decision"] != "ALLOW" and row["decision"] != "ALLOW":
            assert row["explanation"] == was["explanation"], case
        elif row["decision"] != "ALLOW":
            assert row["explanation"] == "GENERIC", case


@seeded
def test_better_verification_never_hurts(seed: int) -> None:
    """I-11."""
    rows = policy_cases.cases(seed, 1200)
    better = changed(
        rows,
        lambda row: {
            "u_kyc_tier": {0: 1, 1: 2}.get(row["u_kyc_tier"], 2), "u_kyc_conflict": False, "u_edd_approved": True,
            "u_kyc_expires_at": (row["u_kyc_expires_at"] or row["c_as_of"]) + timedelta(days=400),
        },
    )  # fmt: skip
    before, after = decide(rows), decide(better)
    assert improved(after, before) == []
    assert any(RANK[row["decision"]] > RANK[after[case]["decision"]] for case, row in before.items())


@seeded
def test_a_narrower_window_of_an_offer_or_a_permission_never_helps(seed: int) -> None:
    """I-12."""
    rows = policy_cases.cases(seed, 1200)
    before = decide(rows)
    later = changed(rows, lambda row: {"o_from": row["o_from"] and row["o_from"] + timedelta(days=4000)})
    earlier = changed(rows, lambda row: {"o_to": row["o_to"] and row["o_to"] - timedelta(days=1000)})
    half = replace(
        POLICY,
        permissions=tuple(
            (regime, whom, products, since, since + (until - since) / 2)
            for regime, whom, products, since, until in POLICY.permissions
        ),
    )
    for after in (decide(later), decide(earlier), decide(rows, half)):
        assert improved(before, after) == []
        assert any(row["codes"] != after[case]["codes"] for case, row in before.items())


@pytest.mark.parametrize("seed", [25])
def test_the_same_cases_give_the_same_bytes_in_any_order_with_any_threads_and_in_any_batches(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I-2, I-8, I-13."""
    rows = policy_cases.cases(seed, 1000)
    made = []
    for number, (threads, batch) in enumerate([(1, 524_288), (2, 100), (2, 524_288)]):
        pq.write_table(policy_cases.as_table(rows), tmp_path / "facts.parquet")
        monkeypatch.setattr(evaluation, "BATCH", batch)
        out = tmp_path / f"out{number}.parquet"
        evaluation.evaluate_file(POLICY, tmp_path / "facts.parquet", out, threads=threads, memory="1GB")
        made.append(out.read_bytes())
        random.Random(seed + number).shuffle(rows)
    assert made[0] == made[1] == made[2]


PROTECTED = (
    "gender",
    "sex",
    "ethnic",
    "race",
    "religio",
    "politic",
    "nationality",
    "marital",
    "disab",
    "orientation",
    "postcode",
    "health",
)


def test_no_rule_reads_a_protected_attribute_and_no_case_can_give_one() -> None:
    """I-14. A sensitive feature of a model is a name in o_features, never a value."""
    read = " ".join(" ".join(compiling.selects(rule)) for rule in COMPLETE.rules)
    assert [word for word in PROTECTED if f"_{word}" in read] == []
    assert [name for name in columns.accepted(POLICY) if any(word in name for word in PROTECTED)] == []
    aged = {
        rule.rule_id for rule in COMPLETE.rules if any("d_age" in text or "u_dob" in text for text in compiling.selects(rule))
    }
    assert aged == {"AGE-001"}, "age keeps minors out and does nothing else"


@pytest.mark.parametrize("seed", [26])
def test_from_one_second_to_the_next_nothing_changes_unless_something_begins_or_ends(seed: int) -> None:
    """I-17. Hours of a wall clock begin and end with a minute; everything else is an instant of the case, of the law or of a permission."""
    law = {policy_cases._utc(text) for text in [*EDGES, *(text for listed in BEGINNINGS.values() for text in listed)]}
    law |= {edge for *_, since, until in POLICY.permissions for edge in (since, until)}
    law |= {edge for rule in COMPLETE.rules for edge in (rule.starts_at, rule.ends_at) if edge is not None}
    rows = policy_cases.cases(seed, 4000)
    # The same things observed at the same instants, a second later.
    before, after = decide(rows), decide(changed(rows, lambda row: {"c_as_of": row["c_as_of"] + SECOND}))
    differing = 0
    for row in rows:
        if before[row["case_id"]] == after[row["case_id"]]:
            continue
        differing += 1
        at, then = row["c_as_of"], row["c_as_of"] + SECOND
        own = {value for value in row.values() if hasattr(value, "hour")} - {at}
        own |= {one["until"] for one in row.get("c_releases") or []}
        own |= {row["u_dofp_requested_at"] and row["u_dofp_requested_at"] + 24 * HOUR}
        stated = row["u_uk_cat_at"]
        own |= {stated and stated.replace(year=stated.year + 1, day=min(stated.day, 28) if stated.month == 2 else stated.day)}
        for name, limit in tables().ages.items():
            if (observed := row.get(name + OBSERVED)) is not None:
                own |= {observed + limit * HOUR + SECOND, observed}
        assert then in law | own or then.second == 0, row
    assert differing > 100


def test_every_reason_has_a_rule_with_a_source_and_the_pack_an_owner() -> None:
    """I-20."""
    rules = {(rule.rule_id, rule.version): rule for rule in (*compiling.engine_rules(COMPLETE), *COMPLETE.rules)}
    given = [row for row in compiling.codes(COMPLETE) if row[1] not in ("ENG-CREATIVE", "ENG-KILL", "ENG-UPHELD", "ENG-WINDOW")]
    assert [row[0] for row in given if not (rules[row[1], row[2]].cite and rules[row[1], row[2]].statement)] == []
    assert POLICY.roles
    assert len(GREEN) > 80
