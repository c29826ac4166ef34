"""A policy with anything wrong in it does not load, and says everything that is wrong at once."""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from candor.errors import PolicyError
from candor.policy import load
from candor.policy.reading import instant
from candor.policy.store import contents

SOURCE = Path(__file__).resolve().parents[3] / "policy"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SOURCE, tmp_path / "policy")
    return tmp_path / "policy"


def change(folder: Path, file: str, before: str, after: str) -> int:
    """Replace the first `before` in `file`; gives the line where it stood."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{file} no longer contains {before!r}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return text[: text.index(before)].count("\n") + 1


WRONG = [
    pytest.param(
        "silos.yml",
        "table: surveys.responses",
        "table: surveys.answers",
        "the landing contract has no such table",
        id="silo_unknown",
    ),
    pytest.param(
        "silos.yml",
        "table: surveys.responses",
        "table: surveys.answers",
        "surveys.responses: is missing; every table of the landing contract needs a row",
        id="silo_left_out",
    ),
    pytest.param(
        "silos.yml",
        "{table: compliance.restrictions, when_late: stop",
        "{table: compliance.restrictions, when_late: degrade",
        "a restricted table must stop the run when it is late",
        id="compliance_may_not_be_late",
    ),
    pytest.param(
        "silos.yml",
        "{table: catalogue.past_assignments, when_late: degrade, late_after_hours: 26, needed_for: []",
        "{table: catalogue.past_assignments, when_late: degrade, late_after_hours: 26, needed_for: [facts]",
        "no fact with a max_age_hours is made of it",
        id="silo_without_facts",
    ),
    pytest.param(
        "silos.yml", "needed_for: [stages]", "needed_for: [stage]", "knows no stage", id="silo_needed_for_nothing_known"
    ),
    pytest.param(
        "fatf.yml", '"IR", "KP"', '"IRN", "KP"', "a country is two capitals (ISO 3166-1), is 'IRN'", id="fatf_country"
    ),
    pytest.param(
        "fatf.yml", "- list: IM", "- list: CFA", "holds at the same time as CFA from 2026-06-19", id="fatf_lists_overlap"
    ),
    pytest.param("fatf.yml", "to: null", 'to: "2026-06-19T00:00:00Z"', "must be later than from", id="fatf_list_never_holds"),
    pytest.param(
        "fatf.yml", "- list: IM", "- list: grey", "list must be one of CFA, IM, is 'grey'", id="fatf_list_nobody_knows"
    ),
    pytest.param("silos.yml", "late_after_hours: 26", "late_after_hours: 0", "must be at least 1, is 0", id="silo_always_late"),
    pytest.param("silos.yml", "owner: data", "owner: nobody", "owner must be a role of owners.yml", id="silo_without_owner"),
    pytest.param(
        "texts.yml", "  KYC_EXPIRED:", "  FC_EMBARGO:", "so nobody may be told of it", id="text_for_a_restricted_code"
    ),
    pytest.param(
        "texts.yml", "  KYC_EXPIRED:", "  BRD_NOT_APPROVED:", "so nobody may be told of it", id="text_for_an_internal_code"
    ),
    pytest.param("texts.yml", "otherwise:", "else:", "otherwise", id="no_constant_sentence"),
    pytest.param("pack.yaml", '"m_rank < 1"', '"m_rnak < 1"', "reads the undeclared fact m_rnak", id="undeclared_fact"),
    pytest.param(
        "pack.yaml",
        "facts: [o_incentive, m_rank]",
        "facts: [o_incentive]",
        "reads m_rank, which its `facts` do not declare",
        id="fact_not_listed",
    ),
    pytest.param(
        "pack.yaml",
        "facts: [u_embargo]",
        "facts: [u_embargo, u_erasure]",
        "declares u_erasure, which no expression reads",
        id="fact_listed_for_nothing",
    ),
    pytest.param(
        "pack.yaml",
        "code: FC_EMBARGO",
        "code: FC_SANCTIONED",
        "code FC_SANCTIONED already belongs to FC-001",
        id="code_of_two_rules",
    ),
    pytest.param(
        "pack.yaml",
        "code: AGE_MINOR_SIGNAL",
        "code: AGE_UNDER_18",
        "code AGE_UNDER_18 is there twice",
        id="code_twice_in_a_rule",
    ),
    pytest.param("pack.yaml", "id: FC-002", "id: FC-001", "versions 1 and 1 overlap in time", id="overlapping_versions"),
    pytest.param("pack.yaml", "id: FC-002", "id: FC-001", "version 1 is there twice", id="version_twice"),
    pytest.param("pack.yaml", "  grain: user\n", "  grane: user\n", "unknown key 'grane'", id="unknown_key"),
    pytest.param("pack.yaml", "  grain: user\n", "  grane: user\n", "grain is missing", id="missing_key"),
    pytest.param("pack.yaml", "effect: HOLD", "effect: WARN", "effect must be one of BLOCK, HOLD, DEMOTE", id="unknown_effect"),
    pytest.param(
        "pack.yaml", "2023-10-08T00:00 Europe/London", "2023-10-08T00:00", "must say its zone", id="legal_date_without_zone"
    ),
    pytest.param(
        "pack.yaml",
        "2023-10-08T00:00 Europe/London",
        "2023-10-08T00:00 Europe/Londres",
        "names no known time zone",
        id="unknown_zone",
    ),
    pytest.param(
        "pack.yaml",
        '"NOT u_embargo"',
        '"NOT u_embargo; drop table x"',
        "an expression is one predicate",
        id="more_than_a_predicate",
    ),
    pytest.param(
        "pack.yaml",
        '"NOT u_embargo"',
        '"NOT (select u_embargo)"',
        "'select' is neither a fact nor a word",
        id="a_query_in_an_expression",
    ),
    pytest.param(
        "pack.yaml",
        '"NOT u_embargo"',
        '"NOT u_embargo AND m_rank < 9"',
        "reads m_rank, which is not known at grain user",
        id="fact_of_another_grain",
    ),
    pytest.param(
        "pack.yaml",
        'products: ["derivatives"]',
        'products: ["derivates"]',
        "product line 'derivates' is not in the matrix",
        id="unknown_product_in_scope",
    ),
    pytest.param(
        "pack.yaml",
        'channels: ["sms"]',
        'channels: ["text"]',
        "no channel is called 'text' by the rules",
        id="unknown_channel_in_scope",
    ),
    pytest.param(
        "pack.yaml",
        "approved_by: [policy-owner, second-person]",
        "approved_by: [policy-owner, policy-owner]",
        "two different people",
        id="approved_alone",
    ),
    pytest.param(
        "shops/crypto.yml",
        '"GB": {regimes: ["GB"]',
        '"GB": {regimes: [true]',
        "must be a list of texts",
        id="regime_that_is_no_text",
    ),
    pytest.param(
        "shops/crypto.yml",
        '"GB": {regimes: ["GB"], permission: "GB"}',
        '"GB": {regimes: ["GB"], permission: "UK"}',
        "permission regime 'UK'",
        id="permission_elsewhere",
    ),
    pytest.param(
        "shops/crypto.yml", "approp: false", "approp: no", "approp must be true or false, is 'no'", id="yaml_1_1_truth"
    ),
    pytest.param("shops/crypto.yml", 'open: "08:00"', "open: 8:00", "wall-clock time", id="unquoted_clock"),
    pytest.param(
        "shops/crypto.yml",
        '{regime: "GB", client_class: retail',
        '{regime: "XX", client_class: retail',
        "no market has the regime 'XX'",
        id="unknown_regime",
    ),
    pytest.param(
        "shops/crypto.yml",
        "[education, spot], from",
        "[education, spott], from",
        "product line 'spott' is not in the matrix",
        id="unknown_product",
    ),
    pytest.param(
        "shops/crypto.yml", "shop: crypto", "shop: retail", "must be 'crypto', as the file is called", id="file_of_another_shop"
    ),
    pytest.param("channels.yml", "channel: push", "channel: sms", "sms: is there twice", id="channel_twice"),
    pytest.param("channels.yml", "slots: 3", "slots: 0", "slots must be at least 1", id="no_slots"),
    pytest.param("limits.yml", "value: 36\n", 'value: "36"\n', "value must be a number", id="number_as_text"),
    pytest.param("limits.yml", "offer_validity_hours", "offer_validity", "offer_validity_hours is missing", id="limit_missing"),
    pytest.param(
        "limits.yml",
        "from_rank: 3, hours: 30",
        "from_rank: 3, hours: 37",
        "hours must not grow with rank: 37, but 36 from rank 2",
        id="class_that_lives_longer_than_a_safer_one",
    ),
    pytest.param(
        "limits.yml",
        "hours_stressed: 12",
        "hours_stressed: 40",
        "hours_stressed must be from 1 to its hours, 36",
        id="longer_in_stress",
    ),
    pytest.param(
        "limits.yml", "hours_stressed: 3,", "hours_stressed: 0,", "hours_stressed must be from 1", id="no_life_in_stress"
    ),
    pytest.param(
        "limits.yml",
        "promotions, from_rank: 0",
        "promotions, from_rank: 1",
        "promotions need a row from rank 0",
        id="rank_without_a_limit",
    ),
    pytest.param(
        "limits.yml", "promotions, from_rank: 3", "promotions, from_rank: 2", "is there twice", id="rank_with_two_limits"
    ),
    pytest.param("limits.yml", "offers: education", "offers: lessons", "offers must be one of", id="limit_of_no_kind_of_offer"),
    pytest.param(
        "facts.yml",
        "max_age_stressed_hours: 336",
        "max_age_stressed_hours: 721",
        "must be from 1 to its max_age_hours, 720",
        id="fact_that_lives_longer_in_stress",
    ),
    pytest.param(
        "facts.yml",
        "max_age_hours: 24, max_age_stressed_hours: 12, propagate: counter",
        "max_age_stressed_hours: 12, propagate: counter",
        "must be from 1 to its max_age_hours, None",
        id="fact_that_ages_only_in_stress",
    ),
    pytest.param("experiments.yml", "0.10", "1.10", "must be from 0 to below 1", id="share_above_one"),
    pytest.param("owners.yml", "roles:", "roles:\nroles:", "the key is there twice", id="key_twice"),
    pytest.param(
        "explanations.yml", "sensitivity: 2", "sensitivity: 3", "must be 0, 1 or 2 to be said", id="too_sensitive_to_say"
    ),
    pytest.param("explanations.yml", '{drivers}."', 'them."', "must say {drivers} once", id="sentence_without_drivers"),
    pytest.param("explanations.yml", "at_least: 1}", "at_least: 0}", "must be below 0", id="driver_that_everybody_has"),
    pytest.param("explanations.yml", ', de: "Sie Produkte', ', fr: "Sie Produkte', "has no words in de", id="language_missing"),
    pytest.param("explanations.yml", "most_drivers: 2", "most_drivers: 9", "most_drivers 1 to 3", id="too_many_drivers"),
    pytest.param("explanations.yml", "driver: visits", "driver: line_used", "is there twice", id="driver_twice"),
    pytest.param("objectives.yml", "name: trust_lambda", "name: trust_lambada", "trust_lambda is missing", id="weight_missing"),
    pytest.param("objectives.yml", "name: trust_lambda", "name: trust_lambada", "nothing reads it", id="weight_unknown"),
    pytest.param(
        "objectives.yml", "value: 0.5", "value: 1.5", "trust_floor: must be from 0 to 1, is 1.5", id="feedback_that_adds"
    ),
    pytest.param("shops/crypto.yml", "dormant: 1}", "dormant: -1}", "dormant must be at least 0", id="negative_ratio"),
    pytest.param("shops/crypto.yml", ", dormant: 1}", "}", "dormant is missing", id="ratio_of_no_stage"),
    pytest.param(
        "shops/crypto.yml", "incentive_budget_usd: null", "incentive_budget_usd: -5", "must be at least 0", id="negative_budget"
    ),
    pytest.param(
        "shops/crypto.yml",
        "incentive_budget_usd: null",
        "incentive_budget_usd: much",
        "incentive_budget_usd",
        id="budget_in_words",
    ),
    pytest.param("objectives.yml", "objectives/1", "objectives/2", "must be objectives/1", id="unknown_schema"),
    pytest.param(
        "facts.yml", "visibility: restricted", "visibility: secret", "visibility must be one of", id="unknown_visibility"
    ),
]


@pytest.mark.parametrize(("file", "before", "after", "expected"), WRONG)
def test_what_is_wrong_is_named_with_its_file(folder: Path, file: str, before: str, after: str, expected: str) -> None:
    change(folder, file, before, after)
    with pytest.raises(PolicyError, match=re.escape(expected)) as raised:
        load(folder, "crypto")
    assert any(expected in line and line.startswith(file) for line in raised.value.message.splitlines())


def test_all_problems_come_at_once_with_their_lines(folder: Path) -> None:
    first = change(folder, "pack.yaml", '"NOT u_embargo"', '"NOT u_embargoed"')
    second = change(folder, "channels.yml", "is_push: true", "is_push: yes")
    (folder / "limits.yml").unlink()
    with pytest.raises(PolicyError) as raised:
        load(folder, "crypto")
    text = raised.value.message
    assert f"pack.yaml:{first}: rule FC-004 v1: reads the undeclared fact u_embargoed" in text
    assert f"channels.yml:{second}: email: is_push must be true or false, is 'yes'" in text
    assert "limits.yml: the file is missing" in text


def test_norway_stays_a_country_without_quotes(folder: Path) -> None:
    change(folder, "shops/crypto.yml", "regime_map:\n", "regime_map:\n  NO: {regimes: [NO, EEA], permission: EEA}\n")
    assert load(folder, "crypto").regime_map["NO"] == (("NO", "EEA"), "EEA")


def test_the_version_names_the_content_not_the_layout(folder: Path) -> None:
    version = load(folder, "crypto").version
    assert re.fullmatch(r"[0-9a-f]{16}", version)
    (folder / "limits.yml").write_text("# another comment\n" + (folder / "limits.yml").read_text(), encoding="utf-8")
    assert load(folder, "crypto").version == version
    change(folder, "limits.yml", "value: 36\n", "value: 24\n")
    assert load(folder, "crypto").version != version


def test_another_shop_is_another_file_with_a_pack_of_its_own(folder: Path) -> None:
    change(folder, "shops/crypto.yml", "shop: crypto", "shop: bazaar")
    change(folder, "shops/crypto.yml", "pack: pack.yaml", "pack: pack_bazaar.yaml")
    (folder / "shops" / "crypto.yml").rename(folder / "shops" / "bazaar.yml")
    (folder / "pack.yaml").rename(folder / "pack_bazaar.yaml")
    change(folder, "pack_bazaar.yaml", "id: crypto-marketing-global", "id: bazaar-marketing")
    assert load(folder, "bazaar").pack_id == "bazaar-marketing"


def leave_out(folder: Path, what: str) -> int:
    """Write `leaves_out` into the retail shop; gives the line of what it holds."""
    line = change(folder, "shops/retail.yml", "leaves_out:\n  UK-007: sells no derivatives\n", f"leaves_out:\n  {what}\n")
    return line + 1


def test_a_shop_without_derivatives_leaves_out_the_rule_about_them_and_has_all_others(folder: Path) -> None:
    crypto, retail = load(folder, "crypto"), load(folder, "retail")
    assert set(retail.leaves_out) == {"UK-007", "EU-004", "US-003"}
    everything, kept = ([*shop.rules, *shop.waiting] for shop in (crypto, retail))
    assert {rule.rule_id for rule in everything} - {rule.rule_id for rule in kept} == set(retail.leaves_out)
    assert [rule for rule in everything if rule.rule_id not in retail.leaves_out] == kept
    assert not crypto.leaves_out
    assert ("UK-007", "sells no derivatives") in contents(retail)["rules_left_out"]


def test_a_rule_left_out_is_part_of_the_version(folder: Path) -> None:
    version = load(folder, "retail").version
    leave_out(folder, "UK-007: sells none of them")
    assert load(folder, "retail").version != version


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        pytest.param("UK-999: sells none", "leaves_out UK-999: the pack has no such rule", id="unknown_rule"),
        pytest.param('UK-007: ""', "leaves_out UK-007: its reason must be text, is ''", id="empty_reason"),
        pytest.param("UK-007: null", "leaves_out UK-007: its reason must be text, is None", id="no_reason"),
        pytest.param("FC-001: in our way", "leaves_out FC-001: the rule concerns every product line", id="rule_for_everybody"),
    ],
)
def test_a_rule_cannot_be_left_out_without_a_reason_that_holds(folder: Path, what: str, expected: str) -> None:
    line = leave_out(folder, what)
    with pytest.raises(PolicyError, match=re.escape(f"shops/retail.yml:{line}: {expected}")):
        load(folder, "retail")


def test_a_rule_about_what_the_shop_sells_cannot_be_left_out(folder: Path) -> None:
    change(folder, "shops/crypto.yml", "pack: pack.yaml\n", "pack: pack.yaml\nleaves_out:\n  UK-007: in our way\n")
    with pytest.raises(PolicyError, match="leaves_out UK-007: the rule concerns derivatives, so it cannot be left out"):
        load(folder, "crypto")


def test_a_product_line_may_say_that_its_outcome_needs_the_offer(folder: Path) -> None:
    needs = {row[0]: row[5] for row in contents(load(folder, "retail"))["product_lines"]}
    assert needs["coupons_1"] is True
    assert needs["groceries"] is False
    change(folder, "shops/retail.yml", "outcome_needs_offer: true", "outcome_needs_offer: yes")
    with pytest.raises(PolicyError, match="outcome_needs_offer must be true or false, is 'yes'"):
        load(folder, "retail")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-10-08T00:00 Europe/London", "2023-10-07T23:00:00"),
        ("2027-10-25T00:00 Europe/London", "2027-10-24T23:00:00"),
        ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00"),
        ("2026-11-23T00:00+01:00", "2026-11-22T23:00:00"),
    ],
)
def test_a_legal_local_date_is_a_utc_instant(text: str, expected: str) -> None:
    assert instant(text) == datetime.fromisoformat(expected)
