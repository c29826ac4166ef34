"""The arbitration in SQL against a slow, obvious one, and the promises of what is staged."""

from collections import defaultdict
from datetime import UTC, datetime

import pytest

from candor import decisions, warehouse

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)


def ask(settings, sql):
    with warehouse.connect(settings) as connection:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def greedy(rows, slots):
    """Best first over all of a person's candidates: take a free slot; a second pushed promotion is skipped; education comes last."""
    given = {}
    for person in sorted({row["person_id"] for row in rows}):
        used, pushed = defaultdict(int), False
        mine = [row for row in rows if row["person_id"] == person]
        worth = [row for row in mine if row["expected_incremental_value_usd"] > 0]
        fallback = [row for row in mine if row["expected_incremental_value_usd"] <= 0 and not row["is_promotion"]]
        for group in (worth, fallback):
            for row in sorted(group, key=lambda r: (-r["expected_incremental_value_usd"], r["offer_id"], r["channel"])):
                channel = row["channel"]
                capped = row["is_push"] and row["is_promotion"]
                if used[channel] >= slots[channel] or (capped and pushed):
                    continue
                used[channel] += 1
                pushed = pushed or capped
                given[person, channel, row["offer_id"]] = used[channel]
    return given


def test_slots_are_those_of_a_greedy_choice_best_first(decided):
    settings, _ = decided
    rows = ask(settings, "select * from decisions.ledger")
    slots = {row["channel"]: row["slots"] for row in ask(settings, "select * from policy.channels")}
    expected = greedy(rows, slots)
    assert {(row["person_id"], row["channel"], row["offer_id"]): row["slot"] for row in rows if row["slot"]} == expected
    assert len(expected) > 1000
    assert {row["not_chosen_reason"] for row in rows} == {None, "held_out", "push_cap", "slots_full", "value_not_positive"}


def test_every_candidate_is_in_the_ledger_with_its_value(decided):
    settings, result = decided
    assert ask(
        settings,
        """
        select count(*) as candidates, count(ledger.decision_id) as in_ledger,
            count(*) filter (where abs(ledger.incremental_value_usd - round((p_if_shown - p_if_held_out) * unit_value_usd - cost_usd, 6))
                > 0.000001) as wrong_values
        from eligibility.candidates left join decisions.ledger using (person_id, offer_id, channel)
        """,
    ) == [
        {"candidates": sum(result["candidates"].values()), "in_ledger": sum(result["candidates"].values()), "wrong_values": 0}
    ]


def test_held_out_people_are_never_staged_and_keep_their_would_be_decisions(decided):
    settings, result = decided
    assert ask(
        settings,
        """
        select count(*) as staged from decisions.staged_offers
        inner join state.arms using (person_id) where arms.arm = 'held_out'
        """,
    ) == [{"staged": 0}]
    assert result["people_held_out"] > 10
    assert result["candidates"]["held_out"] > 50
    assert result["offers_staged"] == result["candidates"]["chosen"]


def test_staged_rows_hold_the_whole_serving_contract(decided):
    settings, _ = decided
    row = ask(settings, "select * from decisions.staged_offers order by decision_id limit 1")[0]
    assert " ".join(row) == (
        "decision_id run_id person_id channel market segment slot rank offer_id offer_version creative_id locale title body "
        "reason_text disclosures arm valid_from valid_until send_after send_before model_version policy_version"
    )
    assert row["disclosures"] == '["Risk \\"warning\\""]'
    assert row["valid_from"] == MONDAY.replace(tzinfo=None)
    assert row["reason_text"] == "Because you asked"


def test_the_same_run_again_gives_the_same_rows(decided):
    settings, _ = decided
    tables = ("decisions.ledger", "decisions.staged_offers", "state.arms")
    before = {name: ask(settings, f"select * from {name} order by all") for name in tables}
    decisions.run(MONDAY, settings)
    assert {name: ask(settings, f"select * from {name} order by all") for name in tables} == before


def test_a_candidate_without_a_score_stops_the_run(decided):
    from candor.errors import BuildFailed

    settings, _ = decided
    with warehouse.connect(settings) as connection:
        connection.execute("create table decisions.kept as select * from decisions.scores")
        connection.execute("delete from decisions.scores where rowid = 0")
    with pytest.raises(BuildFailed, match="ledger"):
        decisions.run(MONDAY, settings)
    with warehouse.connect(settings) as connection:
        connection.execute(
            "create or replace table decisions.scores as select * from decisions.kept; drop table decisions.kept"
        )
    decisions.run(MONDAY, settings)


def test_the_models_own_unit_tests_pass(decided):
    from candor import transform

    settings, _ = decided
    with warehouse.connect(settings) as connection:
        connection.execute("create table if not exists state.decisions (decision_id varchar)")
    results = transform._dbt(
        ["test", "--select", "path:models/decisions,test_type:unit"],
        settings,
        target="open",
        variables={"as_of": "2026-11-23 15:00:00", "run_id": "r1", "batch_seq": 1},
    )
    tested = [result for result in results.results if result.node.resource_type == "unit_test"]
    assert {result.node.name: str(result.status) for result in tested if str(result.status) != "pass"} == {}
    assert len(tested) == 6
