"""What guards, clusters and keys cost beside scipy's bare components: `python -m benchmarks.identity --people 1000000`.

Makes a world of identifiers and kept edges as dbt leaves them (about six identifiers and ten edges a person, families on one device,
a few impossible birth dates), in memory, in one warm process, and times on the very same edges:

- interning the strings to integers and `scipy.sparse.csgraph.connected_components`, and nothing else;
- everything that `candor.identity` does: guards, clusters, weakest bridges, keys, the log of events; on an empty state, then on the next
  day (1 % new people and links) with the keys of the day before.

Prints seconds, the ratio against the former (limit 2.5) and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from candor import identity
from candor.identity import keys

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = (
    ("account_id", 1),
    ("contact_id", 2),
    ("device_id", 3),
    ("anonymous_id", 4),
    ("wallet", 5),
    ("email", 6),
    ("phone", 7),
)
EVIDENCE = {"signed_nonce": 2, "login": 3, "kyc": 4, "email": 5, "phone": 6, "deposit": 7, "declared": 8, "device": 9}
BATCH = 2


def make(connection: duckdb.DuckDBPyConnection, people: int, *, seed: int) -> None:
    """Tables of schema identity (and the vault's claims) for `people` people, the same for the same seed.

    Everything about a person follows from a hash of their number, so that a larger world contains the smaller one.
    """
    connection.execute("attach if not exists ':memory:' as vault")
    connection.execute("create schema if not exists identity; create schema if not exists vault.identity")
    connection.execute("create or replace table identity.identifier_kinds (identifier_kind varchar, anchor_priority integer)")
    connection.executemany("insert into identity.identifier_kinds values (?, ?)", list(KINDS))
    connection.execute(
        "create or replace table identity.evidence_classes (evidence varchar, evidence_rank integer, match_probability double)"
    )
    connection.executemany("insert into identity.evidence_classes values (?, ?, 0.99)", list(EVIDENCE.items()))
    chance = "(hash(person, {what!r}, " + str(seed) + ") % 1000)"

    def per(what: str) -> str:
        return chance.format(what=what)

    connection.execute(
        f"""
        create or replace temp table crowd as
        select person, 'ac-' || lpad((person * 7919 % 1000000007)::varchar, 12, '0') as account_id,
            case when {per("contact")} < 850 then 'co-' || lpad((person * 104729 % 1000000007)::varchar, 12, '0') end as contact_id,
            'mail' || person || '@example.org' as email,
            case when {per("phone")} < 700 then '+4477' || lpad(person::varchar, 9, '0') end as phone,
            -- one person in eight uses the device of the one before them
            'dv-' || md5((case when {per("family")} < 125 then person - 1 else person end)::varchar) as device_id,
            case when {per("second device")} < 400 then 'dv-' || md5('second' || person) end as second_device,
            'an-' || md5('cookie' || person) as anonymous_id,
            case when {per("second cookie")} < 600 then 'an-' || md5('second cookie' || person) end as second_cookie,
            case when {per("wallet")} < 300 then '0x' || left(md5('w' || person) || md5('x' || person), 40) end as wallet,
            date '1950-01-01' + (hash(person, 'born', {seed}) % 20000)::integer as birth_date,
            timestamp '2026-01-01' + to_hours((hash(person, 'since', {seed}) % 7000)::integer) as since
        from range({people}) as numbers(person)
        """
    )
    edges = [
        ("account_id", "account_id", "email", "email", "email"),
        ("contact_id", "contact_id", "email", "email", "email"),
        ("account_id", "account_id", "phone", "phone", "phone"),
        ("contact_id", "contact_id", "phone", "phone", "phone"),
        ("account_id", "account_id", "device_id", "device_id", "login"),
        ("account_id", "account_id", "device_id", "second_device", "login"),
        ("account_id", "account_id", "anonymous_id", "anonymous_id", "login"),
        ("account_id", "account_id", "anonymous_id", "second_cookie", "login"),
        ("device_id", "device_id", "anonymous_id", "anonymous_id", "device"),
        ("device_id", "second_device", "anonymous_id", "second_cookie", "device"),
        ("account_id", "account_id", "wallet", "wallet", "signed_nonce"),
        ("account_id", "account_id", "contact_id", "contact_id", "declared"),
    ]
    parts = " union all ".join(
        f"select '{kind}' as identifier_kind, {column} as identifier, '{other_kind}' as other_kind, {other} as other_identifier, "
        f"'{evidence}' as evidence, {EVIDENCE[evidence]} as evidence_rank, since as first_known_at "
        f"from crowd where {column} is not null and {other} is not null"
        for kind, column, other_kind, other, evidence in edges
    )
    # A device that two accounts log in on is a hub, as dbt would say; wrong numbers join strangers now and then.
    connection.execute(
        f"""
        create or replace temp table pairs as select * from ({parts})
        union all
        select 'account_id', account_id, 'phone', '+4477' || lpad((person + 5)::varchar, 9, '0'), 'phone', 6, since
        from crowd where {per("wrong number")} < 2
        """
    )
    connection.execute(
        """
        create or replace temp table hubs as
        select other_identifier as identifier from pairs where identifier_kind = 'account_id' and other_kind = 'device_id'
        group by other_identifier having count(*) > 1
        """
    )
    connection.execute(
        """
        create or replace table identity.identifiers as
        select identifier_kind, identifier,
            identifier_kind = 'device_id' and identifier in (select identifier from hubs) as is_hub, false as is_blocked
        from (
            select identifier_kind, identifier from pairs
            union select other_kind, other_identifier from pairs
        )
        """
    )
    connection.execute(
        """
        create or replace table identity.edges as select * from pairs
        where identifier not in (select identifier from hubs) and other_identifier not in (select identifier from hubs)
        """
    )
    connection.execute(
        "create or replace table identity.dropped_edges as select *, ''::varchar as reason from identity.edges where false"
    )
    connection.execute(
        """
        create or replace table vault.identity.int_record_claims as
        select 'account_id' as record_kind, account_id as record_id, birth_date, null::varchar as name, false as is_verified from crowd
        """
    )


def bare(connection: duckdb.DuckDBPyConnection) -> int:
    """Components of the kept edges by scipy alone: strings to integers, then one call; gives their number."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    connection.execute(
        """
        create or replace temp table bare_nodes as
        select identifier_kind, identifier, (row_number() over () - 1)::integer as node from identity.identifiers
        """
    )
    found = connection.execute(
        """
        select one.node as node, other.node as other_node from identity.edges
        inner join bare_nodes as one
            on edges.identifier_kind = one.identifier_kind and edges.identifier = one.identifier
        inner join bare_nodes as other
            on edges.other_kind = other.identifier_kind and edges.other_identifier = other.identifier
        """
    ).fetchnumpy()
    row = connection.execute("select count(*) from bare_nodes").fetchone()
    assert row is not None
    ones = np.ones(len(found["node"]), dtype=np.int8)
    graph = coo_matrix((ones, (found["node"], found["other_node"])), shape=(row[0], row[0]))
    return int(connected_components(graph, directed=False)[0])


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What the call gives, and how many seconds it took."""
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identity", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--memory", default="8GB", help="DuckDB's limit (default 8GB)")
    chosen = parser.parse_args()
    for people in chosen.people:
        connection = duckdb.connect(":memory:", config={"threads": 2})
        connection.execute(f"set memory_limit = '{chosen.memory}'")
        make(connection, people, seed=chosen.seed)
        sizes = [
            connection.execute(f"select count(*) from identity.{name}").fetchall()[0][0] for name in ("identifiers", "edges")
        ]
        keys.prepare(connection)
        bare(connection)  # warm
        components, alone = timed(lambda connection=connection: bare(connection))
        print(f"{people:,} people, {sizes[0]:,} identifiers, {sizes[1]:,} edges, {components:,} components", flush=True)
        print(f"  interning and scipy alone         {alone:7.1f} s", flush=True)
        counts, first = timed(lambda connection=connection: identity.assign(connection, batch_seq=1, hash_key="0" * 64))
        print(f"  guards, clusters, keys: first day {first:7.1f} s  {first / alone:4.2f} x", flush=True)
        make(connection, round(people * 1.01), seed=chosen.seed)
        _, again = timed(lambda connection=connection: bare(connection))
        _, second = timed(lambda connection=connection: identity.assign(connection, batch_seq=BATCH, hash_key="0" * 64))
        print(f"  guards, clusters, keys: next day  {second:7.1f} s  {second / again:4.2f} x", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        print(
            f"  {counts['people']:,} persons, largest {counts['largest_component']}, {counts['cut_by_guards']} cut; peak {peak:.1f} GiB"
        )
        connection.close()


if __name__ == "__main__":
    main()
