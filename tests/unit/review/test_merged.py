"""What reviewers refused follows a person over merges: by the aliases that identity itself writes, not by ones made for the test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from candor import review
from candor.policy.loading import load
from candor.review import verdicts
from candor.settings import PROJECT_ROOT, Settings
from candor.warehouse import connect
from tests.unit.identity.conftest import World
from tests.unit.review.test_verdicts import verdict

AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
APART = "a1-e1 a2-e2 a3-e3"


def refused(settings: Settings, world: World) -> list[str]:
    """Whom the run is told to refuse, with the aliases as the world has them now."""
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    with connect(settings, restricted=True) as connection:
        connection.execute("create schema if not exists identity")
        connection.execute("create or replace table identity.person_aliases (person_id varchar, surviving_person_id varchar)")
        for pair in world.aliases().items():
            connection.execute("insert into identity.person_aliases values (?, ?)", pair)
    review.install(AT, settings)
    with connect(settings, restricted=True) as connection:
        return [row[0] for row in connection.execute("select distinct person_id from vault.review.refusals").fetchall()]


@pytest.mark.parametrize("merges", [("a3-a2", "a2-a1"), ("a1-a2", "a1-a3"), ("a2-a3", "a3-a1")], ids=" then ".join)
@pytest.mark.parametrize("of", ["a1", "a2", "a3"])
def test_a_refusal_follows_its_person_over_two_merges_and_back_when_they_part(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, of: str, merges: tuple[str, str]
) -> None:
    policy = load(PROJECT_ROOT / "policy", "crypto")
    monkeypatch.setattr("candor.policy.store.for_run", lambda settings, run: policy)
    monkeypatch.setattr("candor.runs.current", lambda connection, as_of: None)
    world = World()
    first = world.run(1, APART)
    upheld = verdict(kind="near_miss", verdict="uphold", expires=None, person_id=first[of], at=AT - timedelta(days=1))
    verdicts.append(settings, upheld)
    assert refused(settings, world) == [first[of]]
    for batch_seq, edges in ((2, f"{APART} {merges[0]}"), (3, f"{APART} {' '.join(merges)}")):
        persons = world.run(batch_seq, edges)
        assert refused(settings, world) == [persons[of]]
    assert len(set(persons.values())) == 1
    apart = world.run(4, APART)
    assert refused(settings, world) == [apart[of]]
