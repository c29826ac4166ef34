"""The rule pack's conformance cases by the product's own command, and what has to hold for any case."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from candor.errors import UsageError
from candor.policy import compiling, conformance, evaluation, load
from candor.policy.grains import ALL_GRAINS
from candor.policy.model import Policy
from candor.policy.packs import in_parts

HERE = Path(__file__).parent
POLICY = load(HERE.parents[2] / "policy", "crypto")
CASES = conformance._cases(HERE / "cases.yml")
BASE = conformance._base(HERE / "cases.yml", None)


def table(cases: list[dict[str, Any]]) -> pa.Table:
    return conformance.as_table(POLICY, cases, BASE)


def decide(cases: list[dict[str, Any]], policy: Policy = POLICY) -> dict[str, dict[str, Any]]:
    return {row["case_id"]: row for row in evaluation.evaluate_rows(policy, table(cases))}


@pytest.fixture(scope="module")
def decided() -> dict[str, dict[str, Any]]:
    return decide(CASES)


@pytest.fixture(scope="module")
def without_rule() -> dict[tuple[str, int], list[str]]:
    """The cases that notice, for each version of a rule, when it is gone."""
    noticed = {}
    for rule_id, version in sorted({(rule.rule_id, rule.version) for rule in (*POLICY.rules, *POLICY.waiting)}):
        fewer = replace(
            POLICY,
            rules=tuple(rule for rule in POLICY.rules if (rule.rule_id, rule.version) != (rule_id, version)),
            waiting=tuple(rule for rule in POLICY.waiting if (rule.rule_id, rule.version) != (rule_id, version)),
        )
        got = decide(CASES, fewer)
        noticed[rule_id, version] = [case["id"] for case in CASES if conformance._compare(case, got[case["id"]])]
    return noticed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_is_decided_exactly_as_it_expects(case: dict[str, Any], decided: dict[str, dict[str, Any]]) -> None:
    assert conformance._compare(case, decided[case["id"]]) == [], case["t"]


def test_every_rule_that_goes_is_missed_by_a_case(without_rule: dict[tuple[str, int], list[str]]) -> None:
    assert [rule for rule, noticed in without_rule.items() if not noticed] == []


def test_every_rule_names_cases_and_every_case_it_names_exists() -> None:
    known = {case["id"] for case in CASES}
    pack = yaml.safe_load((HERE.parents[2] / "policy" / "pack.yaml").read_text(encoding="utf-8"))
    assert {rule["id"] for rule in pack["rules"] if not rule["tests"]} == set()
    assert {test for rule in pack["rules"] for test in rule["tests"]} <= known


FACTS = sorted(
    name
    for name in table(CASES).column_names
    if name[:2] in ("u_", "o_", "c_") and name not in ("c_as_of", "c_releases", "o_end_local")
)


def test_an_unknown_fact_never_helps(decided: dict[str, dict[str, Any]]) -> None:
    """I-3, for every fact of every case at once: each case is repeated with one more fact unknown."""
    given = table(CASES)
    copies = []
    for name in (name for name in FACTS if not name.endswith("__observed_at")):
        index = given.column_names.index(name)
        copy = given.set_column(index, given.field(index), pa.nulls(len(given), given.field(index).type))
        copies.append(copy.set_column(0, "case_id", pa.array([f"{case}/{name}" for case in given["case_id"].to_pylist()])))
    rank = {"ALLOW": 0, "HOLD": 1, "BLOCK": 2}
    rows = evaluation.evaluate_rows(POLICY, pa.concat_tables(copies))
    helped = [
        row["case_id"]
        for row in rows
        if (before := decided[row["case_id"].split("/")[0]])
        and (rank[row["decision"]] < rank[before["decision"]] or row["penalty_bp"] < before["penalty_bp"])
    ]
    assert len(rows) == len(CASES) * len(copies)
    assert helped == []


def test_a_column_left_out_is_a_fact_that_nobody_knows() -> None:
    given = table(CASES)
    for name in ("u_residence", "u_tzs", "o_disclosures", "c_vol_rank", "u_other_countries"):
        index = given.column_names.index(name)
        unknown = given.set_column(index, given.field(index), pa.nulls(len(given), given.field(index).type))
        assert evaluation.evaluate_rows(POLICY, given.drop_columns([name])) == evaluation.evaluate_rows(POLICY, unknown), name


def test_rules_and_cases_in_any_order_and_rules_twice_give_the_same(decided: dict[str, dict[str, Any]]) -> None:
    """I-2."""
    turned = replace(
        POLICY, rules=tuple(reversed(POLICY.rules)) + POLICY.rules, waiting=tuple(reversed(POLICY.waiting)) + POLICY.waiting
    )
    assert decide(list(reversed(CASES)), turned) == decided


def test_a_case_alone_is_decided_as_among_others(decided: dict[str, dict[str, Any]]) -> None:
    """I-8, for every seventh case."""
    for case in CASES[::7]:
        assert decide([case]) == {case["id"]: decided[case["id"]]}


@pytest.mark.parametrize(
    ("hours", "is_known"),
    [(0, True), (24, True), (24.0001, False), (-0.0001, False), (None, True)],
    ids=["now", "24h", "older", "later", "not_given"],
)
def test_a_fact_too_old_or_from_the_future_is_unknown(hours: float | None, is_known: bool) -> None:
    case = {"id": "x", "p": "gb", "o": "edu", "age": {"u_wallet_sanctioned": hours}}
    missing = {**case, "age": {}, "u": {"wallet_sanctioned": None}}
    assert decide([case])["x"] == decide([missing if not is_known else {**case, "age": {}}])["x"]


def test_a_value_outside_its_domain_is_unknown() -> None:
    got = decide([{"id": "x", "p": "gb", "o": "bonus", "u": {"client_class": "vip"}}])["x"]
    assert got["codes"] == ["JUR_NO_PERMISSION_UNKNOWN", "UK_INCENTIVE_BAN_UNKNOWN"]


def test_a_release_lifts_the_holds_of_its_rule_until_it_ends_and_never_a_block() -> None:
    held = {"p": "de", "o": "spot", "of": {"personal_rec": True}}
    ends = "2026-11-23T15:00:01Z"
    got = decide(
        [
            {"id": "lifted", **held, "rel": [{"rule": "EU-005", "until": ends}]},
            {"id": "other", **held, "rel": [{"rule": "EU-004", "until": ends}]},
            {"id": "ended", **held, "rel": [{"rule": "EU-005", "until": "2026-11-23T15:00:00Z"}]},
            {"id": "endless", **held, "rel": [{"rule": "EU-005", "until": None}]},
            {"id": "blocked", "p": "gb", "o": "refer", "rel": [{"rule": "UK-002", "until": ends}]},
            {"id": "both", **held, "u": {"pep": "foreign"}, "o": "staking", "rel": [{"rule": "EU-005", "until": ends}]},
        ]
    )
    assert {case: (row["decision"], row["codes"], row["released"]) for case, row in got.items()} == {
        "lifted": ("ALLOW", [], ["ADVICE_NO_SUITABILITY"]),
        "other": ("HOLD", ["ADVICE_NO_SUITABILITY"], []),
        "ended": ("HOLD", ["ADVICE_NO_SUITABILITY"], []),
        "endless": ("HOLD", ["ADVICE_NO_SUITABILITY"], []),
        "blocked": ("BLOCK", ["UK_INCENTIVE_BAN"], []),
        "both": ("HOLD", ["FC_PEP_EDD"], ["ADVICE_NO_SUITABILITY"]),
    }


RESTRICTED = [
    {"sanctions_status": "potential"}, {"adverse_media": "unresolved"}, {"fincrime_hold": True}, {"vuln_flag": True}, {"harm_signal": True},
    {"aml_band": "high"}, {"pep": "foreign"}, {"fatf": "CFA"}, {"wallet_sanctioned": True}, {"embargo": True},
]  # fmt: skip


@pytest.mark.parametrize("fact", RESTRICTED, ids=lambda fact: next(iter(fact)))
def test_what_a_person_is_told_does_not_depend_on_a_restricted_fact(
    fact: dict[str, Any], decided: dict[str, dict[str, Any]]
) -> None:
    """I-10."""
    got = decide([{**case, "u": {**case.get("u", {}), **fact}} for case in CASES])
    for case, before in decided.items():
        if before["decision"] != "ALLOW":
            assert got[case]["explanation"] == before["explanation"], case
        elif got[case]["decision"] != "ALLOW":
            assert got[case]["explanation"] == "GENERIC", case


@pytest.mark.parametrize(
    ("instant", "judged", "expected"),
    [
        ("2026-11-22T23:59:59", "live", True),
        ("2026-11-23T00:00:00", "live", False),
        ("2027-02-20T23:59:59", "live", False),
        ("2027-02-21T00:00:00", "live", True),
        ("2022-12-31T23:59:59", "cases", True),
        ("2023-01-01T00:00:00", "cases", False),
        ("2027-12-31T23:59:59", "cases", False),
        ("2028-01-01T00:00:00", "cases", True),
    ],
)
def test_outside_its_dates_the_pack_blocks_everything(instant: str, judged: str, expected: bool) -> None:
    policy = replace(POLICY, judges_from=POLICY.valid_from, judges_to=POLICY.valid_to) if judged == "live" else POLICY
    got = decide([{"id": "x", "p": "gb", "o": "edu", "at": f"{instant}Z"}], policy)["x"]
    assert ("PACK_OUT_OF_DATE" in got["codes"]) is expected


def waiting_for(*names: str) -> Policy:
    """The policy as it would be if these facts still awaited their feeds."""
    facts = {**POLICY.facts, **{name: dataclasses.replace(POLICY.facts[name], awaits="a feed") for name in names}}
    daily, waiting = in_parts((*POLICY.rules, *POLICY.waiting), facts)
    return dataclasses.replace(POLICY, rules=daily, waiting=waiting, facts=facts)


def test_the_daily_run_is_judged_by_the_same_selects_without_those_that_wait() -> None:
    policy = waiting_for("o_asset_kind", "u_trust")
    complete = compiling.complete(policy)
    assert {rule for rule in complete.rules if not rule.waits_for} == set(policy.rules)
    assert {fact for rule in policy.waiting for fact in rule.waits_for} == {"o_asset_kind", "u_trust"}
    daily = "\n".join(compiling.grain_sql(policy, grain) for grain in ALL_GRAINS)
    assert "u_dismiss_30d < 3" in daily
    assert "o_asset_kind" not in daily
    assert "u_trust" not in daily


def test_a_later_change_of_facts_changes_what_a_rule_waits_for() -> None:
    def codes(policy: Policy) -> set[str]:
        return {check.code for rule in policy.rules for check in rule.checks}

    assert codes(POLICY) - codes(waiting_for("u_dnc")) == {"US_DNC"}
    assert "US_DNC" in {check.code for rule in waiting_for("u_dnc").waiting for check in rule.checks}


def test_nothing_waits_any_more() -> None:
    assert POLICY.waiting == ()
    assert [name for name, fact in POLICY.facts.items() if fact.awaits] == []


def test_a_file_that_expects_something_else_is_answered_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(
        "- {id: C1, t: wrong, p: gb, o: refer, d: ALLOW, c: [], pen: 5, ob: [AD_LABEL], ex: GENERIC}\n- {id: C2, p: gb, o: spot, d: ALLOW, c: []}\n"
    )
    total, differences = conformance.check(POLICY, path, HERE / "base.yml")
    assert total == 2
    assert [(one.case_id, one.field, one.expected, one.got) for one in differences] == [
        ("C1", "decision", "ALLOW", "BLOCK"),
        ("C1", "codes", "none", "UK_INCENTIVE_BAN"),
        ("C1", "obligations", "AD_LABEL", "AD_LABEL, OPT_OUT, UK_RISK_SUMMARY, UK_RISK_WARNING, WHY_THIS_OFFER"),
        ("C1", "penalty_bp", "5", "0"),
        ("C1", "explanation", "GENERIC", "SPECIFIC"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {id: C1, p: nobody, o: spot}", "no persona 'nobody'"),
        ("- {id: C1, p: gb, o: spot, u: {shoe_size: 41}}", "u_shoe_size is no declared fact"),
        ("- {id: C1, p: gb, o: spot, u: {kyc_tier: many}}", "u_kyc_tier is 'many', not bigint"),
        ("- {id: C1, p: gb, o: spot, at: noon}", "'noon' is no instant"),
        ("- {id: C1, p: gb, o: spot, expected: ALLOW}", "unknown keys: expected"),
        ("- {id: C1, p: gb, o: spot}\n- {id: C1, p: gb, o: spot}", "C1 is twice"),
        ("{id: C1}", "is not a list of cases"),
        ("- [", "is not YAML"),
    ],
    ids=["persona", "fact", "type", "instant", "key", "twice", "no_list", "no_yaml"],
)
def test_a_file_that_is_no_file_of_cases_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        conformance.check(POLICY, tmp_path / "cases.yaml", HERE / "base.yml")


def test_a_moment_before_is_the_same_until_something_happens() -> None:
    """I-17 at one edge: the second before an expiry and the expiry itself."""
    kyc = {"kyc_expires_at": "2026-11-23T15:00:01Z"}
    got = decide(
        [{"id": str(second), "p": "gb", "o": "spot", "u": kyc, "at": f"2026-11-23T15:00:0{second}Z"} for second in (0, 1)]
    )
    assert (got["0"]["decision"], got["1"]["codes"]) == ("ALLOW", ["KYC_EXPIRED"])
