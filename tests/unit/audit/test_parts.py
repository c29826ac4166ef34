"""What the audit reads: some people at a time, every staged row once, each person whole."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import duckdb
import pytest

from candor.audit.inputs import read
from candor.errors import AuditFailed

RUN = SimpleNamespace(as_of=datetime(2026, 11, 23, 15, tzinfo=UTC), batch_seq=1)
STAGED = [("anna", "d1"), ("anna", "d2"), ("björn", "d3"), ("carl", "d1"), ("Zoe", "d4")]


def warehouse(staged: list[tuple[str | None, str]]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        """
        attach ':memory:' as vault; create schema vault.state;
        create table vault.state.withheld (
            person_id varchar, quarter varchar, batch_seq bigint, starts_at timestamp, ends_at timestamp
        );
        create schema decisions; create schema identity; create schema core; create schema state;
        create table decisions.staged_offers (person_id varchar, decision_id varchar);
        create table identity.person_identifiers (
            person_id varchar, identifier_kind varchar, identifier varchar, evidence_rank tinyint default 0
        );
        create table identity.evidence_classes as select 10 as evidence_rank, true as is_weak;
        create table decisions.ledger (person_id varchar, decision_id varchar, penalty_bp integer);
        create table core.people (person_id varchar, lifecycle_stage varchar);
        create table state.arms (person_id varchar, arm varchar, batch_seq bigint);
        create table state.pins (as_of timestamp, delivery_id varchar);
        create table state.deliveries (delivery_id varchar);
        create table state.phone_numbers (raw varchar, country varchar, phone_std varchar, phone_country varchar, is_valid boolean);
        """
    )
    if staged:
        connection.executemany("insert into decisions.staged_offers values (?, ?)", staged)
    connection.execute(
        "insert into identity.person_identifiers (person_id, identifier_kind, identifier) "
        "select distinct person_id, 'account_id', person_id from decisions.staged_offers"
    )
    connection.execute(
        "insert into identity.person_identifiers (person_id, identifier_kind, identifier) values ('bert', 'account_id', 'bert')"
    )
    return connection


@pytest.mark.parametrize("people_at_a_time", [1, 2, 3, 100])
def test_every_staged_row_is_in_one_part_with_all_rows_of_its_person(people_at_a_time: int) -> None:
    parts = list(read(warehouse(STAGED), RUN, people_at_a_time=people_at_a_time))  # type: ignore[arg-type]
    rows = [row for part in parts for row in part.staged.select("person_id", "decision_id").rows()]
    assert sorted(rows) == sorted(STAGED)
    seen = [person for part in parts for person in part.staged["person_id"].unique()]
    assert sorted(seen) == sorted(set(seen)), "a person is in two parts"
    for part in parts:
        assert set(part.identifiers["person_id"]) == set(part.staged["person_id"]), "identifiers of others, or some missing"


def test_a_decision_id_that_another_part_has_too_is_known_as_twice() -> None:
    parts = read(warehouse(STAGED), RUN, people_at_a_time=1)  # type: ignore[arg-type]
    twice = {row for part in parts for row in part.staged.filter("is_twice").select("person_id", "decision_id").rows()}
    assert twice == {("anna", "d1"), ("carl", "d1")}


def test_nothing_staged_is_one_empty_part() -> None:
    parts = list(read(warehouse([]), RUN))  # type: ignore[arg-type]
    assert [part.staged.height for part in parts] == [0]


def test_a_staged_row_of_nobody_refuses_the_run() -> None:
    with pytest.raises(AuditFailed, match="6 offers are staged, 5"):
        list(read(warehouse([*STAGED, (None, "d5")]), RUN, people_at_a_time=2))  # type: ignore[arg-type]
