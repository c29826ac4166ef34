"""The log of what happened to persons, batch by batch, with the evidence."""

from __future__ import annotations

from datetime import UTC, datetime

from candor.identity.overrides import Override


def kinds(events: list[tuple]) -> list[tuple]:
    return [(event, identifier, evidence) for event, _, _, identifier, evidence in events]


def test_the_first_batch_mints_and_links(world):
    person = world.run(1, "a1-e1")["a1"]
    assert world.events(1) == [
        ("link", person, None, "a1", "anchor"),
        ("link", person, None, "e1", "email"),
        ("mint", person, None, "a1", "anchor"),
    ]


def test_a_merge_names_both_persons_and_the_evidence_that_joined_them(world):
    before = world.run(1, "a1-e1 a2-e2")
    after = world.run(2, "a1-e1 a2-e2 a1-p1:phone a2-p1:phone")
    old, young = after["a1"], ({before["a1"], before["a2"]} - {after["a1"]}).pop()
    merges = [row for row in world.events(2) if row[0] == "merge"]
    assert merges == [("merge", young, old, "p1", "phone")]


def test_a_split_names_where_the_identifiers_went_and_why(world):
    whole = world.run(1, "a1-e1 c2-e1 c2-p2:phone")
    unlink = Override(
        "unlink", ("account_id", "a1"), ("contact_id", "c2"), "support", "two people", datetime(2026, 11, 1, tzinfo=UTC), None
    )
    parts = world.run(2, "a1-e1 c2-e1 c2-p2:phone", overruled=(unlink,))
    splits = [row for row in world.events(2) if row[0] == "split"]
    assert [row for row in splits if row[3] == "c2"] == [("split", whole["a1"], parts["c2"], "c2", "operator_unlink")]


def test_a_split_because_a_source_withdrew_its_evidence_says_so(world):
    whole = world.run(1, "a1-e1 c2-e1 c2-p2:phone")
    parts = world.run(2, "a1-e1 c2-p2:phone")
    assert [row for row in world.events(2) if row[0] == "split"] == [
        ("split", whole["a1"], parts["c2"], "c2", "evidence_withdrawn")
    ]


def test_an_identifier_that_turns_out_a_hub_is_blocked_once_and_unblocked_when_it_comes_back(world):
    person = world.run(1, "a1-d1:login")["d1"]
    world.run(2, "", alone="a1", hubs="d1")
    world.run(3, "", alone="a1", hubs="d1")
    world.run(4, "a1-d1:login")
    assert [row for row in world.events(2) if "block" in row[0]] == [("block", person, None, "d1", "hub")]
    assert [row for row in world.events(3) if "block" in row[0]] == []
    assert [row for row in world.events(4) if "block" in row[0]] == [("unblock", person, None, "d1", "hub")]


def test_a_rerun_writes_the_same_events_once(world):
    for _ in range(2):
        world.run(1, "a1-e1 a2-e2")
        world.run(2, "a1-e1 a2-e2 a1-a2")
        world.run(3, "a1-e1 a2-e2")
    assert [kinds(world.events(batch))[-1][0] for batch in (1, 2)] == ["mint", "merge"]
    assert sum(row[0] == "split" for row in world.events(3)) == 1
    assert world.table("select * from state.identity_rules order by all") == [
        (1, "rules of batch 1"), (2, "rules of batch 2"), (3, "rules of batch 3"),
    ]  # fmt: skip
