"""A run finds the policy it was pinned to, whatever the policy folder says today."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from candor import policy, warehouse
from candor import settings as settings_module
from candor.errors import PolicyError
from candor.policy import compiling
from candor.policy.grains import ALL_GRAINS
from candor.runs import Run
from candor.settings import Settings

SOURCE = Path(__file__).resolve().parents[3] / "policy"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(SOURCE, tmp_path / "policy")
    return settings_module.load(
        {"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_POLICY_DIR": str(tmp_path / "policy"), "CANDOR_HASH_KEY": "k"}
    )


def run_of(version: str) -> Run:
    return Run(datetime(2026, 11, 23, 15, tzinfo=UTC), "r1", 1, version, None)


def test_a_changed_policy_is_another_version_and_leaves_the_runs_own_alone(settings: Settings) -> None:
    version = policy.snapshot(settings)
    assert policy.snapshot(settings) == version
    limits = settings.policy_dir / "limits.yml"
    limits.write_text(limits.read_text(encoding="utf-8").replace("value: 36", "value: 12"), encoding="utf-8")
    assert policy.snapshot(settings) != version
    assert policy.for_run(settings, run_of(version)).limits["offer_validity_hours"][0] == 36
    assert not list((settings.state_dir / "policy").glob(".*")), "a half-made snapshot was left behind"


def test_a_run_without_its_snapshot_or_with_another_one_stops(settings: Settings) -> None:
    with pytest.raises(PolicyError, match="there is no snapshot"):
        policy.for_run(settings, run_of("0000000000000000"))
    version = policy.snapshot(settings)
    kept = settings.state_dir / "policy" / version / "limits.yml"
    kept.write_text(kept.read_text(encoding="utf-8").replace("value: 36", "value: 72"), encoding="utf-8")
    with pytest.raises(PolicyError, match="reads as version"):
        policy.for_run(settings, run_of(version))


def test_the_installed_tables_are_those_of_the_run_and_the_margin_is_taken_off(settings: Settings) -> None:
    run = run_of(policy.snapshot(settings))
    with warehouse.scratch(settings) as connection:
        for _ in range(2):
            assert policy.install(connection, settings, run) == run.policy_version
        pack = connection.execute("select version, valid_from, valid_to from policy.pack").fetchall()
        closes = connection.execute("select distinct closes_minute from policy.quiet_hours where regime = '*'").fetchall()
        kinds = connection.execute(
            "select kind from policy.outcome_kinds where product_line = 'staking' order by kind"
        ).fetchall()
        visibilities = dict(
            connection.execute(
                "select code, visibility from policy.rule_codes where code in ('FC_EMBARGO_UNKNOWN', 'JUR_UNKNOWN')"
            ).fetchall()
        )
        slots = dict(connection.execute("select channel, slots from policy.channels").fetchall())
    assert pack == [(run.policy_version, datetime.fromisoformat("2026-11-23"), datetime.fromisoformat("2027-02-21"))]
    assert closes == [(20 * 60 + 50,)]
    assert kinds == [("stake",), ("trade",)]
    assert visibilities == {"FC_EMBARGO_UNKNOWN": "restricted", "JUR_UNKNOWN": "safe"}
    assert slots == {"web": 3, "app": 3, "email": 1, "sms": 1, "push": 1, "chatbot": 1}


def test_every_check_compiles_to_one_select_and_a_grain_without_rules_to_none(settings: Settings) -> None:
    loaded = policy.load(settings.policy_dir, "crypto")
    given = policy.dbt_vars(settings, run_of(policy.snapshot(settings)))["compiled_rules"]
    assert set(given) == set(ALL_GRAINS)
    rules = (*compiling.engine_rules(loaded), *loaded.rules)
    for grain in ALL_GRAINS:
        expected = sum(len(rule.checks) + len(rule.obligations) for rule in rules if rule.grain == grain)
        assert given[grain].count("union all") == expected
    with warehouse.scratch(settings) as connection:
        bare = compiling.grain_sql(loaded, "user_x_channel").split("union all")[0]
        assert connection.execute(bare).fetchall() == []


@pytest.mark.parametrize(
    ("code", "rule_id", "is_unknown", "may_be_told"),
    [
        ("KYC_EXPIRED", "KYC-002", False, True),
        ("KYC_EXPIRED_UNKNOWN", "KYC-002", True, False),
        ("JUR_UNKNOWN", "JUR-001", False, False),
        ("FC_EMBARGO", "FC-004", False, False),
        ("DISC_MISSING_OPT_OUT", "BRD-004", False, False),
        ("PACK_OUT_OF_DATE", "ENG-PACK", False, False),
    ],
)
def test_a_code_is_explained_by_its_rule(code: str, rule_id: str, is_unknown: bool, may_be_told: bool) -> None:
    told = policy.explain(code, policy.load(SOURCE, "crypto"))
    assert (told["rule_id"], told["is_unknown"], told["may_be_told"]) == (rule_id, is_unknown, may_be_told)


def test_a_code_that_no_rule_gives_is_refused() -> None:
    with pytest.raises(PolicyError, match="no rule gives the code 'NOBODY'"):
        policy.explain("NOBODY", policy.load(SOURCE, "crypto"))
