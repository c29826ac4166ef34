"""One person's decisions explained: all reasons to those who may see them, and to nobody else anything that would tell."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import duckdb
import pytest

from candor.errors import CandorError, UsageError
from candor.ledger import explaining, page, published, telling
from candor.ledger.chain import LedgerBroken
from candor.ledger.roles import ROLES, role
from candor.settings import Settings
from tests.unit.ledger.conftest import World

CONSTANT = "This offer isn't available to you right now."
OPEN_ROLES = [name for name, one in ROLES.items() if not one.true_codes]
RESTRICTED = ("FC_", "VUL_", "FC-0", "VUL-00", "u_embargo", "u_adverse_media", "u_vuln_flag", "embargoed", "u_of_a_new_kind")


def answers(world: Any, person: str, name: str, **asked: str) -> dict[tuple[str, str], dict[str, Any]]:
    explained = explaining.explain(world.decisions(name), person, **asked)
    return {(one["offer_id"], one["channel"]): one for one in explained["offers"]}


def told(world: Any, person: str, name: str) -> tuple[str, str, str]:
    explained = explaining.explain(world.decisions(name), person)
    return telling.as_json(explained), telling.as_text(explained), page.page(explained)


def test_every_offer_and_channel_is_answered_and_nothing_twice(world: Any) -> None:
    for name in ROLES:
        explained = explaining.explain(world.decisions(name), "clear")
        keys = [(one["offer_id"], one["channel"]) for one in explained["offers"]]
        assert keys == [("edu_basics", "web"), ("spot_btc", "email"), ("spot_btc", "web"), ("stake_eth", "web")]


@pytest.mark.parametrize("name", OPEN_ROLES)
def test_two_people_who_differ_in_a_restricted_reason_alone_read_the_same_to_the_byte(world: Any, name: str) -> None:
    media, embargo = told(world, "media", name), told(world, "embargo", name)
    assert [text.replace("embargo", "somebody") for text in embargo] == [text.replace("media", "somebody") for text in media]


@pytest.mark.parametrize("name", OPEN_ROLES)
@pytest.mark.parametrize("person", ["media", "embargo", "vulnerable"])
def test_no_restricted_code_rule_or_fact_is_told_to_other_roles(world: Any, name: str, person: str) -> None:
    for text in told(world, person, name):
        told_of = text.replace(person, "somebody")
        assert not [secret for secret in RESTRICTED if secret in told_of]


def test_marketing_reads_one_neutral_code_where_fincrime_reads_all(world: Any) -> None:
    key = ("spot_btc", "web")
    assert answers(world, "embargo", "marketing")[key]["reasons"] == [
        {"code": "ELIG_NA", "effect": "BLOCK", "title": "Not available"}
    ]
    true = answers(world, "embargo", "fincrime")[key]["reasons"]
    assert [reason["code"] for reason in true] == ["FC_EMBARGO", "FC_SANCTIONED_UNKNOWN"]
    assert true[0]["facts"] == [
        {"fact": "u_embargo", "value": True, "from": "compliance.restrictions", "observed_at": "2026-11-23T14:31:02Z"}
    ]
    assert true[1]["is_unknown"] is True
    assert true[0]["cite"].startswith("31 CFR 515")


def test_a_restricted_reason_against_one_kind_of_offer_leaves_the_others_alone(world: Any) -> None:
    found = answers(world, "vulnerable", "marketing")
    assert [reason["code"] for reason in found["stake_eth", "web"]["reasons"]] == ["ELIG_NA"]
    assert found["spot_btc", "web"]["outcome"] == "served"


def test_compliance_reads_facts_with_their_times_and_marketing_none(world: Any) -> None:
    (reason,) = answers(world, "clear", "compliance", offer="stake_eth")["stake_eth", "web"]["reasons"]
    facts = {fact["fact"]: fact for fact in reason["facts"]}
    assert {"m_product", "o_is_promotion"} & facts.keys()
    assert all("observed_at" in fact for fact in facts.values())
    (objected,) = answers(world, "objector", "compliance", offer="spot_btc", channel="web")["spot_btc", "web"]["reasons"]
    observed = {fact["fact"]: (fact["value"], fact["observed_at"]) for fact in objected["facts"]}
    assert observed["u_dm_objection"] == (True, "2026-11-23T14:31:02Z")
    for person in ("clear", "objector"):
        for answer in answers(world, person, "marketing").values():
            assert not any("facts" in reason or "requires" in reason for reason in answer["reasons"])


@pytest.mark.parametrize("name", ["customer", "support"])
@pytest.mark.parametrize(
    ("person", "key", "shown", "sentence"),
    [
        ("clear", ("spot_btc", "web"), True, "You look at ether often."),
        ("clear", ("stake_eth", "web"), False, "This product is for people with more experience of what we offer."),
        ("objector", ("spot_btc", "web"), False, "You asked us not to send you marketing. You can change that in your privacy settings."),
        ("media", ("spot_btc", "web"), False, CONSTANT),
        ("vulnerable", ("stake_eth", "web"), False, CONSTANT),
        ("unsure", ("spot_btc", "web"), False, CONSTANT),
        ("alone", ("spot_btc", "web"), False, CONSTANT),
        ("clear", ("edu_basics", "web"), False, CONSTANT),
        ("clear", ("spot_btc", "email"), False, CONSTANT),
    ],
    ids=[
        "served", "a_code_that_may_be_told", "an_objection", "a_restricted_reason", "a_vulnerability", "something_unknown", "held_out",
        "an_internal_reason", "a_code_without_a_sentence",
    ],
)  # fmt: skip
def test_customers_and_support_read_what_may_be_said_or_the_constant_sentence(
    world: Any, name: str, person: str, key: tuple[str, str], shown: bool, sentence: str
) -> None:
    answer = answers(world, person, name)[key]
    assert answer == {"offer_id": key[0], "channel": key[1], "is_shown": shown, "sentences": [sentence]}


def test_a_served_offer_says_its_terms_and_why_it_won_and_a_held_out_one_why_it_did_not_go_out(world: Any) -> None:
    served = answers(world, "clear", "marketing")["spot_btc", "web"]
    assert served["outcome"] == "served"
    assert served["slot"] == 1
    assert served["terms"]["p_if_shown"] == pytest.approx(0.3)
    assert served["terms"]["expected_incremental_value_usd"] == "1.350000"
    assert served["why"].startswith("expected 1.350000 USD, rank 1 of 1 in web, so it has slot 1")
    assert served["told"] == "You look at ether often."
    assert "    the customer reads: You look at ether often.\n" in told(world, "clear", "marketing")[1]
    assert "the customer reads: You look at ether often." in told(world, "clear", "marketing")[2]
    alone = answers(world, "alone", "marketing")["spot_btc", "web"]
    assert alone["outcome"] == "not_served"
    assert "left alone" in alone["why"]
    assert "told" not in alone


@pytest.mark.parametrize(
    ("asked", "told_of", "hint"),
    [
        ({"offer": "spot_btx"}, "knew no offer 'spot_btx'", "spot_btc"),
        ({"channel": "fax"}, "knew no channel 'fax'", "email, web"),
    ],
    ids=["an_unknown_offer", "an_unknown_channel"],
)
def test_an_offer_or_channel_the_run_did_not_know_is_told(world: Any, asked: dict[str, str], told_of: str, hint: str) -> None:
    with pytest.raises(UsageError, match=told_of) as raised:
        explaining.explain(world.decisions("marketing"), "clear", **asked)
    assert hint in str(raised.value.hint)


def test_a_person_the_run_did_not_consider_and_a_role_nobody_has_are_told(world: Any) -> None:
    with pytest.raises(UsageError, match="considered nothing for p0"):
        explaining.explain(world.decisions("marketing"), "p0")
    with pytest.raises(UsageError, match="no role is called 'boss'"):
        role("boss")


@pytest.mark.parametrize("name", ["compliance", "fincrime"])
def test_roles_that_read_the_vault_are_refused_when_it_is_closed_and_others_are_not(
    world: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = os.access
    closed = world.settings.restricted_published_dir
    monkeypatch.setattr(published.os, "access", lambda path, mode: path != closed and allowed(path, mode))
    with pytest.raises(CandorError, match=f"the role {name} reads") as raised:
        world.decisions(name)
    assert "--as marketing" in str(raised.value.hint)
    assert answers(world, "clear", "marketing")


def test_a_restricted_face_that_is_not_there_is_told(world: Any) -> None:
    world.folder("restricted").rename(world.folder("restricted").with_name("elsewhere"))
    with pytest.raises(CandorError, match="may not read, or which is not here"):
        world.decisions("fincrime")
    assert answers(world, "clear", "customer")


@pytest.mark.parametrize(
    ("face", "name", "asking"), [("published", "ledger", "customer"), ("restricted", "facts_person", "compliance")]
)
def test_nothing_is_explained_from_a_file_that_was_changed(world: Any, face: str, name: str, asking: str) -> None:
    path = world.folder(face) / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(LedgerBroken, match=f"{face}/{name}.parquet of run .* is not what was published"):
        world.decisions(asking)


def test_a_fact_of_a_new_kind_is_restricted_until_the_policy_says_otherwise(world: Any) -> None:
    def columns(name: str) -> list[str]:
        return [
            row[0]
            for row in world.connection.execute(f"describe from '{world.folder('restricted') / name}.parquet'").fetchall()
        ]

    assert "u_of_a_new_kind" in columns("facts_person_restricted")
    assert "u_embargo" in columns("facts_person_restricted")
    assert {"u_of_a_new_kind", "u_embargo", "u_adverse_media", "u_vuln_flag"}.isdisjoint(columns("facts_person"))
    assert {"u_dm_objection", "u_regimes", "d_age"} <= set(columns("facts_person"))


def test_a_restricted_fact_that_an_open_rule_reads_is_told_to_fincrime_alone(settings: Settings) -> None:
    with duckdb.connect() as connection:
        world = World(settings, connection, closed_fact="o_is_promotion")

        def read(name: str) -> set[str]:
            (reason,) = answers(world, "clear", name, offer="stake_eth")["stake_eth", "web"]["reasons"]
            return {fact["fact"] for fact in reason["facts"]}

        assert read("fincrime") - read("compliance") == {"o_is_promotion"}


def test_text_page_and_json_say_the_same_codes(world: Any) -> None:
    for name in ("marketing", "compliance", "fincrime"):
        explained = explaining.explain(world.decisions(name), "embargo")
        codes = {reason["code"] for one in explained["offers"] for reason in one["reasons"]}
        assert json.loads(telling.as_json(explained)) == explained
        for text in (telling.as_text(explained), page.page(explained)):
            assert codes == set(re.findall(r"\b(?:ELIG_NA|(?:FC|BRD|SUI|VUL|PRV|AGE)_[A-Z0-9_]+)\b", text))


def test_what_is_not_ours_cannot_become_markup_on_the_page(world: Any) -> None:
    explained = explaining.explain(world.decisions("marketing"), "clear")
    explained["offers"][0]["offer_id"] = "<script>"
    assert "<script>" not in page.page(explained)
