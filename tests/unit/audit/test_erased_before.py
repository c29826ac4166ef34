"""Who was erased and came back is found by the audit from the hashed contacts alone, whatever the run made of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from candor.erasure import suppressed
from candor.hashing import keyed_hash
from candor.warehouse import connect
from tests.unit.audit.conftest import NOW


@pytest.fixture
def world(make_world, tmp_path):
    """Somebody new to us who is shown an offer that nothing else speaks against."""
    made = make_world(tmp_path)
    made.offer("gb", "web")
    return made


def erased(world, kind: str, value: str, since=NOW - timedelta(days=1)) -> set[str]:
    """What the audit finds when somebody with this identifier was erased."""
    with connect(world.settings, restricted=True) as connection:
        suppressed.prepare(connection)
        connection.execute(
            "insert into vault.state.suppressed_contacts values (?, ?, ?)",
            [kind, keyed_hash(world.settings, f"{kind}|{value}"), since],
        )
    return world.found()


@pytest.mark.parametrize(("kind", "value"), [("account_id", "ac-gb"), ("email", "gb@example.com")])
def test_an_offer_to_somebody_who_was_erased_and_came_back_is_found(world, kind: str, value: str) -> None:
    known = {(identifier_kind, identifier) for _, identifier_kind, identifier in world.identifiers}
    assert (kind, value) in known or kind == "email"
    if (kind, value) not in known:
        world.identifiers.append(("p-gb", kind, value))
    assert erased(world, kind, value) == {"PRV_ERASURE"}


def test_a_likely_contact_of_theirs_is_enough(world) -> None:
    world.identifiers.append(("p-gb", "phone", "+442071"))
    world.likely = {"+442071"}
    assert erased(world, "phone", "+442071") == {"PRV_ERASURE"}


@pytest.mark.parametrize(
    ("kind", "value", "since"),
    [
        ("account_id", "ac-somebody-else", NOW - timedelta(days=1)),
        ("contact_id", "ac-gb", NOW - timedelta(days=1)),
        ("account_id", "ac-gb", NOW + timedelta(seconds=1)),
    ],
    ids=["somebody_else", "the_same_text_of_another_kind", "erased_later"],
)
def test_nobody_else_is_taken_for_who_was_erased(world, kind: str, value: str, since) -> None:
    assert erased(world, kind, value, since) == set()
