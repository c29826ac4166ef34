"""What a simulated policy would do to a run is what a run under that policy does, and simulating changes nothing of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from candor import pipeline, policy, warehouse
from candor.errors import PolicyError, UsageError
from candor.policy import differences, rebuilding, simulation
from candor.policy.command import app
from candor.policy.directions import PERMITS, RESTRICTS
from candor.policy.rebuilding import Rebuilt
from candor.settings import PROJECT_ROOT, Settings
from tests.integration.conftest import DAY, Shop

SOURCE = PROJECT_ROOT / "policy"
NO_MORE_INCENTIVES = """
- id: HSE-900
  v: 1
  title: No incentives at all
  effect: BLOCK
  vis: safe
  grain: offer
  from: null
  to: null
  scope: {regimes: null, client_class: null, products: null, channels: null, promotion_only: true}
  when: null
  checks:
  - {code: HSE_NO_INCENTIVES, require: "o_incentive = 'none'"}
  obligations: []
  facts: [o_incentive]
  statement: "No promotion carries an incentive."
  source: {regulator: House policy, cite: "for this test", effective: policy, confidence: high, verified: M, could_change: "no"}
  tests: []
"""


def edit(folder: Path, file: str, before: str, after: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{file} no longer contains {before!r}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def without_rule(folder: Path, rule_id: str) -> None:
    path = folder / "pack.yaml"
    head, *rules = path.read_text(encoding="utf-8").split("\n- id: ")
    kept = [rule for rule in rules if not rule.startswith(f"{rule_id}\n")]
    assert len(kept) == len(rules) - 1
    path.write_text("\n- id: ".join([head, *kept]), encoding="utf-8")


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "draft")
    return tmp_path / "draft"


def simulated(settings: Settings, folder: Path, **options: Any) -> dict[str, Any]:
    return simulation.simulate(settings, policy.load(folder, settings.shop), **options)


def files_of(state: Path) -> dict[str, str]:
    return {
        str(path.relative_to(state)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(state.rglob("*"))
        if path.is_file() and path.suffix in (".duckdb", ".parquet", ".json", ".sqlite", ".yml", ".yaml", ".wal")
    }


def test_the_same_policy_built_whole_gives_the_runs_own_rows_and_touches_no_file(shop: Shop) -> None:
    before = files_of(shop.settings.state_dir)
    own = policy.load(SOURCE, shop.settings.shop)
    with rebuilding.attached(shop.settings) as connection:
        rebuilt = Rebuilt(connection, DAY, own, own, everything=True)
        for model in ("candidates", "exclusion_counts", "exclusions", "offers_withheld"):
            rebuilt.relation(model)
        models = {file.stem for file in (PROJECT_ROOT / "dbt_project" / "models" / "eligibility").glob("*.sql")}
        assert models - set(rebuilt.built) == set(), "models that the simulation does not build"
        for model in rebuilt.built:
            own_rows, rows = rebuilt.of_the_run(model), f"memory.eligibility.{model}"
            for one, other in ((own_rows, rows), (rows, own_rows)):
                (differing,) = connection.execute(f"select count(*) from (from {one} except all from {other})").fetchall()[0]
                assert differing == 0, f"{differing} rows of {one} are not in {other}"
    result = simulated(shop.settings, SOURCE, everything=True)
    assert result["total"]["pairs_before"] > 10_000
    assert result["served"]["total"]["served"] > 1_000
    moved = ("pairs_gained", "pairs_lost", "people_gaining", "people_losing")
    assert {result["total"][name] for name in moved} == {0}
    assert (result["codes"], result["pairs_ranked_otherwise"], result["pairs_timed_otherwise"]) == ([], 0, 0)
    assert result["served"]["total"]["falling_away"] == 0
    assert files_of(shop.settings.state_dir) == before


def test_without_a_rule_it_says_what_the_stage_decides_under_that_policy(copied: Shop, draft: Path) -> None:
    without_rule(draft, "UK-002")
    edit(draft, "shops/crypto.yml", "latency_margin_min: 10", "latency_margin_min: 30")
    edit(draft, "shops/crypto.yml", "staking, nft, derivatives]", "staking, nft]")
    settings = copied.settings
    wanted = policy.load(draft, settings.shop)
    result = simulated(settings, draft, may_see_restricted=True)
    assert result["total"]["people_gaining"] > 0, "nobody gains, so nothing is compared"
    assert result["pairs_timed_otherwise"] > 0
    with rebuilding.attached(settings) as connection:
        rebuilt = Rebuilt(connection, DAY, policy.load(SOURCE, settings.shop), wanted)
        here = connection.execute(f"select * from {rebuilt.relation('candidates')} order by all").fetchall()
        counts_here = connection.execute(f"select * from {rebuilt.relation('exclusion_counts')} order by all").fetchall()

    # The same run, pinned to the draft, decides eligibility again as every run does.
    shutil.copytree(draft, settings.state_dir / "policy" / wanted.version)
    with warehouse.connect(settings) as connection:
        were = set(connection.execute("select person_id, offer_id, channel from eligibility.candidates").fetchall())
        connection.execute("update state.batches set policy_version = ? where as_of = ?", [wanted.version, warehouse.utc(DAY)])
        policy.install(connection, settings, simulation.Run(DAY, copied.run_id, 2, wanted.version, None))
    pipeline.run_stage("eligibility", DAY, settings)
    with warehouse.connect(settings) as connection:
        there = connection.execute("select * from eligibility.candidates order by all").fetchall()
        counts_there = connection.execute("select * from eligibility.exclusion_counts order by all").fetchall()
        are = set(connection.execute("select person_id, offer_id, channel from eligibility.candidates").fetchall())
        served = connection.execute("select person_id, offer_id, channel from decisions.staged_offers").fetchall()
    assert here == there
    assert counts_here == counts_there
    assert result["total"]["pairs_gained"] == len(are - were)
    assert result["total"]["pairs_lost"] == len(were - are)
    assert result["total"]["people_gaining"] == len({person for person, _, _ in are - were})
    lost = {person for person, _, _ in were} - {person for person, _, _ in are}
    assert result["people_left_without_anything"] == len(lost)
    assert result["served"]["total"]["falling_away"] == sum(row not in are for row in served)
    by_market = {row["name"]: row["pairs_gained"] for row in result["by"]["market"]}
    assert by_market["GB"] > 0
    assert sum(by_market.values()) == len(are - were)


SPOT = "product: spot,        rank: 2, min_kyc: 1, approp: true,  vol_max: 2, profiles: [moderate, aggressive]"
GB = 'client_class: retail, products: [education, fiat_wallet, stablecoin, spot, staking, nft], from: "2021'
CHANGES = [
    pytest.param("pack.yaml", "\nrules:\n", f"\nrules:{NO_MORE_INCENTIVES}", RESTRICTS, id="a_stricter_rule"),
    pytest.param("shops/crypto.yml", SPOT, SPOT.replace("min_kyc: 1", "min_kyc: 2"), RESTRICTS, id="more_checks_for_spot"),
    pytest.param("shops/crypto.yml", SPOT, SPOT.replace("approp: true", "approp: false"), PERMITS, id="spot_without_a_test"),
    pytest.param("shops/crypto.yml", SPOT, SPOT.replace("[mod", "[conservative, mod"), PERMITS, id="spot_for_more_profiles"),
    pytest.param("shops/crypto.yml", GB, GB.replace(", spot, staking, nft", ""), RESTRICTS, id="fewer_permissions"),
    pytest.param("brand.yml", "language: en, max_lix: 50", "language: en, max_lix: 20", RESTRICTS, id="plainer_words"),
    pytest.param(
        "shops/crypto.yml", '"DE": {regimes: ["EEA", "DE"]', '"DE": {regimes: ["EEA", "DE", "GB"]', RESTRICTS, id="two_laws"
    ),
]


@pytest.mark.parametrize(("file", "before", "after", "direction"), CHANGES)
def test_what_can_only_restrict_only_takes_and_what_can_only_permit_only_gives(
    shop: Shop, draft: Path, file: str, before: str, after: str, direction: str
) -> None:
    edit(draft, file, before, after)
    _, _, changes = differences.between(SOURCE, draft, shop.settings.shop)
    assert {change.direction for change in changes} == {direction}
    total = simulated(shop.settings, draft)["total"]
    moved = {RESTRICTS: ("pairs_lost", "pairs_gained"), PERMITS: ("pairs_gained", "pairs_lost")}[direction]
    assert total[moved[0]] > 0, "nothing moved, so nothing is shown"
    assert total[moved[1]] == 0


def test_the_command_hides_few_people_and_restricted_rules_from_anybody(
    shop: Shop, draft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.settings.load", lambda: shop.settings)
    edit(draft, "pack.yaml", "\nrules:\n", f"\nrules:{NO_MORE_INCENTIVES}")
    runner = CliRunner()
    page, counts = tmp_path / "change.html", tmp_path / "change.json"
    answer = runner.invoke(app, ["simulate", str(draft / "pack.yaml"), "--html", str(page), "--json", str(counts)])
    assert answer.exit_code == 0, answer.output
    assert "HSE_NO_INCENTIVES" in answer.output
    assert "appears" in answer.output
    assert "<svg" in page.read_text(encoding="utf-8")
    told = json.loads(counts.read_text(encoding="utf-8"))
    people = [row[key] for rows in told["by"].values() for row in rows for key in row if key.startswith("people_")]
    assert len(people) > 100
    assert not [value for value in people if isinstance(value, int) and 0 < value < 20]
    without_rule(draft, "FC-002")
    refused = runner.invoke(app, ["simulate", str(draft)])
    assert isinstance(refused.exception, UsageError)
    assert "restricted rules differ (FC-002)" in refused.exception.message
    assert runner.invoke(app, ["simulate", str(draft), "--as", "compliance"]).exit_code == 0


def test_a_rule_of_which_the_run_lacks_a_fact_or_that_is_not_in_force_is_said_so(shop: Shop, draft: Path) -> None:
    edit(draft, "pack.yaml", "\nrules:\n", "\nrules:" + NO_MORE_INCENTIVES.replace("from: null", 'from: "2027-01-01T00:00Z"'))
    result = simulated(shop.settings, draft)
    assert (result["total"]["pairs_lost"], result["total"]["pairs_gained"]) == (0, 0)
    (said,) = result["rules_without_effect"]
    assert said == {"rule": "HSE-900 v1", "codes": "HSE_NO_INCENTIVES", "why": "is in force from 2027-01-01T00:00:00Z"}
    edit(draft, "facts.yml", "\n  u_fatf:", '\n  o_colour: {type: string, visibility: internal, meaning: "colour"}\n  u_fatf:')
    edit(draft, "pack.yaml", "o_incentive = 'none'", "o_colour = 'none'")
    edit(
        draft, "pack.yaml", 'facts: [o_incentive]\n  statement: "No promotion', 'facts: [o_colour]\n  statement: "No promotion'
    )
    with pytest.raises(PolicyError, match="HSE-900 v1 reads o_colour, which the run's facts lack at grain offer"):
        simulated(shop.settings, draft)


def test_only_the_run_that_stands_can_be_simulated(shop: Shop) -> None:
    with pytest.raises(
        UsageError, match="the warehouse holds the facts of 2026-11-23T15:00:00Z, not those of 2026-11-22T15:00:00Z"
    ):
        simulated(shop.settings, SOURCE, as_of=DAY - timedelta(days=1))
