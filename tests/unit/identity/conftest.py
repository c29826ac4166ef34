"""A small world of identifiers and edges, written the way dbt leaves them, and clustered by candor.identity."""

from __future__ import annotations

import duckdb
import pytest

from benchmarks.identity import TABLES, functions, keyed
from candor import identity, runs
from candor.identity import changes, keys
from candor.identity.overrides import Override

KINDS = {"account_id": 1, "contact_id": 2, "device_id": 3, "anonymous_id": 4, "wallet": 5, "email": 6, "phone": 7}
PREFIXES = {
    "a": "account_id",
    "c": "contact_id",
    "d": "device_id",
    "x": "anonymous_id",
    "w": "wallet",
    "e": "email",
    "p": "phone",
}
EVIDENCE = ("operator", "signed_nonce", "login", "kyc", "email", "phone", "deposit", "declared", "device")
RANKS = {evidence: rank for rank, evidence in enumerate(EVIDENCE, 1)}
HASH_KEY = "a key for tests"


def kind_of(identifier: str) -> str:
    return PREFIXES[identifier[0]]


class World:
    """Identifiers are written `a1` (account), `c1`, `d1`, `x1` (anonymous id), `w1`, `e1`, `p1`; edges `a1-e1` or `a1-e1:phone`."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.connection.execute("attach ':memory:' as vault")
        self.connection.execute("create schema identity")
        self.connection.execute("create schema vault.identity")
        self.connection.execute("create table identity.identifier_kinds (identifier_kind varchar, anchor_priority integer)")
        self.connection.executemany("insert into identity.identifier_kinds values (?, ?)", list(KINDS.items()))
        self.connection.execute(
            "create table identity.evidence_classes (evidence varchar, evidence_rank integer, match_probability double)"
        )
        self.connection.executemany(
            "insert into identity.evidence_classes values (?, ?, ?)",
            [(name, rank, 1 - rank / 100) for name, rank in RANKS.items()],
        )
        self.connection.execute(functions())
        runs.prepare(self.connection)
        keys.prepare(self.connection)

    def run(
        self,
        batch_seq: int,
        edges: str = "",
        *,
        alone: str = "",
        hubs: str = "",
        blocked: str = "",
        born: dict | None = None,
        documents: dict | None = None,
        overruled: tuple[Override, ...] = (),
        known: dict | None = None,
    ) -> dict[str, str]:
        """The person of each identifier after this batch.

        `born` has birth dates of records, `documents` the names on checked documents, `known` since when an edge was known.
        """
        pairs = [edge.split(":") for edge in edges.split()]
        ends = [(*sorted(pair[0].split("-"), key=lambda name: (KINDS[kind_of(name)], name)), pair[1:]) for pair in pairs]
        names = list(dict.fromkeys([name for one, other, _ in ends for name in (one, other)] + alone.split() + hubs.split()))
        names += blocked.split()
        connection = self.connection
        connection.execute(
            "create or replace table identity.identifiers "
            "(identifier_kind varchar, identifier varchar, is_hub boolean, is_blocked boolean)"
        )
        rows = [(kind_of(name), name, name in hubs.split(), name in blocked.split()) for name in names]
        if rows:
            connection.executemany("insert into identity.identifiers values (?, ?, ?, ?)", rows)
        self._add_keys("identifiers")
        columns = (
            "identifier_kind varchar, identifier varchar, other_kind varchar, other_identifier varchar, "
            "evidence varchar, evidence_rank integer, first_known_at timestamp"
        )
        connection.execute(f"create or replace table identity.edges ({columns})")
        connection.execute(f"create or replace table identity.dropped_edges ({columns}, reason varchar)")
        for one, other, evidence in ends:
            name = evidence[0] if evidence else "email"
            connection.execute(
                "insert into identity.edges values (?, ?, ?, ?, ?, ?, ?)",
                [
                    kind_of(one),
                    one,
                    kind_of(other),
                    other,
                    name,
                    RANKS[name],
                    (known or {}).get(f"{one}-{other}", "2026-11-01"),
                ],
            )
        self._add_keys("edges")
        connection.execute(
            "create or replace table vault.identity.int_record_claims (record_kind varchar, record_id varchar, birth_date date, "
            "name varchar, first_name varchar, last_name varchar, is_verified boolean)"
        )
        for name in {**(born or {}), **(documents or {})}:
            told = (documents or {}).get(name)
            connection.execute(
                "insert into vault.identity.int_record_claims values (?, ?, ?, ?, split_part(?, ' ', 1), split_part(?, ' ', -1), ?)",
                [kind_of(name), name, (born or {}).get(name), told, told, told, told is not None],
            )
        self._add_keys("claims")
        connection.execute("delete from state.batches where batch_seq = ?", [batch_seq])
        connection.execute(
            "insert into state.batches values (?, timestamp '2026-11-01' + to_days(?::integer), 'r' || ?::varchar, 'p', null)",
            [batch_seq, batch_seq, batch_seq],
        )
        self.counts = identity.assign(
            connection, batch_seq=batch_seq, hash_key=HASH_KEY, overruled=overruled, rule_version=f"rules of batch {batch_seq}"
        )
        return dict(connection.execute("select identifier, person_id from identity.person_identifiers").fetchall())

    def _add_keys(self, name: str) -> None:
        self.connection.execute(f"create or replace table {TABLES[name]} as {keyed(name, f'select * from {TABLES[name]}')}")

    def table(self, sql: str) -> list[tuple]:
        return self.connection.execute(sql).fetchall()

    def key_map(self) -> list[tuple]:
        return self.table("select person_id, identifier_kind, identifier, batch_seq from state.key_map order by all")

    def events(self, batch_seq: int) -> list[tuple]:
        """(event, person, other person, identifier, evidence) of one batch, in order."""
        return self.connection.execute(
            "select event, person_id, other_person_id, identifier, evidence "
            f"from ({changes.EVENTS}) where batch_seq = $batch_seq order by all",
            {"batch_seq": batch_seq},
        ).fetchall()

    def aliases(self) -> dict[str, str]:
        return dict(self.table("select person_id, surviving_person_id from identity.person_aliases"))

    def dropped(self) -> set[tuple[str, str, str]]:
        return set(self.table("select identifier, other_identifier, reason from identity.dropped_edges"))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def new_world():
    return World


@pytest.fixture
def hash_key():
    return HASH_KEY


@pytest.fixture
def groups():
    """Who is with whom, whatever the keys are called."""

    def of(persons: dict[str, str]) -> set[frozenset[str]]:
        together: dict[str, set[str]] = {}
        for identifier, person in persons.items():
            together.setdefault(person, set()).add(identifier)
        return {frozenset(members) for members in together.values()}

    return of
