"""Why a customer read the sentence they read: its drivers and their effects, of the ledger alone, to those who may see them."""

from __future__ import annotations

from typing import Any

import pytest

from candor.ledger import chain, explaining, files, page, telling
from candor.ledger.chain import LedgerBroken
from tests.unit.ledger.conftest import RUN
from training.config import registry

LESSONS = {
    "place": 2,
    "driver": "lessons_taken",
    "sensitivity": 0,
    "needs": {"feature": "lessons_started_last_90_days", "at_least": 1.0},
    "without": {"lessons_started_last_90_days": 0.0, "lessons_completed_last_90_days": 0.0},
    "gain": 0.1,
    "gain_without": 0.095,
    "effect": 0.005,
}
USED = {
    "place": 1,
    "driver": "line_used",
    "sensitivity": 2,
    "needs": {"feature": "line_ever_used", "at_least": 1.0},
    "without": {
        "line_ever_used": 0.0,
        "line_uses_last_30_days_band": 0.0,
        "line_uses_last_90_days_band": 0.0,
        "days_since_last_line_use": None,
    },
    "gain": 0.1,
    "gain_without": 0.08,
    "effect": 0.02,
}


def explained(world: Any, person: str, name: str) -> dict[str, Any]:
    return explaining.explain(world.decisions(name), person, offer="spot_btc", channel="web")


def written(explanation: dict[str, Any]) -> tuple[str, str, str]:
    return telling.as_json(explanation), telling.as_text(explanation), page.page(explanation)


def rows(world: Any, face: str, name: str = "explanations") -> list[dict[str, Any]]:
    found = world.connection.execute(f"select * from '{world.folder(face) / name}.parquet'")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("name", ["compliance", "fincrime"])
def test_roles_that_read_the_vault_see_every_driver_with_its_effect_and_what_was_asked(world: Any, name: str) -> None:
    explanation = explained(world, "clear", name)
    (answer,) = explanation["offers"]
    assert answer["told_because"] == [USED, LESSONS]
    _, text, html = written(explanation)
    line = (
        "1. line_used (line_ever_used at least 1): the offer raises the chance of its outcome by 0.100000, and by 0.080000 without it: "
        "effect 0.020000; asked with line_ever_used 0, line_uses_last_30_days_band 0, line_uses_last_90_days_band 0, "
        "days_since_last_line_use missing"
    )
    assert f"    the customer reads: You look at ether often.\n      {line}\n      2. lessons_taken (" in text
    assert f"the customer reads: You look at ether often.<br>{line}<br>2. lessons_taken (" in html


def test_marketing_sees_the_drivers_of_the_ordinary_face_and_that_there_is_another(world: Any) -> None:
    explanation = explained(world, "clear", "marketing")
    (answer,) = explanation["offers"]
    assert answer["told_because"] == [{"place": 1, "driver": None}, LESSONS]
    for text in written(explanation):
        assert not [secret for secret in ("line_used", "line_ever_used", "0.08", "0.02") if secret in text]
    for text in written(explanation)[1:]:
        assert "1. a driver that this role may not read" in text


@pytest.mark.parametrize("name", ["customer", "support"])
@pytest.mark.parametrize("person", ["clear", "vulnerable"])
def test_customers_and_support_read_no_driver_and_no_effect(world: Any, name: str, person: str) -> None:
    names = [row["driver"] for row in rows(world, "published", "ledger_drivers")]
    assert "looked_around" in names
    for text in written(explained(world, person, name)):
        assert not [secret for secret in (*names, "told_because", "effect", "gain", "0.03") if secret in text]


def test_both_faces_have_the_same_rows_and_the_ordinary_one_nothing_of_a_driver_of_money(world: Any) -> None:
    told, true = rows(world, "published"), rows(world, "restricted")
    assert [(row["decision_id"], row["place"], row["driver"], row["effect"]) for row in true] == [
        ("d-clear-web", 1, "line_used", 0.02),
        ("d-clear-web", 2, "lessons_taken", 0.005),
        ("d-vulnerable-web", 1, "looked_around", 0.03),
    ]
    hidden = {"driver": None, "sensitivity": None, "effect": None}
    assert told == [row | hidden if row["driver"] == "line_used" else row for row in true]
    # No value of a feature is kept: what is here stays for as long as the sentence does.
    assert set(true[0]) == {
        "decision_id", "person_id", "channel", "offer_id", "offer_version", "language", "place", "driver", "sensitivity", "gain", "effect",
    }  # fmt: skip


def test_a_driver_that_asks_without_money_or_worse_by_the_registry_is_in_the_restricted_face_alone(world: Any) -> None:
    known = registry().columns
    for row in rows(world, "published", "ledger_drivers"):
        is_sensitive = max(known[one["feature"]].sensitivity for one in row["without"]) > 1
        assert is_sensitive <= (row["sensitivity"] > files.OPEN_SENSITIVITY), row["driver"]


def test_a_driver_that_the_policy_does_not_know_is_restricted(world: Any) -> None:
    query, order = files.OPEN_FILES["explanations"]
    world.connection.execute(
        "update decisions.explanations set drivers = ['of_a_new_kind'] where decision_id = 'd-vulnerable-web'"
    )
    found = world.connection.execute(
        f"select driver, effect from ({query}) where person_id = 'vulnerable' order by {order}"
    ).fetchall()
    assert found == [(None, None)]


def test_the_creatives_own_reason_and_what_did_not_go_out_have_no_driver(world: Any) -> None:
    found = {
        (one["offer_id"], one["channel"]): one
        for one in explaining.explain(world.decisions("fincrime"), "vulnerable")["offers"]
    }
    assert found["spot_btc", "email"]["told_because"] == []
    assert "told_because" not in found["stake_eth", "web"]
    (alone,) = explained(world, "alone", "fincrime")["offers"]
    assert "told_because" not in alone
    text = telling.as_text(explaining.explain(world.decisions("fincrime"), "vulnerable"))
    assert text.count("      the creative's own reason: no driver that may be named counted enough\n") == 1


@pytest.mark.parametrize("name", ["marketing", "compliance", "fincrime"])
def test_a_run_published_before_drivers_were_kept_is_explained_and_says_so(world: Any, name: str) -> None:
    world.before_drivers()
    explanation = explained(world, "clear", name)
    (answer,) = explanation["offers"]
    assert answer["told"] == "You look at ether often."
    assert "told_because" not in answer
    for text in written(explanation)[1:]:
        assert "what it rests on was not kept in the ledger when this run was published" in text


@pytest.mark.parametrize("name", ["marketing", "compliance", "fincrime"])
def test_nothing_that_the_entry_does_not_list_is_told_as_a_driver(world: Any, name: str) -> None:
    kept = {face: (world.folder(face) / "explanations.parquet").read_bytes() for face in ("published", "restricted")}
    world.before_drivers()
    for face, content in kept.items():
        (world.folder(face) / "explanations.parquet").write_bytes(content)
    assert "told_because" not in explained(world, "clear", name)["offers"][0]


@pytest.mark.parametrize(("face", "name"), [("published", "marketing"), ("restricted", "compliance")])
def test_drivers_that_were_changed_are_not_told(world: Any, face: str, name: str) -> None:
    path = world.folder(face) / "explanations.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(LedgerBroken, match=f"{face}/explanations.parquet of run {RUN.run_id} is not what was published"):
        world.decisions(name)


def test_the_warehouse_of_today_changes_nothing_of_what_was_kept(world: Any) -> None:
    before = written(explained(world, "clear", "fincrime"))
    world.connection.execute("drop table decisions.explanations; drop table decisions.scores; drop table policy.drivers")
    assert written(explained(world, "clear", "fincrime")) == before


def test_the_chain_vouches_for_the_files_of_both_faces() -> None:
    assert {("published", "explanations"), ("published", "ledger_drivers"), ("restricted", "explanations")} <= set(
        chain.chained_names()
    )
