"""Who is withheld at random, from when to when; in memory, with a vault of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from candor import withholding
from candor.warehouse import utc

PEOPLE = 4000
OCTOBER, MIDDLE = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as made:
        made.execute("attach ':memory:' as vault; create schema core")
        made.execute(f"create table core.people as select 'p' || range as person_id from range({PEOPLE})")
        withholding.prepare(made)
        yield made


def draw(connection: duckdb.DuckDBPyConnection, as_of: datetime, batch_seq: int = 1) -> None:
    for quarter in withholding.quarters(as_of):
        connection.execute(withholding.DRAW, {**quarter, "batch_seq": batch_seq, "salt": "s", "buckets": 500})


def withheld(connection: duckdb.DuckDBPyConnection, as_of: datetime, batch_seq: int = 1) -> int:
    given = {"quarter": withholding.quarter_of(as_of), "as_of": utc(as_of), "batch_seq": batch_seq}
    return int(connection.execute(withholding.WITHHELD_NOW, given).fetchall()[0][0])


@pytest.mark.parametrize(
    ("as_of", "names", "first"),
    [
        pytest.param(datetime(2026, 1, 1, tzinfo=UTC), ["2025-Q4", "2026-Q1"], datetime(2025, 10, 1), id="new_year"),  # noqa: DTZ001
        pytest.param(datetime(2026, 9, 30, 23, 59, tzinfo=UTC), ["2026-Q2", "2026-Q3"], datetime(2026, 4, 1), id="last_day"),  # noqa: DTZ001
    ],
)
def test_two_quarters_can_hold_the_one_of_the_instant_and_the_one_before(
    as_of: datetime, names: list[str], first: datetime
) -> None:
    before, here = withholding.quarters(as_of)
    assert [before["quarter"], here["quarter"]] == names
    assert (before["first"], before["next"], before["after"] > utc(as_of)) == (first, here["first"], True)
    assert here["quarter"] == withholding.quarter_of(as_of)


def test_as_many_are_withheld_on_the_first_day_of_a_quarter_as_in_its_middle(connection: duckdb.DuckDBPyConnection) -> None:
    draw(connection, MIDDLE)
    shares = [withheld(connection, as_of) / PEOPLE for as_of in (OCTOBER, MIDDLE, datetime(2026, 12, 31, tzinfo=UTC))]
    assert all(0.035 < share < 0.065 for share in shares), shares


def test_everybody_has_an_instant_of_their_own_in_the_quarter_and_is_withheld_for_a_quarter(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    draw(connection, MIDDLE)
    rows: list[Any] = connection.execute(
        "select quarter, starts_at, ends_at from vault.state.withheld order by starts_at"
    ).fetchall()
    assert len({starts for _, starts, _ in rows}) > 0.99 * len(rows)
    assert all(withholding.quarter_of(starts.replace(tzinfo=UTC)) == quarter for quarter, starts, _ in rows)
    assert all(90 <= (ends - starts).days <= 92 for _, starts, ends in rows)


def test_a_second_draw_changes_nothing_and_who_is_new_is_drawn_later(connection: duckdb.DuckDBPyConnection) -> None:
    draw(connection, MIDDLE)
    first = connection.execute("select * from vault.state.withheld order by all").fetchall()
    connection.execute("insert into core.people select 'new' || range from range(1000)")
    draw(connection, MIDDLE, batch_seq=2)
    again = connection.execute("select * from vault.state.withheld order by all").fetchall()
    assert [row for row in again if row[2] == 1] == first
    assert {row[0][:3] for row in again if row[2] == 2} == {"new"}
    before = withheld(connection, MIDDLE, batch_seq=1)
    assert before < withheld(connection, MIDDLE, batch_seq=2), "a run of before does not know them"


def test_rows_drawn_before_there_were_instants_hold_for_their_quarter() -> None:
    with duckdb.connect(":memory:") as made:
        made.execute("attach ':memory:' as vault; create schema core; create schema vault.state")
        made.execute("create table core.people as select 'p1' as person_id")
        made.execute("create table vault.state.withheld (person_id varchar, quarter varchar, batch_seq bigint)")
        made.execute("insert into vault.state.withheld values ('p1', '2026-Q4', 1)")
        withholding.prepare(made)
        assert [withheld(made, as_of) for as_of in (OCTOBER, MIDDLE, datetime(2027, 1, 1, tzinfo=UTC))] == [1, 1, 0]
