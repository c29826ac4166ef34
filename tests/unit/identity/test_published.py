"""What a run published about who is who answers show and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from candor import hashing, warehouse
from candor.errors import UsageError
from candor.identity import drawing
from candor.identity.overrides import Override
from candor.identity.published import FILES, Published, strongest_way


@pytest.fixture
def publish(world, settings):
    """The identity files of the world's batch, open for questions."""
    opened = []

    def of(batch_seq: int) -> Published:
        folder = settings.published_dir / f"r{batch_seq}"
        folder.mkdir(parents=True, exist_ok=True)
        hashing.install(world.connection, settings)
        for name, (query, order) in FILES.items():
            parameters = {"batch_seq": batch_seq} if "$batch_seq" in query else {}
            world.connection.execute(
                f"copy (select * from ({query}) order by {order}) to '{folder / f'{name}.parquet'}' (format parquet)",
                parameters,
            )
        world.connection.execute(f"copy identity.person_aliases to '{folder / 'aliases.parquet'}' (format parquet)")
        context = warehouse.scratch(settings)
        opened.append(context)
        return Published(context.__enter__(), settings, f"r{batch_seq}")

    yield of
    for context in opened:
        context.__exit__(None, None, None)


def test_a_person_is_found_by_their_key_by_an_identifier_and_by_a_phone_number_in_the_clear(world, publish, settings):
    person = world.run(1, "a1-e1 a1-p1:phone")["a1"]
    published = publish(1)
    assert published.who(person) == (person, None)
    assert published.who("account_id/a1") == published.who("a1") == (person, ("account_id", "a1"))
    assert published.who("p1") == (person, ("phone_hash", hashing.keyed_hash(settings, "p1")))
    assert published.who("email/e1")[0] == person


def test_neither_addresses_nor_what_documents_said_leave_in_the_clear(world, publish):
    world.run(1, "a1-e1 c1-e1 c1-p1:phone a2-p1:phone", documents={"a1": "ada lovelace", "a2": "mary shelley"})
    published = publish(1)
    rows = published.connection.execute(f"select * from read_parquet('{published.folder}/identity_edges.parquet')").fetchall()
    values = {value for row in rows for value in row}
    assert values.isdisjoint({"e1", "p1", "kyc_conflict"})
    assert "records_disagree" in values


def test_a_merged_person_is_found_under_the_key_they_had(world, publish):
    before = world.run(1, "a1-e1 a2-e2")
    after = world.run(2, "a1-e1 a2-e2 a1-a2")
    gone = ({before["a1"], before["a2"]} - {after["a1"]}).pop()
    assert publish(2).who(gone) == (after["a1"], None)


def test_an_unknown_name_and_a_run_without_identity_are_errors_with_a_hint(world, publish, settings):
    world.run(1, "a1-e1")
    with pytest.raises(UsageError, match=r"knows nobody by nobody@example\.org"):
        publish(1).who("nobody@example.org")
    with warehouse.scratch(settings) as connection, pytest.raises(UsageError, match="r9 published no identity"):
        Published(connection, settings, "r9")


def test_the_way_between_two_identifiers_is_the_one_whose_weakest_link_is_strongest(world, publish):
    person = world.run(1, "a1-c1:declared a1-e1 c1-e1 a1-p1:phone c1-p1:phone")["a1"]
    edges = publish(1).person(person).edges
    way = strongest_way(edges, ("account_id", "a1"), ("contact_id", "c1"))
    assert [edge.evidence for edge in way] == ["email", "email"]
    assert strongest_way(edges, ("account_id", "a1"), ("account_id", "a9")) == []


def test_what_parted_two_people_is_told_with_its_reason(world, publish):
    world.run(1, "a1-e1 c2-e1")
    unlink = Override(
        "unlink", ("account_id", "a1"), ("contact_id", "c2"), "data", "two people", datetime(2026, 11, 1, tzinfo=UTC), None
    )
    persons = world.run(2, "a1-e1 c2-e1", overruled=(unlink,))
    found = publish(2).person(persons["c2"])
    assert {edge.reason for edge in found.edges} == {"operator_unlink"}
    assert [
        (event["event"], event["evidence"], event["rule_version"]) for event in found.events if event["event"] == "split"
    ] == [("split", "operator_unlink", "rules of batch 2")]


def test_the_picture_shows_every_identifier_and_the_page_every_refusal(world, publish):
    person = world.run(1, "a1-e1 c1-e1 a1-d1:login d1-x1:device a1-p1:phone", hubs="d9")["a1"]
    published = publish(1)
    found = published.person(person)
    picture = drawing.svg(found)
    assert picture.count("<circle") == len(found.identifiers) == 6
    assert picture.count("<line") == 5
    page = drawing.page(found, "r1")
    assert page.count("<svg") == 1
    assert "e1" not in page  # addresses as hashes only


def test_no_two_identifiers_of_a_person_stand_in_one_place(world, publish):
    edges = " ".join(f"a1-d{number}:login" for number in range(40)) + " " + " ".join(f"d{n}-x{n}:device" for n in range(40))
    person = world.run(1, edges)["a1"]
    found = publish(1).person(person)
    at = drawing.places(found.identifiers[0][0], [edge for edge in found.edges if edge.reason is None])
    assert len({(round(x), round(y)) for x, y in at.values()}) == len(found.identifiers) == 81
