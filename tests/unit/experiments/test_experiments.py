import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pytest

from candor import experiments, runs
from candor.errors import PolicyError

FIRST = runs.Run(datetime(2026, 11, 23, 15, tzinfo=UTC), "r1", 1, "p1", None)
SECOND, THIRD = replace(FIRST, run_id="r2", batch_seq=2), replace(FIRST, run_id="r3", batch_seq=3)


@pytest.fixture
def connection():
    connection = duckdb.connect(":memory:")
    connection.execute("set timezone = 'UTC'")
    runs.prepare(connection)
    connection.execute(
        """
        create schema core; create schema identity; create schema policy;
        create table core.people as select 'p' || range as person_id from range(5000);
        create table identity.person_aliases (person_id varchar, surviving_person_id varchar);
        create table policy.experiments as select 0.1::double as holdout_share, 'salt' as salt;
        """
    )
    yield connection
    connection.close()


def arms(connection, where="true"):
    return connection.execute(f"select person_id, arm, batch_seq from state.arms where {where} order by all").fetchall()


def assign(connection, run=FIRST):
    return experiments.assign(connection, None, run)


def test_a_tenth_is_held_out_by_a_hash_that_anybody_can_repeat(connection):
    result = assign(connection)
    assert result["people_held_out"] + result["people_treated"] == 5000
    assert 0.085 < result["people_held_out"] / 5000 < 0.115
    for person, arm, _ in arms(connection)[::50]:
        bucket = int(hashlib.md5(f"salt{person}".encode()).hexdigest()[:12], 16) % 10_000
        assert arm == ("held_out" if bucket < 1000 else "treated")


def test_a_rerun_adds_nothing_and_changes_nothing(connection):
    assign(connection)
    before = arms(connection)
    assert assign(connection)["arms_added"] == 0
    assert arms(connection) == before


def test_known_people_keep_their_arm_when_share_and_salt_change(connection):
    assign(connection)
    before = arms(connection)
    connection.execute("update policy.experiments set holdout_share = 0.5, salt = 'other'")
    connection.execute("insert into core.people select 'new' || range from range(1000)")
    result = assign(connection, SECOND)
    assert result["arms_added"] == 1000
    assert arms(connection, "batch_seq = 1") == before
    held_out = len(arms(connection, "batch_seq = 2 and arm = 'held_out'"))
    assert 430 < held_out < 570


def test_a_rerun_of_an_old_batch_does_not_see_later_ones(connection):
    assign(connection)
    first = arms(connection)
    connection.execute("insert into core.people values ('late')")
    assign(connection, THIRD)
    connection.execute("delete from core.people where person_id = 'late'")
    assign(connection)
    assert arms(connection, "batch_seq = 1") == first


@pytest.mark.parametrize(
    ("retired", "survivor", "arm"),
    [
        pytest.param("held_out", "treated", "held_out", id="held_out_joins_treated"),
        pytest.param("treated", "held_out", "held_out", id="treated_joins_held_out"),
        pytest.param("treated", "treated", "treated", id="treated_joins_treated"),
        pytest.param("held_out", None, "held_out", id="held_out_joins_somebody_new"),
    ],
)
def test_held_out_beats_treated_when_people_merge(connection, retired, survivor, arm):
    connection.execute("delete from core.people; insert into core.people values ('survivor')")
    connection.execute("update policy.experiments set holdout_share = 0")  # a new survivor would be treated
    connection.execute("insert into state.arms values ('retired', ?, 1)", [retired])
    if survivor:
        connection.execute("insert into state.arms values ('survivor', ?, 1)", [survivor])
    connection.execute("insert into identity.person_aliases values ('retired', 'survivor')")
    result = assign(connection, SECOND)
    assert result["people_held_out"] == (arm == "held_out")
    assert min(row[1] for row in arms(connection, "person_id = 'survivor'")) == arm
    before = arms(connection)
    assert assign(connection, SECOND)["arms_added"] == 0
    assert arms(connection) == before


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param("delete from policy.experiments", "has 0", id="no_row"),
        pytest.param("insert into policy.experiments values (0.2, 'b')", "has 2", id="two_rows"),
        pytest.param("update policy.experiments set holdout_share = null", "None", id="no_share"),
        pytest.param("update policy.experiments set holdout_share = 1", "1.0", id="everybody"),
        pytest.param("update policy.experiments set salt = ''", "''", id="no_salt"),
        pytest.param("drop table policy.experiments", "not loaded", id="not_loaded"),
    ],
)
def test_without_a_usable_share_and_salt_nobody_gets_an_arm(connection, spoil, says):
    connection.execute(spoil)
    with pytest.raises(PolicyError, match=says):
        assign(connection)
    assert arms(connection) == []
