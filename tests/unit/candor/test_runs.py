"""A run pins its deliveries once; later arrivals reach later runs only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from candor import runs, warehouse
from candor.errors import UsageError

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _deliver(connection, name: str, content: str, seq: int, extracted: str = "2026-11-23 14:40:00") -> None:
    connection.execute(
        "insert into state.deliveries values (?, 'exchange', 'trades', ?, ?, ?, ?, 1, 1, 0, true, null, null, 's')",
        [f"exchange.trades/{name}@{content}", name, extracted, content, seq],
    )


@pytest.fixture
def connection(settings):
    with warehouse.connect(settings) as connection:
        runs.prepare(connection)
        yield connection


def _pins(connection) -> list[str]:
    return [row[0] for row in connection.execute("select delivery_id from state.pins order by 1").fetchall()]


def test_a_rerun_uses_what_the_first_run_pinned(connection):
    _deliver(connection, "d1", "aa", 1)
    first = runs.pin(connection, MONDAY, policy_version="p")
    _deliver(connection, "d1", "bb", 2)  # a restatement that lands after the run
    _deliver(connection, "d0", "cc", 3)  # a late delivery of an earlier extraction
    assert runs.pin(connection, MONDAY, policy_version="p") == first
    assert _pins(connection) == ["exchange.trades/d1@aa"]


def test_a_new_run_sees_the_newest_content_landed(connection):
    _deliver(connection, "d1", "bb", 1)
    _deliver(connection, "d1", "aa", 2)
    runs.pin(connection, MONDAY, policy_version="p")
    assert _pins(connection) == ["exchange.trades/d1@aa"]


def test_deliveries_extracted_after_the_instant_are_not_seen(connection):
    _deliver(connection, "d1", "aa", 1)
    _deliver(connection, "d2", "aa", 2, extracted="2026-11-23 15:00:01")
    runs.pin(connection, MONDAY, policy_version="p")
    assert _pins(connection) == ["exchange.trades/d1@aa"]


def test_the_id_hashes_the_inputs(connection):
    _deliver(connection, "d1", "aa", 1)
    first = runs.pin(connection, MONDAY, policy_version="p")
    other_day = runs.pin(connection, MONDAY.replace(hour=16), policy_version="p")
    other_policy = runs.pin(connection, MONDAY.replace(hour=17), policy_version="q")
    assert len({first.run_id, other_day.run_id, other_policy.run_id}) == 3
    assert [first.batch_seq, other_day.batch_seq, other_policy.batch_seq] == [1, 2, 3]


def test_nothing_delivered_is_an_error_that_says_where_to_look(connection):
    with pytest.raises(UsageError, match="CANDOR_LANDING_DIR"):
        runs.pin(connection, MONDAY, policy_version="p")


def test_another_days_tables_are_refused(connection):
    _deliver(connection, "d1", "aa", 1)
    runs.pin(connection, MONDAY, policy_version="p")
    runs.pin(connection, MONDAY.replace(hour=16), policy_version="p")
    with pytest.raises(UsageError, match="the warehouse holds the run of 2026-11-23T16:00:00Z"):
        runs.current(connection, MONDAY)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        pytest.param("2026-11-23T15:00:00Z", 15, id="zulu"),
        pytest.param("2026-11-23T15:00:00", 15, id="without_a_zone_is_utc"),
        pytest.param("2026-11-23T10:00:00-05:00", 15, id="another_zone"),
    ],
)
def test_an_instant_is_read_as_utc(text: str, hour: int):
    assert runs.parse_as_of(text) == MONDAY.replace(hour=hour)


def test_something_else_is_no_instant():
    with pytest.raises(UsageError, match="not an instant: 'tomorrow'"):
        runs.parse_as_of("tomorrow")
