"""Tables of cases: random ones against a slow reading of the rule texts, files, odd types, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import policy_cases, policy_oracle
from candor.errors import UsageError
from candor.policy import conformance, evaluation, load
from candor.settings import PROJECT_ROOT

HERE = Path(__file__).parent
POLICY = load(PROJECT_ROOT / "policy", "crypto")
BASE = conformance._base(HERE / "cases.yml", None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_cases_are_decided_as_a_slow_reading_of_the_rules_decides_them(seed: int) -> None:
    """Decision, codes, what is released, penalty, obligations, what may be told; `python -m benchmarks.policy_oracle` does a million."""
    rows = policy_cases.cases(seed, 2000)
    decided = evaluation.evaluate_rows(POLICY, policy_cases.as_table(rows))
    assert policy_oracle.differing(rows, decided) == []
    assert {row["decision"] for row in decided} == {"ALLOW", "HOLD", "BLOCK"}
    assert len({code for row in decided for code in row["codes"]}) > 140, "the cases reach too few codes"


@pytest.mark.parametrize("seed", [4])
def test_the_slow_reading_would_notice_a_rule_that_is_gone_or_changed(seed: int) -> None:
    rows = policy_cases.cases(seed, 2000)
    table = policy_cases.as_table(rows)
    without = replace(POLICY, rules=tuple(rule for rule in POLICY.rules if rule.rule_id != "KYC-001"))
    found = policy_oracle.differing(rows, evaluation.evaluate_rows(without, table))
    assert found
    assert all(
        set(expected["codes"]) - set(got["codes"]) <= {"KYC_TIER_LOW", "KYC_TIER_LOW_UNKNOWN"} for _, expected, got in found
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three cases as a Parquet file."""
    cases = [{"id": f"c{number}", "p": persona, "o": "spot"} for number, persona in enumerate(("gb", "de", "ny"))]
    table = conformance.as_table(POLICY, cases, BASE)
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute(f"copy given to '{tmp_path / 'facts.parquet'}'")
    return tmp_path / "facts.parquet"


def remade(small: Path, select: str, suffix: str = ".parquet") -> Path:
    path = small.with_name(f"remade{suffix}")
    kind = "parquet" if suffix == ".parquet" else "csv, header"
    source = "" if " from " in select else f" from '{small}'"
    duckdb.connect().execute(f"copy (select {select}{source}) to '{path}' (format {kind})")
    return path


def decide(path: Path, **more: Any) -> list[tuple[Any, ...]]:
    out = path.with_name("out.parquet")
    evaluation.evaluate_file(POLICY, path, out, **more)
    return duckdb.connect().execute(f"from '{out}'").fetchall()


def test_a_file_is_decided_in_the_order_of_its_cases_and_to_the_same_bytes(small: Path) -> None:
    made = decide(small)
    assert [(row[0], row[1], row[2]) for row in made] == [("c0", "ALLOW", []), ("c1", "ALLOW", []), ("c2", "ALLOW", [])]
    first = small.with_name("out.parquet").read_bytes()
    assert decide(remade(small, f"* from (from '{small}' order by case_id desc)")) == made
    assert small.with_name("out.parquet").read_bytes() == first


def test_a_csv_says_the_same_as_a_parquet(small: Path) -> None:
    lists = [name for name, kind, *_ in duckdb.connect().execute(f"describe from '{small}'").fetchall() if kind.endswith("[]")]
    path = remade(small, f"* replace ({', '.join(f'to_json({name}) as {name}' for name in lists)})", ".csv")
    assert decide(path) == decide(small)


def test_other_types_of_the_same_values_say_the_same(small: Path) -> None:
    path = remade(
        small,
        "* replace (u_kyc_tier::double as u_kyc_tier, c_as_of::timestamptz as c_as_of, u_dob::varchar as u_dob, "
        "strftime(o_to, '%Y-%m-%dT%H:%M:%SZ') as o_to, null::integer as o_end_local)",
    )
    assert decide(path) == decide(small)


def test_a_batch_and_many_batches_give_the_same(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decide(small)
    monkeypatch.setattr(evaluation, "BATCH", 1)
    assert decide(small) == whole


def test_a_table_without_cases_gives_one_without_decisions(small: Path) -> None:
    assert decide(remade(small, f"* from (from '{small}' limit 0)")) == []


def test_the_instant_of_a_table_that_has_none_is_given(small: Path) -> None:
    path = remade(small, "* exclude (c_as_of)")
    assert decide(path, as_of=datetime(2026, 11, 23, 15, tzinfo=UTC)) == decide(small)


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("* exclude (case_id)", "no column case_id"),
        ("* exclude (c_as_of)", "no column c_as_of"),
        ("* exclude (case_id), case_id as caseid", r"caseid is no declared fact \(did you mean case_id\?\)|did you mean caseid"),
        ("*, 1 as u_kyc_teir", r"u_kyc_teir is no declared fact \(did you mean u_kyc_tier\?\)"),
        ("*, 18 as d_age", "d_age is derived"),
        ("*, ['GB'] as u_regimes", "u_regimes is derived: give u_residence and u_other_countries"),
        ("*, o_to as o_ends_at", "o_ends_at and o_to are the same fact"),
        ("* replace ('yes' || u_kyc_conflict as u_kyc_conflict)", "u_kyc_conflict of case c0 is 'yesfalse', not true or false, and 2 more"),
        ("* replace ([1] as u_tzs)", "u_tzs must be a list of texts, is INTEGER\\[\\]"),
        ("* replace (true as u_kyc_tier)", "u_kyc_tier must be a whole number, is BOOLEAN"),
        ("* replace (1.5::double as u_kyc_tier)", "u_kyc_tier of case c0 is '1.5', not a whole number"),
        ("* replace ('soon' as o_end_local)", "o_end_local of case c0 is 'soon', not a wall-clock time"),
        ("* replace ('c' as case_id)", r"case_id must be unique; there is c \(3 times\)"),
        ("* replace (null::varchar as case_id)", "3 cases have no case_id"),
        ("* replace (null::timestamp as c_as_of)", "3 cases have no c_as_of, the first is c0"),
        ("*, 'UK-002' as c_releases", "c_releases must be a list of structs with rule and until"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_and_says_why(small: Path, select: str, said: str) -> None:
    path = remade(small, select)
    with pytest.raises(UsageError, match=said):
        evaluation.evaluate_file(POLICY, path, small.with_name("out.parquet"))
    assert not small.with_name("out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["conformance", str(HERE / "cases.yml")], 0, "cases agree"),
        (["conformance", "nowhere.yaml"], 2, "there is no file nowhere.yaml"),
        (["evaluate", "nowhere.parquet", "--out", "x.parquet"], 2, "there is no file nowhere.parquet"),
        (["explain", "UK_INCENTIVE_BAN"], 0, "No incentive to invest"),
        (["explain", "uk-001"], 0, "v2: Lawful promotion route (from 25 Oct 2027)"),
        (["explain", "UK_INCENTVE_BAN"], 2, "did you mean UK_INCENTIVE_BAN"),
        (["check"], 0, "checks and disclosures of 60 rules judge the daily run"),
        (["facts"], 0, "u_kyc_tier"),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, list) else None,
)
def test_the_command_says_it_and_exits_accordingly(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from candor.cli import main; main()", "policy", *arguments],
        capture_output=True, text=True, cwd=PROJECT_ROOT, check=False, env={"CANDOR_STATE_DIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr


def test_a_case_that_differs_gives_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("- {id: C1, p: gb, o: refer, d: ALLOW}\n")
    command = [sys.executable, "-c", "from candor.cli import main; main()", "policy"]
    done = subprocess.run(
        [*command, "conformance", str(tmp_path / "cases.yaml"), "--base", str(HERE / "base.yml")],
        capture_output=True, text=True, cwd=PROJECT_ROOT, check=False, env={"CANDOR_STATE_DIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "decision  ALLOW     BLOCK" in done.stdout
    assert "0 of 1 cases agree" in done.stderr


@pytest.mark.parametrize(
    ("rank", "shrinks", "codes"),
    [
        ("0", True, []), ("1", True, []), ("2", False, []), ("2", True, ["VUL_HARM_SIGNAL_UNKNOWN"]), ("null", True, ["VUL_HARM_SIGNAL_UNKNOWN"]),
    ],
)  # fmt: skip
def test_in_stress_a_sign_of_harm_of_yesterday_is_unknown_when_ages_shrink_and_by_the_rules_alone_it_is_not(
    small: Path, rank: str, shrinks: bool, codes: list[str]
) -> None:
    path = remade(small, f"* replace ({rank}::integer as c_vol_rank), c_as_of - interval 13 hour as u_harm_signal__observed_at")
    for row in decide(path, shrinks=shrinks):
        assert [code for code in row[2] if "HARM" in code] == codes


def test_a_shop_that_looks_at_no_market_knows_no_stress(small: Path) -> None:
    path = remade(small, "* replace (2 as c_vol_rank), c_as_of - interval 13 hour as u_harm_signal__observed_at")
    table = duckdb.connect().execute(f"from '{path}'").to_arrow_table()
    blind = replace(POLICY, market_basket=())
    assert all("VUL_HARM_SIGNAL_UNKNOWN" not in row["codes"] for row in evaluation.evaluate_rows(blind, table, shrinks=True))
