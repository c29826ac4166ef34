"""A person's key: minted once, kept over reruns, merges, splits and rebuilds."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from candor.identity import keys


@pytest.fixture
def minted(hash_key):
    """The key that an anchor gives."""

    def of(kind: str, value: str) -> str:
        return "p" + hashlib.sha256(f"{hash_key}|{kind}|{value}".encode()).hexdigest()[:24]

    return of


@pytest.mark.parametrize(
    ("edges", "anchor"),
    [
        pytest.param("c1-e1 a1-e1 a2-a1", ("account_id", "a1"), id="smallest_account_first"),
        pytest.param("c1-e1 c1-p1:phone", ("contact_id", "c1"), id="then_contact"),
        pytest.param("d1-x1:device d1-w1:declared", ("device_id", "d1"), id="then_device"),
        pytest.param("x1-e1:declared", ("anonymous_id", "x1"), id="then_anonymous_id"),
    ],
)
def test_a_new_key_is_made_from_the_anchor(world, edges, anchor, minted):
    assert set(world.run(1, edges).values()) == {minted(*anchor)}


def test_a_new_key_does_not_depend_on_other_people(world, new_world):
    alone = world.run(1, "a1-e1")
    among_others = new_world().run(1, "a0-e0 a1-e1 a2-e2 c3-e3")
    assert among_others["a1"] == alone["a1"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_changes_nothing(new_world, seed):
    rng = np.random.default_rng(seed)
    edges = [f"a{rng.integers(9)}-e{rng.integers(9)}" for _ in range(12)] + [f"c{n}-e{rng.integers(9)}" for n in range(6)]
    edges = list(dict.fromkeys(edges))
    one, other = new_world(), new_world()
    assert one.run(1, " ".join(edges)) == other.run(1, " ".join(rng.permutation(edges)))
    assert one.key_map() == other.key_map()


def test_a_rerun_is_identical_even_after_later_batches(world):
    first = world.run(1, "a1-e1 a2-e2")
    second = world.run(2, "a1-e1 a2-e2 a1-a2")
    third = world.run(3, "a1-e1 a2-e2")
    before, persons = world.key_map(), world.table("select * from state.persons order by all")
    assert world.run(1, "a1-e1 a2-e2") == first
    assert world.counts["changed_on_rerun"] == 0
    assert world.run(2, "a1-e1 a2-e2 a1-a2") == second
    assert world.run(3, "a1-e1 a2-e2") == third
    assert world.key_map() == before
    assert world.table("select * from state.persons order by all") == persons


def test_a_rerun_that_disagrees_says_so(world):
    world.run(1, "a1-e1 a2-e2")
    world.run(1, "a1-e1 a2-e2 a1-a2")
    assert world.counts["changed_on_rerun"] == 4  # a2 and e2, each once as stored and once as it is now


def test_only_changes_are_remembered(world):
    world.run(1, "a1-e1")
    world.run(2, "a1-e1 a1-d1:login")
    assert [row[2:] for row in world.key_map()] == [("a1", 1), ("d1", 2), ("e1", 1)]


def test_a_merge_keeps_the_oldest_key_and_the_other_becomes_an_alias(world):
    old = world.run(1, "a9-e9")["a9"]
    young = world.run(2, "a9-e9 a1-e1")["a1"]
    merged = world.run(3, "a9-e9 a1-e1 a1-a9")
    assert set(merged.values()) == {old}
    assert world.aliases() == {young: old}
    assert (world.counts["merged"], world.counts["minted"]) == (1, 0)


def test_a_merge_of_equal_age_keeps_the_smaller_key(world):
    first = world.run(1, "a1-e1 a2-e2")
    merged = world.run(2, "a1-e1 a2-e2 a1-a2")
    assert set(merged.values()) == {min(first.values())}
    assert world.aliases() == {max(first.values()): min(first.values())}


def test_a_split_leaves_the_key_with_its_anchor(world, minted):
    whole = world.run(1, "a1-e1 c2-e1 c2-p2:phone")
    parts = world.run(2, "a1-e1 c2-p2:phone")
    assert parts["a1"] == parts["e1"] == whole["a1"]
    assert parts["c2"] == parts["p2"] == minted("contact_id", "c2")
    assert world.counts["split"] == 1


def test_a_split_without_its_anchor_leaves_the_key_with_the_first_that_remains(world, minted):
    whole = world.run(1, "a1-e1 c2-e1 c3-e1")
    parts = world.run(2, "", alone="c2 c3")
    assert parts == {"c2": whole["c2"], "c3": minted("contact_id", "c3")}


def test_merge_then_split_gives_the_keys_of_never_merged(world):
    before = world.run(1, "a1-e1 a2-e2")
    world.run(2, "a1-e1 a2-e2 a1-a2")
    assert world.run(3, "a1-e1 a2-e2") == before
    assert world.aliases() == {}


def test_a_retired_key_does_not_come_back_with_a_stranger(world, minted):
    """d1 was of a1 and a hub while a1 moved to a0: back from being a hub it must not revive the key that now means a0."""
    world.run(1, "a0-e0")
    first = world.run(2, "a0-e0 a1-d1:login")
    world.run(3, "a0-e0 a0-a1", hubs="d1")
    back = world.run(4, "a0-e0 a0-a1", alone="d1")
    assert back["d1"] == minted("device_id", "d1")
    assert world.aliases() == {first["a1"]: back["a0"]}
    apart = world.run(5, "a0-e0", alone="a1 d1")
    assert apart["a1"] == first["a1"]
    assert apart["d1"] == back["d1"]


def test_members_left_behind_get_a_new_key_when_the_anchor_moves_on(world, minted):
    """A key goes where its anchor goes, here into an older person, and is an alias of that one from then on."""
    world.run(1, "a0-e0")
    first = world.run(2, "a0-e0 a1-e1 c2-e1")
    moved = world.run(3, "a0-e0 a0-a1 c2-e1")
    assert moved["a1"] == moved["a0"]
    assert moved["c2"] == minted("contact_id", "c2")
    assert world.aliases() == {first["a1"]: moved["a0"]}


def test_an_identifier_that_turns_out_a_hub_leaves_the_others_their_key(world):
    first = world.run(1, "a1-d1:login d1-x1:device")
    second = world.run(2, "", alone="a1 x1", hubs="d1")
    assert second["a1"] == first["a1"]
    assert "d1" not in second
    assert second["x1"] != first["x1"]


def random_batches(seed: int) -> list[str]:
    """A world that grows and sometimes loses an edge."""
    rng = np.random.default_rng(seed)
    edges: list[str] = []
    batches = []
    for _ in range(4):
        edges += [f"a{rng.integers(12)}-e{rng.integers(12)}" for _ in range(4)]
        edges += [f"c{rng.integers(6)}-e{rng.integers(12)}" for _ in range(2)]
        edges = [edge for edge in dict.fromkeys(edges) if rng.random() > 0.15]
        batches.append(" ".join(edges))
    return batches


@pytest.mark.parametrize("seed", range(5))
def test_a_rebuild_in_recorded_order_equals_the_incremental_world(seed, new_world):
    """With the key map kept, as a full refresh does, and with nothing kept at all."""
    batches = random_batches(seed)
    world, fresh = new_world(), new_world()
    days = [world.run(number, edges) for number, edges in enumerate(batches, 1)]
    key_map = world.key_map()
    assert [world.run(number, edges) for number, edges in enumerate(batches, 1)] == days
    assert [fresh.run(number, edges) for number, edges in enumerate(batches, 1)] == days
    assert world.key_map() == fresh.key_map() == key_map


@pytest.mark.parametrize("seed", range(5))
def test_every_cluster_has_exactly_one_key_and_every_alias_leads_to_the_living(seed, world, groups):
    for number, edges in enumerate(random_batches(seed), 1):
        persons = world.run(number, edges)
        world.connection.execute("delete from identity.dropped_edges")
        assert len(set(persons.values())) == len(groups(persons))
        aliases = world.aliases()
        assert set(aliases.values()) <= set(persons.values())
        assert not set(aliases) & set(persons.values())


def test_a_killed_batch_leaves_what_was_there(world, monkeypatch):
    before = world.run(1, "a1-e1")
    key_map = world.key_map()
    monkeypatch.setattr(keys, "NEW_PERSONS", "select $batch_seq from no_such_table")
    with pytest.raises(Exception, match="no_such_table"):
        world.run(2, "a1-e1 a2-e2")
    assert world.key_map() == key_map
    assert dict(world.table("select identifier, person_id from identity.person_identifiers")) == before
