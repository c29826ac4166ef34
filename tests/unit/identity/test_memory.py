"""A day that computes only what something new touches leaves exactly what computing everything leaves."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from candor.identity import graph, hashes, keys, scopes
from candor.identity.overrides import Override

RESULTS = {
    "person_identifiers": "select * from identity.person_identifiers order by all",
    "persons": "select * from identity.persons order by all",
    "person_aliases": "select * from identity.person_aliases order by all",
    "edges": "select * from identity.edges order by all",
    "dropped_edges": "select * from identity.dropped_edges order by all",
    "key_map": "select * from state.key_map order by all",
    "minted": "select * from state.persons order by all",
    "identity_changes": "select * from state.identity_changes order by all",
}
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("ada lovelace", "mary shelley", "jonathan smith")


@pytest.fixture(autouse=True)
def _never_too_much(monkeypatch):
    """In a small world most people are touched every day; here that is no reason to compute everything."""
    monkeypatch.setattr(scopes, "MOST", 2)


def results(world) -> dict[str, list[tuple]]:
    return {name: world.table(sql) for name, sql in RESULTS.items()}


def counts(world) -> dict:
    return {name: value for name, value in world.counts.items() if not name.startswith(("recomputed", "touched"))}


def run_whole(world, *day, **more) -> dict[str, str]:
    world.connection.execute("drop table if exists identity.memory_batch")
    return world.run(*day, **more)


def random_days(seed: int, days: int = 5) -> list[dict]:
    """Worlds that grow, shrink, merge and split: edges, hubs, blocked values, birth dates, documents and overrides come and go."""
    rng = np.random.default_rng(seed)
    size = {"a": 9, "c": 5, "d": 6, "x": 6, "w": 3, "e": 9, "p": 5}
    kinds = [
        ("a", "e", "email"), ("c", "e", "email"), ("a", "p", "phone"), ("c", "p", "phone"), ("a", "d", "login"), ("a", "x", "login"),
        ("d", "x", "device"), ("a", "w", "signed_nonce"), ("d", "w", "declared"), ("x", "e", "declared"), ("a", "c", "declared"),
    ]  # fmt: skip
    edges: dict[str, str] = {}
    alone = {f"{letter}{number}" for letter in "acdx" for number in range(3)}
    born: dict[str, str] = {}
    documents: dict[str, str] = {}
    unfit: dict[str, str] = {}
    overruled: list[Override] = []

    def some(letter: str) -> str:
        return f"{letter}{rng.integers(size[letter])}"

    made = []
    for _ in range(days):
        edges = {edge: evidence for edge, evidence in edges.items() if rng.random() > 0.08}
        for _ in range(int(rng.integers(1, 6))):
            one, other, evidence = kinds[rng.integers(len(kinds))]
            edges[f"{some(one)}-{some(other)}"] = evidence if rng.random() > 0.1 else "kyc"
        if rng.random() < 0.4:
            born[some("a")] = f"19{rng.integers(60, 64)}-01-01"
        if rng.random() < 0.3:
            documents[some("a")] = str(rng.choice(NAMES))
        if rng.random() < 0.3:
            unfit[some("adxe"[rng.integers(4)])] = str(rng.choice(["hub", "blocked"]))
        if unfit and rng.random() < 0.3:
            unfit.pop(next(iter(unfit)))
        if rng.random() < 0.3:
            action, other = str(rng.choice(["link", "unlink"])), some("acd"[rng.integers(3)])
            overruled = [*overruled[-1:], Override(action, ("account_id", some("a")), (None, other), "x", "y", SINCE, None)]
        alone = {name for name in alone if rng.random() > 0.05} | {some("acdxe"[rng.integers(5)])}
        seen = {name for edge in edges for name in edge.split("-")} | alone
        blocked = {name for name, why in unfit.items() if why == "blocked"}
        # Most days dbt has taken the edges at hubs and blocked values away; sometimes one is left.
        kept = {e: v for e, v in edges.items() if not set(e.split("-")) & set(unfit) or rng.random() < 0.2}
        named = {name for edge in kept for name in edge.split("-")} & blocked
        made.append(
            {
                "edges": " ".join(f"{edge}:{evidence}" for edge, evidence in kept.items()),
                "alone": " ".join(sorted(seen - blocked)),
                "hubs": " ".join(name for name, why in unfit.items() if why == "hub"),
                "blocked": " ".join(sorted(blocked - named)),
                "born": dict(born),
                "documents": dict(documents),
                "overruled": tuple(overruled),
                "known": {edge: f"2026-10-{rng.integers(1, 28):02}" for edge in kept if rng.random() < 0.05},
            }
        )
    kind = {"a": "account_id", "c": "contact_id", "d": "device_id"}
    for day in made:
        day["overruled"] = tuple(
            Override(each.action, each.one, (kind[each.other[1][0]], each.other[1]), "x", "y", SINCE, None)
            for each in day["overruled"]
            if each.one[1] != each.other[1]
        )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_days_that_redo_what_is_touched_equal_days_that_redo_everything(seed, new_world):
    touched, whole = new_world(), new_world()
    for batch, day in enumerate(random_days(seed), 1):
        edges, more = day["edges"], {name: value for name, value in day.items() if name != "edges"}
        assert touched.run(batch, edges, **more) == run_whole(whole, batch, edges, **more)
        assert touched.counts["recomputed"] == ("touched" if batch > 1 else "all")
        assert whole.counts["recomputed"] == "all"
        assert results(touched) == results(whole), f"day {batch}"
        assert counts(touched) == counts(whole), f"day {batch}"


# Of an identifier only its kind, of a person nothing at all: whatever is looked for by hash has more than one match.
COLLIDING_NODES = ("node_key(kind, identifier) as hash(kind)", *graph.NODE_KEYS[1:])
COLLIDING_PERSONS = (("hash(1)", keys.MINTS), ("hash(1)", keys.FIRST_MINTS), *keys.EARLIER_PERSONS_WAYS[2:])


@pytest.mark.parametrize(
    ("module", "ways", "colliding"),
    [(graph, "NODE_KEYS", COLLIDING_NODES), (keys, "EARLIER_PERSONS_WAYS", COLLIDING_PERSONS)],
    ids=["identifiers", "persons"],
)
@pytest.mark.parametrize("seed", range(5, 7))
def test_names_decide_when_two_have_one_hash(seed, module, ways, colliding, new_world, monkeypatch):
    worlds = {"by hash": new_world(), "by name": new_world()}
    for name, world in worlds.items():
        if name == "by name":
            monkeypatch.setattr(module, ways, colliding)
        for batch, day in enumerate(random_days(seed), 1):
            world.run(batch, **day)
    assert results(worlds["by hash"]) == results(worlds["by name"])
    assert counts(worlds["by hash"]) == counts(worlds["by name"])


def test_a_person_minted_twice_is_as_old_as_the_first_time(world, new_world):
    """Once batch 3 has minted a person, a replay of batch 2 may mint them too; their key is then in both."""
    whole = new_world()
    for each in (world, whole):
        each.run(1, "a5-e5")
        each.run(2, "a5-e5 a1-e1")
        each.run(3, "a5-e5 a1-e1 a2-e2")
    (older,) = world.table("select person_id from state.persons where anchor = 'a1'")[0]
    world.connection.execute(
        "insert into state.persons select * replace (3 as batch_seq) from state.persons where anchor = 'a1'"
    )
    merged = "a5-e5 a1-e1 a2-e2 a1-p1:phone a2-p1:phone"
    assert run_whole(world, 4, merged) == run_whole(whole, 4, merged)
    assert (world.aliases(), world.counts["merged"]) == (whole.aliases(), whole.counts["merged"])
    assert world.table("select distinct person_id from identity.person_identifiers where identifier in ('a1', 'a2')") == [
        (older,)
    ]


def test_a_day_without_news_touches_nobody(world):
    first = world.run(1, "a1-e1 a2-e2 c2-e2")
    assert world.run(2, "a1-e1 a2-e2 c2-e2") == first
    assert (world.counts["recomputed"], world.counts["touched_families"]) == ("touched", 0)


def test_only_the_family_of_what_is_new_is_touched(world):
    world.run(1, "a1-e1 a2-e2 a3-e3")
    world.run(2, "a1-e1 a2-e2 a3-e3 a2-d2:login", born={"a3": "1990-01-01"})
    assert world.counts["touched_families"] == 2


def test_an_identifier_that_comes_back_touches_the_person_it_once_was(world, new_world):
    """d1 was a1's, then a hub, while a1 went on without it; as a0's it brings a1's person in."""
    days = [("a1-d1:login a0-e0", {}), ("a0-e0", {"alone": "a1", "hubs": "d1"}), ("a0-e0 a0-d1:login", {"alone": "a1"})]
    whole = new_world()
    for batch, (edges, more) in enumerate(days, 1):
        assert world.run(batch, edges, **more) == run_whole(whole, batch, edges, **more)
    assert world.counts["recomputed"] == "touched"
    assert results(world) == results(whole)


def test_what_was_cut_stays_cut_while_others_are_touched(world, new_world):
    """Two birth dates on one wallet: a1 and a2 are no one person, on the next day neither, though nothing of theirs is new."""
    whole = new_world()
    edges, born = "a1-w1:signed_nonce a2-w1:signed_nonce a1-e1 a2-e2", {"a1": "1990-01-01", "a2": "1960-01-01"}
    for batch, more in enumerate(("", " a3-e3", " a3-e3 a4-e4"), 1):
        assert world.run(batch, edges + more, born=born) == run_whole(whole, batch, edges + more, born=born)
        ends = {(identifier, other) for identifier, other, _ in world.dropped()}
        assert ends in ({("a1", "w1")}, {("a2", "w1")}, {("a1", "w1"), ("a2", "w1")}), f"day {batch}"
        assert results(world) == results(whole), f"day {batch}"
    assert (world.counts["recomputed"], world.counts["touched_families"]) == ("touched", 0)


def test_an_operators_edge_carries_the_keys_of_its_row(world):
    linked = Override("link", ("contact_id", "c2"), ("account_id", "a1"), "x", "y", SINCE, None)
    world.run(1, "a1-e1 c2-e2", overruled=(linked,))
    keys_of = "identifier_key(identifier_kind, identifier), identifier_key(other_kind, other_identifier)"
    assert world.table(
        "select evidence, identifier_key, other_key, row_key from identity.edges where evidence = 'operator'"
    ) == world.table(
        f"select evidence, {keys_of}, edge_row_key({keys_of}, evidence_rank, first_known_at) from identity.edges "
        "where evidence = 'operator'"
    )
    assert world.counts["operator_links"] == 1


# Of every function: the values of one row, and another value for each.
READ_OF_ROWS = {
    "identifier_row_key": (("1::ubigint", "false", "false"), ("3::ubigint", "true", "true")),
    "edge_row_key": (
        ("1::ubigint", "2::ubigint", "5", "timestamp '2026-11-01'"),
        ("3::ubigint", "3::ubigint", "6", "timestamp '2026-11-02'"),
    ),
    "claim_row_key": (
        ("1::ubigint", "date '1990-01-01'", "'ada lovelace'", "true"),
        ("3::ubigint", "null", "'ada byron'", "false"),
    ),
}


@pytest.mark.parametrize(("function", "values"), READ_OF_ROWS.items(), ids=READ_OF_ROWS.keys())
def test_a_row_has_another_key_when_anything_that_is_read_of_it_changes(function, values, world):
    row, others = values
    rows = [row, *((*row[:place], other, *row[place + 1 :]) for place, other in enumerate(others))]
    calls = [f"{function}({', '.join(each)})" for each in rows]
    assert len(set(world.table(f"select {', '.join(calls)}")[0])) == len(rows)


def forget(world):
    world.connection.execute("drop table identity.memory_edges")


def lose_a_person(world):
    world.connection.execute("delete from identity.persons where person_id = (select min(person_id) from identity.persons)")


def other_probabilities(world):
    world.connection.execute("update identity.evidence_classes set match_probability = match_probability / 2")


WHOLE = {
    "nothing_is_remembered": (2, forget, "no batch is remembered"),
    "somebody_else_wrote_persons": (2, lose_a_person, "what stands is not what the last batch left"),
    "another_evidence_class": (2, other_probabilities, "rules, kinds or evidence classes changed"),
    "the_batch_ran_before": (1, lambda world: None, "this batch or a later one ran before"),
}


@pytest.mark.parametrize(("batch", "spoil", "because"), WHOLE.values(), ids=WHOLE.keys())
def test_everything_is_computed_when_the_last_batch_does_not_stand(world, new_world, batch, spoil, because):
    world.run(1, "a1-e1 a2-e2 c2-e2")
    spoil(world)
    day = "a1-e1 a2-e2" if batch == 2 else "a1-e1 a2-e2 c2-e2"
    world.run(batch, day)
    assert (world.counts["recomputed"], world.counts["recomputed_because"]) == ("all", because)
    whole = new_world()
    whole.run(1, "a1-e1 a2-e2 c2-e2")
    spoil(whole)
    run_whole(whole, batch, day)
    assert results(world) == results(whole)


def test_a_day_that_touches_most_people_is_computed_whole(world, monkeypatch):
    monkeypatch.setattr(scopes, "MOST", 0.5)
    world.run(1, "a1-e1 a2-e2 a3-e3")
    world.run(2, "a1-e1 a2-e2 a3-e3 a1-p1:phone a2-p2:phone")
    assert world.counts["recomputed_because"] == "most people are touched"


@pytest.mark.parametrize("seed", range(6))
def test_hashes_that_differ_are_those_that_sets_find(seed):
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2**64, int(rng.integers(1, 5000)), dtype=np.uint64)
    before, now = (pool[rng.random(len(pool)) < 0.97] for _ in range(2))
    gone, new = hashes.unmatched(np.array_split(before, 3), np.array_split(now, int(rng.integers(1, 4))))
    assert set(before[gone].tolist()) == set(before.tolist()) - set(now.tolist())
    assert set(now[new].tolist()) == set(now.tolist()) - set(before.tolist())
