"""A change of policy is said in words, with the way it can move decisions, and none goes unsaid."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from candor.errors import UsageError
from candor.policy import differences, finding, load
from candor.policy.command import app
from candor.policy.directions import EITHER, NOTHING, PERMITS, RESTRICTS, is_read_one_way
from candor.policy.loading import read_files
from candor.policy.reading import Problems
from candor.settings import PROJECT_ROOT, Settings

SOURCE = PROJECT_ROOT / "policy"
POLICY = load(SOURCE, "crypto")
UK_002 = (
    '  scope: {regimes: ["GB"], client_class: ["retail"], products: null, channels: null, promotion_only: true}\n'
    "  when: \"o_incentive <> 'none'\"\n"
)


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "draft")
    return tmp_path / "draft"


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


GB = 'client_class: retail, products: [education, fiat_wallet, stablecoin, spot, staking, nft], from: "2021-01-01T00:00Z"'
SPOT = "{product: spot,        rank: 2, min_kyc: 1, approp: true,  vol_max: 2, profiles: [moderate, aggressive]"
CHANGES = [
    pytest.param(
        "pack.yaml", UK_002, UK_002.replace('["retail"]', "null"), "rules", "UK-002 v1", RESTRICTS, id="scope_of_everybody"
    ),
    pytest.param(
        "pack.yaml",
        UK_002,
        UK_002.replace('["GB"]', '["GB", "SG"]'),
        "rules",
        "UK-002 v1",
        RESTRICTS,
        id="scope_of_more_regimes",
    ),
    pytest.param(
        "pack.yaml",
        UK_002,
        UK_002.replace("promotion_only: true", "promotion_only: false"),
        "rules",
        "UK-002 v1",
        RESTRICTS,
        id="scope_of_all_messages",
    ),
    pytest.param(
        "pack.yaml",
        UK_002,
        UK_002.replace("channels: null", "channels: [email]"),
        "rules",
        "UK-002 v1",
        PERMITS,
        id="scope_of_one_channel",
    ),
    pytest.param(
        "pack.yaml", UK_002, UK_002.replace("<> 'none'", "= 'referral'"), "rules", "UK-002 v1", EITHER, id="another_condition"
    ),
    pytest.param(
        "pack.yaml",
        '"2023-10-08T00:00 Europe/London"',
        '"2027-10-08T00:00 Europe/London"',
        "rules",
        "UK-001 v1",
        PERMITS,
        id="later_start",
    ),
    pytest.param(
        "pack.yaml",
        'code: UK_INCENTIVE_BAN, require: "m_rank < 1"',
        'code: UK_INCENTIVE_BAN, require: "m_rank < 2"',
        "rules",
        "UK-002 v1",
        EITHER,
        id="another_requirement",
    ),
    pytest.param("pack.yaml", "penalty: 1500", "penalty: 1600", "rules", "BRD-002 v1", RESTRICTS, id="higher_penalty"),
    pytest.param("pack.yaml", "Paragraph numbers (public", "The numbers (public", "rules", "UK-002 v1", NOTHING, id="citation"),
    pytest.param(
        "pack.yaml", 'valid_to: "2027-02-21T', 'valid_to: "2027-02-20T', "pack", "valid_to", RESTRICTS, id="pack_ends_earlier"
    ),
    pytest.param(
        "pack.yaml",
        "[policy-owner, second-person]",
        "[policy-owner, third-person]",
        "pack",
        "approved_by",
        NOTHING,
        id="approvals",
    ),
    pytest.param(
        "shops/crypto.yml",
        GB,
        GB.replace("nft", "nft, defi"),
        "permissions",
        "defi to retail clients in GB",
        PERMITS,
        id="permission_of_one_product_more",
    ),
    pytest.param(
        "shops/crypto.yml",
        GB,
        GB.replace(", nft", ""),
        "permissions",
        "nft to retail clients in GB",
        RESTRICTS,
        id="permission_of_one_product_less",
    ),
    pytest.param(
        "shops/crypto.yml",
        GB,
        GB.replace("2021", "2022"),
        "permissions",
        "spot to retail clients in GB",
        RESTRICTS,
        id="permission_from_later",
    ),
    pytest.param(
        "shops/crypto.yml", SPOT, SPOT.replace("rank: 2", "rank: 3"), "product_lines", "spot", RESTRICTS, id="riskier_line"
    ),
    pytest.param(
        "shops/crypto.yml",
        SPOT,
        SPOT.replace("approp: true", "approp: false"),
        "product_lines",
        "spot",
        PERMITS,
        id="line_without_a_test",
    ),
    pytest.param(
        "shops/crypto.yml",
        SPOT,
        SPOT.replace("vol_max: 2", "vol_max: 1"),
        "product_lines",
        "spot",
        RESTRICTS,
        id="line_for_calmer_markets",
    ),
    pytest.param(
        "shops/crypto.yml",
        SPOT,
        SPOT.replace("[moderate,", "[conservative, moderate,"),
        "product_lines",
        "spot",
        PERMITS,
        id="line_for_more_profiles",
    ),
    pytest.param(
        "shops/crypto.yml",
        '"GB": {regimes: ["GB"]',
        '"GB": {regimes: ["GB", "EEA"]',
        "regime_map",
        "GB",
        RESTRICTS,
        id="market_under_one_more_regime",
    ),
    pytest.param(
        "shops/crypto.yml",
        '"*", dow: [1, 2, 3, 4, 5, 6, 7], open: "08:00"',
        '"*", dow: [1, 2, 3, 4, 5, 6, 7], open: "09:00"',
        "quiet_hours",
        "* on ISO weekday 7",
        RESTRICTS,
        id="shorter_day",
    ),
    pytest.param(
        "shops/crypto.yml",
        '"*", dow: [1, 2, 3, 4, 5, 6, 7]',
        '"*", dow: [1, 2, 3, 4, 5, 6]',
        "quiet_hours",
        "* on ISO weekday 7",
        PERMITS,
        id="no_quiet_hours_on_sundays",
    ),
    pytest.param(
        "shops/crypto.yml",
        "latency_margin_min: 10",
        "latency_margin_min: 5",
        "shop",
        "latency_margin_min",
        PERMITS,
        id="smaller_margin",
    ),
    pytest.param(
        "shops/crypto.yml",
        "incentive_budget_usd: null",
        "incentive_budget_usd: 100",
        "shop",
        "incentive_budget_usd",
        RESTRICTS,
        id="a_budget",
    ),
    pytest.param("channels.yml", "email,   slots: 1", "email,   slots: 2", "channels", "email", PERMITS, id="one_slot_more"),
    pytest.param("limits.yml", "value: 36", "value: 35", "limits", "offer_validity_hours", RESTRICTS, id="shorter_validity"),
    pytest.param(
        "limits.yml",
        "from_rank: 3, hours: 30",
        "from_rank: 3, hours: 24",
        "limits staleness",
        "promotions from rank 3",
        RESTRICTS,
        id="shorter_life_of_a_class",
    ),
    pytest.param(
        "limits.yml",
        "hours_stressed: 12",
        "hours_stressed: 20",
        "limits staleness",
        "promotions from rank 2",
        PERMITS,
        id="longer_life_in_stress",
    ),
    pytest.param(
        "facts.yml",
        "u_harm_signal: {type: bool, max_age_hours: 24, max_age_stressed_hours: 12,",
        "u_harm_signal: {type: bool, max_age_hours: 24,",
        "facts",
        "u_harm_signal",
        PERMITS,
        id="fact_that_no_longer_ages_faster_in_stress",
    ),
    pytest.param("objectives.yml", "value: 1.0", "value: 1.5", "objectives", "value_weight", EITHER, id="weight"),
    pytest.param(
        "brand.yml",
        "language: en, max_lix: 50",
        "language: en, max_lix: 40",
        "brand languages",
        "en",
        RESTRICTS,
        id="plainer_words",
    ),
    pytest.param("owners.yml", "holder: growth-finance", "holder: finance", "owners", "finance", NOTHING, id="another_holder"),
]


@pytest.mark.parametrize(("file", "before", "after", "part", "subject", "direction"), CHANGES)
def test_a_change_is_named_with_the_way_it_can_move_decisions(
    draft: Path, file: str, before: str, after: str, part: str, subject: str, direction: str
) -> None:
    edit(draft, file, before, after)
    _, _, changes = differences.between(SOURCE, draft, "crypto")
    found = [change for change in changes if (change.part, change.subject) in ((part, subject), ("roles", subject))]
    assert found, [(change.part, change.subject) for change in changes]
    assert {change.direction for change in found} == {direction}
    assert {change.direction for change in changes} == {direction}, "something else was said to differ too"
    _, _, back = differences.between(draft, SOURCE, "crypto")
    turned = {RESTRICTS: PERMITS, PERMITS: RESTRICTS}.get(direction, direction)
    assert {change.direction for change in back} == {turned}, "the way back goes the other way"


def test_a_rule_removed_can_only_permit_and_says_what_it_was(draft: Path) -> None:
    without_rule(draft, "UK-002")
    _, _, changes = differences.between(SOURCE, draft, "crypto")
    (change,) = changes
    assert (change.subject, change.direction) == ("UK-002 v1", PERMITS)
    assert "UK_INCENTIVE_BAN" in change.what
    assert "COBS 4.12A" in change.what
    assert change.whom == "promotions to people in GB who are retail, when o_incentive <> 'none'"
    (added,) = differences.between(draft, SOURCE, "crypto")[2]
    assert added.direction == RESTRICTS


def test_a_rule_that_reads_the_matrix_otherwise_takes_the_direction_away(draft: Path) -> None:
    assert is_read_one_way("m_rank", [POLICY])
    edit(draft, "pack.yaml", 'code: UK_INCENTIVE_BAN, require: "m_rank < 1"', 'code: UK_INCENTIVE_BAN, require: "m_rank > 1"')
    edit(draft, "shops/crypto.yml", SPOT, SPOT.replace("rank: 2", "rank: 3"))
    _, _, changes = differences.between(SOURCE, draft, "crypto")
    assert [change.direction for change in changes if change.part == "product_lines"] == [EITHER]


def test_the_same_policy_has_no_difference_whatever_its_layout(draft: Path) -> None:
    edit(draft, "limits.yml", "schema: limits/1", "# another comment\nschema: limits/1")
    old, new, changes = differences.between(SOURCE, draft, "crypto")
    assert changes == []
    assert differences.told(old, new, changes) == f"no difference: both are policy {POLICY.version}"


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in the files."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    elif path[-1] != "schema":
        yield path


# Values that must keep their form: instants, clocks, and words of a short list.
FORMED = {"from", "to", "valid_from", "valid_to", "judges_from", "judges_to", "since", "until", "effect"}


@pytest.mark.parametrize("seed", range(60))
def test_no_value_of_any_file_changes_unsaid(seed: int) -> None:
    of = random.Random(seed)
    then = read_files(SOURCE, "crypto", Problems())
    assert None not in then.values()
    files = sorted(then)
    for _ in range(20):
        now = copy.deepcopy(then)
        file = of.choice(files)
        choices = [path for path in leaves(now[file]) if not FORMED & set(path)]
        if not choices:
            continue
        path = of.choice(choices)
        place: Any = now[file]
        for key in path[:-1]:
            place = place[key]
        old = place[path[-1]]
        place[path[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, int | float) else f"{old or ''}x"
        assert differences._changes(then, now, (POLICY, POLICY)), f"{file} {path}: {old!r} became {place[path[-1]]!r} unsaid"


def test_the_command_prints_changes_and_exits_with_0_and_with_2_for_what_is_no_policy(
    draft: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.settings.load", lambda: settings)
    without_rule(draft, "UK-002")
    runner = CliRunner()
    answer = runner.invoke(app, ["diff", str(SOURCE), str(draft), "--json"])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.output)
    assert told["altogether"] == PERMITS
    assert [change["subject"] for change in told["changes"]] == ["UK-002 v1"]
    alone = runner.invoke(app, ["diff", str(draft / "pack.yaml")])  # nothing has run: OLD is the policy folder
    assert alone.exit_code == 0
    assert "UK-002 v1: removed" in alone.output
    wrong = runner.invoke(app, ["diff", str(SOURCE), "nothing-of-the-kind"])
    assert isinstance(wrong.exception, UsageError)
    assert wrong.exception.exit_code == 2


def test_a_remembered_version_is_found_by_its_beginning_unless_two_begin_so(settings: Settings, tmp_path: Path) -> None:
    for version in ("abcd000000000000", "abce000000000000"):
        (settings.state_dir / "policy" / version).mkdir(parents=True)
    assert finding.folder_of("abcd", settings, base=SOURCE, work=tmp_path).name == "abcd000000000000"
    with pytest.raises(UsageError, match="no policy folder"):
        finding.folder_of("abc", settings, base=SOURCE, work=tmp_path)
    (settings.state_dir / "policy" / "abcd100000000000").mkdir()
    with pytest.raises(UsageError, match="begins several remembered versions: abcd000000000000, abcd100000000000"):
        finding.folder_of("abcd", settings, base=SOURCE, work=tmp_path)
