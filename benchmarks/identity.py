"""What guards, clusters and keys cost beside scipy's bare components, and a day beside a rebuild: `python -m benchmarks.identity`.

Makes a world of identifiers and kept edges as dbt leaves them (about six identifiers and eight edges a person, families on one device,
a few impossible birth dates), in memory, and times in one warm process:

- on the very same edges: strings to integers and one call of scipy's connected_components, nothing else: the measure. Once by names, as
  one would write it, and once by 64-bit hashes of them, as the layer itself does;
- the day: 1 % of the edges are new, half of them of new people, half new browsers of people known; one number in a thousand is withdrawn,
  one birth date in a thousand is another. `identity.assign` after the first day computes what is touched;
- the same day again, whole (a batch that ran before is never computed in part), and whether all tables are the same rows. Of this one:
  guards, clustering and the key map, from interned edges to whose every identifier is, against the measure (limit 2.5);
- links by likeness of a shop that has run (--likeness-of STATE): they are worked out whole every day, so a day pays them as a rebuild does;
- Splink's own clustering on the same edges, up to --splink-people; and Splink's tutorial with its own blocking rules and with our blocking.

Seconds that passed / seconds of processor (the machine may be shared). Peak memory is the high-water mark of the process during the call;
beside it the resident memory before the first call, which is the made-up world.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np

from candor import identity
from candor.identity import clusters, graph, keys, memory, scopes
from candor.settings import PROJECT_ROOT

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
RESULTS = (
    "identity.person_identifiers",
    "identity.persons",
    "identity.person_aliases",
    "identity.edges",
    "identity.dropped_edges",
    "state.key_map",
    "state.persons",
    "state.identity_changes",
)


TABLES = {
    "identifiers": "identity.identifiers",
    "edges": "identity.edges",
    "claims": "vault.identity.int_record_claims",
}
# As dbt makes them (macros/functions.sql): the keys of what a row names, and of the row.
KEYS = {
    "identifiers": (
        "identifier_key(identifier_kind, identifier) as identifier_key",
        "identifier_row_key(identifier_key, is_hub, is_blocked)",
    ),
    "edges": (
        "identifier_key(identifier_kind, identifier) as identifier_key, identifier_key(other_kind, other_identifier) as other_key",
        "edge_row_key(identifier_key, other_key, evidence_rank, first_known_at)",
    ),
    "claims": (
        "identifier_key(record_kind, record_id) as record_key",
        "claim_row_key(record_key, birth_date, name, is_verified)",
    ),
}


def keyed(name: str, rows: str) -> str:
    """A query of `rows` with their keys."""
    named, row_key = KEYS[name]
    return f"select *, {row_key} as row_key from (select *, {named} from ({rows}))"


def functions() -> str:
    """The statements with which dbt makes the functions that it shares with candor.identity."""
    text = (PROJECT_ROOT / "dbt_project" / "macros" / "functions.sql").read_text(encoding="utf-8")
    found = re.search(r"create or replace macro .*?(?={% endmacro)", text, re.DOTALL)
    assert found is not None
    return found.group().replace("{{ target.database }}.main.", "")


def make(connection: duckdb.DuckDBPyConnection, people: int, *, seed: int, next_day: bool = False) -> None:
    """Tables of schema identity (and the vault's claims) for `people` people, the same for the same seed.

    Everything about a person follows from a hash of their number, so that a larger world contains the smaller one. On the `next_day`
    there are half a percent more of them, some have a third browser, and a few lost a number or have another birth date.
    """
    people = round(people * 1.005) if next_day else people
    connection.execute("attach if not exists ':memory:' as vault")
    connection.execute(functions())
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
            case when {per("phone")} < 700 and not ({next_day} and {per("withdrawn")} < 1) then '+4477' || lpad(person::varchar, 9, '0') end as phone,
            -- one person in eight uses the device of the one before them
            'dv-' || md5((case when {per("family")} < 125 then person - 1 else person end)::varchar) as device_id,
            case when {per("second device")} < 400 then 'dv-' || md5('second' || person) end as second_device,
            'an-' || md5('cookie' || person) as anonymous_id,
            case when {per("second cookie")} < 600 then 'an-' || md5('second cookie' || person) end as second_cookie,
            case when {next_day} and {per("third cookie")} < 20 then 'an-' || md5('third cookie' || person) end as third_cookie,
            case when {per("wallet")} < 300 then '0x' || left(md5('w' || person) || md5('x' || person), 40) end as wallet,
            date '1950-01-01' + (hash(person, 'born', {seed}) % 20000)::integer
                + ({next_day} and {per("corrected")} < 1)::integer as birth_date,
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
        ("account_id", "account_id", "anonymous_id", "third_cookie", "login"),
        ("device_id", "device_id", "anonymous_id", "anonymous_id", "device"),
        ("device_id", "device_id", "anonymous_id", "third_cookie", "device"),
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
    rows = {
        "identifiers": """
            select identifier_kind, identifier,
                identifier_kind = 'device_id' and identifier in (select identifier from hubs) as is_hub, false as is_blocked
            from (
                select identifier_kind, identifier from pairs
                union select other_kind, other_identifier from pairs
            )
            """,
        "edges": """
            select * from pairs
            where identifier not in (select identifier from hubs) and other_identifier not in (select identifier from hubs)
            """,
        "claims": """
            select 'account_id' as record_kind, account_id as record_id, birth_date, null::varchar as name,
                null::varchar as first_name, null::varchar as last_name, false as is_verified from crowd
            """,
    }
    for name, query in rows.items():
        connection.execute(f"create or replace table {TABLES[name]} as {keyed(name, query)}")
    connection.execute(
        "create or replace table identity.dropped_edges as select *, ''::varchar as reason from pairs where false"
    )
    connection.execute("drop table crowd; drop table pairs; drop table hubs")


KEYED = {
    "names": ("identifier_kind, identifier", "{kind} = {nodes}.identifier_kind and {identifier} = {nodes}.identifier"),
    "hashes": ("hash(identifier_kind, identifier) as key", "hash({kind}, {identifier}) = {nodes}.key"),
}


def interned(connection: duckdb.DuckDBPyConnection, by: str) -> tuple[int, np.ndarray, np.ndarray]:
    """Strings to integers and nothing else, in no particular order: how many identifiers, and the two ends of every edge."""
    columns, on = KEYED[by]
    connection.execute(
        f"create or replace temp table bare_nodes as select {columns}, (row_number() over () - 1)::integer as node from identity.identifiers"
    )
    one = on.format(kind="edges.identifier_kind", identifier="edges.identifier", nodes="one")
    other = on.format(kind="edges.other_kind", identifier="edges.other_identifier", nodes="other")
    found = connection.execute(
        f"""
        select one.node as node, other.node as other_node from identity.edges
        inner join bare_nodes as one on {one}
        inner join bare_nodes as other on {other}
        """
    ).fetchnumpy()
    (count,) = connection.execute("select count(*) from bare_nodes").fetchall()[0]
    connection.execute("drop table bare_nodes")
    return count, found["node"], found["other_node"]


def scipy_components(count: int, one: np.ndarray, other: np.ndarray) -> int:
    """How many components scipy finds, by one call."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    return int(connected_components(links, directed=False)[0])


def splink_components(count: int, one: np.ndarray, other: np.ndarray) -> int:
    """How many components Splink's own clustering finds."""
    import pyarrow as pa
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    logging.getLogger("splink").setLevel(logging.ERROR)
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.register("given_nodes", pa.table({"node": np.arange(count, dtype=np.int32)}))
        connection.register("given_edges", pa.table({"node_l": one, "node_r": other}))
        connection.execute("create table all_nodes as select * from given_nodes")
        connection.execute("create table all_edges as select * from given_edges")
        api = DuckDBAPI(connection=connection)
        found = cluster_pairwise_predictions_at_threshold(
            api.register("all_nodes"), api.register("all_edges"), api, "node", "node_l", "node_r"
        )
        return int(connection.execute(f"select count(distinct cluster_id) from {found.physical_name}").fetchall()[0][0])


class Cost(NamedTuple):
    """Seconds that passed, and seconds of processor."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:7.2f} / {self.processor:6.2f} s"

    def __add__(self, other: Any) -> Cost:
        return Cost(self.wall + other.wall, self.processor + other.processor)


def timed(call: Callable[[], Any]) -> tuple[Any, Cost]:
    """What the call gives, and what it cost."""
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    return result, Cost(time.perf_counter() - wall, time.process_time() - processor)


def best(call: Callable[[], Any], times: int = 3) -> tuple[Any, Cost]:
    """What the call gives, and what the quickest of `times` calls cost: others share the machine."""
    runs = [timed(call) for _ in range(times)]
    return min(runs, key=lambda run: run[1].wall)


PARTS = ((scopes, "open_scope"), (graph, "intern"), (clusters, "form"), (keys, "give"), (keys, "write"), (memory, "remember"))


@contextmanager
def parts_timed() -> Iterator[dict[str, Cost]]:
    """What each part of `identity.assign` costs inside the block."""
    costs: dict[str, Cost] = {}
    plain = {(module, name): getattr(module, name) for module, name in PARTS}

    def wrapped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            result, costs[name] = timed(lambda: call(*arguments, **named))
            return result

        return run

    for (module, name), call in plain.items():
        setattr(module, name, wrapped(name, call))
    try:
        yield costs
    finally:
        for (module, name), call in plain.items():
            setattr(module, name, call)


def resident(what: str = "VmRSS") -> float:
    """GiB resident now, or (`VmHWM`) at most since the last reset."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{what}:")[1].split()[0]) / 1024**2


def reset_peak() -> None:
    """Let the high-water mark of resident memory start again."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def made_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the keys of all rows again: what dbt does more for them than to write the rows."""
    for name, table in TABLES.items():
        rows = keyed(name, f"select columns(lambda name: not ends_with(name, '_key')) from {table}")
        connection.execute(f"create or replace temp table made_keys as select columns('_key$') from ({rows})")
    connection.execute("drop table made_keys")


def digest(connection: duckdb.DuckDBPyConnection) -> list[tuple]:
    """Count and sum of the hashes of every row of every result, whatever their order."""
    return [
        connection.execute(f"select '{name}', count(*), sum(hash(rows)) from {name} as rows").fetchall()[0] for name in RESULTS
    ]


def assigned(connection: duckdb.DuckDBPyConnection, batch_seq: int) -> tuple[dict[str, Any], Cost, dict[str, Cost], float]:
    """One batch: its counts, its cost, that of its parts, and the peak of memory."""
    reset_peak()
    with parts_timed() as parts:
        counts, cost = timed(lambda: identity.assign(connection, batch_seq=batch_seq, hash_key="0" * 64))
    return counts, cost, parts, resident("VmHWM")


def without_candor(connection: duckdb.DuckDBPyConnection, *, is_with_splink: bool) -> dict[str, Cost]:
    """Print what others need for the same edges: interning and scipy's components (what this gives, by way of interning), and Splink."""
    by = {name: best(lambda name=name: interned(connection, name)) for name in KEYED}
    ends = by["names"][0]
    found, bare = best(lambda: scipy_components(*ends))
    mine, own = best(lambda: graph.components(*ends))
    assert len(np.unique(mine)) == found
    for name, (_, cost) in by.items():
        print(f"  strings to integers by {name:<22}{cost}")
    print(f"  scipy's connected_components         {bare}   {found:,} components")
    print(f"  graph.components on the same integers{own}   {own.wall / bare.wall:5.2f} x scipy")
    if is_with_splink:
        theirs, cost = timed(lambda: splink_components(*ends))
        print(
            f"  Splink's clustering on the same      {cost}   {cost.wall / own.wall:5.0f} x ours, the same number: {_yes(theirs == found)}"
        )
    return {name: cost + bare for name, (_, cost) in by.items()}


def measure(people: int, *, seed: int, limit: str, splink_people: int) -> dict[str, Cost]:
    """Print everything for one number of people; what growth is counted of."""
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute(f"set memory_limit = '{limit}'")
    keys.prepare(connection)
    make(connection, people, seed=seed)
    world = resident()
    _, first, _, peak = assigned(connection, 1)
    (edges_before,) = connection.execute("select count(*) from identity.edges").fetchall()[0]
    make(connection, people, seed=seed, next_day=True)
    sizes = [connection.execute(f"select count(*) from identity.{name}").fetchall()[0][0] for name in ("identifiers", "edges")]
    print(
        f"{people:,} people, {sizes[0]:,} identifiers, {sizes[1]:,} edges, {sizes[1] - edges_before:,} more than the day before"
    )

    alone = without_candor(connection, is_with_splink=people <= splink_people)
    _, keyed_rows = best(lambda: made_keys(connection))
    counts, touched, _, peak_touched = assigned(connection, 2)
    after = digest(connection)
    # What guards cut goes back to where dbt left it.
    connection.execute(
        f"insert into identity.edges by name {keyed('edges', 'select * exclude (reason) from identity.dropped_edges')}"
    )
    connection.execute("delete from identity.dropped_edges")
    again, whole, parts, peak_whole = assigned(connection, 2)
    is_equal = after == digest(connection) and counts["recomputed"] == "touched" and again["recomputed"] == "all"
    core = parts["form"] + parts["give"]
    print(f"  guards, clustering, key map          {core}")
    for name, cost in alone.items():
        ratio = f"{core.wall / cost.wall:5.2f} x, of processor seconds {core.processor / cost.processor:5.2f} x"
        print(f"    beside interning by {name:<6} and scipy {cost}   {ratio} (limit 2.5)")
    print(f"  the whole layer, first day           {first}   peak {peak:.1f} GiB, the made-up world {world:.1f} of them")
    print(f"  the whole layer, next day, rebuilt   {whole}   peak {peak_whole:.1f} GiB; " + ", ".join(
        f"{name} {cost.wall:.1f}" for name, cost in parts.items()
    ))  # fmt: skip
    print(
        f"  the whole layer, next day, touched   {touched}   peak {peak_touched:.1f} GiB; {touched.wall / whole.wall:.1%} of the rebuild, "
        f"of processor seconds {touched.processor / whole.processor:.1%} (limit 20 %); "
        f"{counts['touched_families']:,} families touched; equal: {_yes(is_equal)}"
    )
    both = (touched + keyed_rows).processor / (whole + keyed_rows).processor
    print(
        f"  the keys of all rows, made by dbt    {keyed_rows}   counted on both sides the day takes {both:.1%} of processor seconds"
    )
    print(
        f"  {counts['people']:,} persons, largest {counts['largest_component']}, {counts['cut_by_guards']:,} edges cut",
        flush=True,
    )
    connection.close()
    return {
        "interning by names and scipy": alone["names"],
        "guards, clustering, key map": core,
        "whole layer": whole,
        "touched": touched,
    }


LIKENESS_READS = ("identity.identifiers", "identity.identifier_kinds", "identity.evidence_classes", "identity.dropped_edges")
LIKENESS_STAGING = ("staging.stg_exchange__accounts", "staging.stg_crm__contacts")


def likeness(state: Path, *, limit: str) -> None:
    """Print what links by likeness cost for the latest run of the shop in `state`, which is only read."""
    from candor.identity import probabilistic
    from candor.settings import load

    settings = replace(load(), state_dir=state.resolve())
    connection = duckdb.connect(":memory:", config={"threads": 2})
    connection.execute(f"set memory_limit = '{limit}'")
    connection.execute(f"attach '{settings.warehouse_path}' as shop (read_only)")
    connection.execute(functions())
    connection.execute("create schema identity; create schema staging")
    for name in (*LIKENESS_READS, *LIKENESS_STAGING):
        connection.execute(f"create table {name} as select * from shop.{name}")
    # As dbt leaves them: without what likeness itself joined.
    connection.execute("create table identity.edges as select * from shop.identity.edges where evidence <> 'probabilistic'")
    world = resident()
    reset_peak()
    counts, cost = timed(lambda: probabilistic.link(connection, settings, batch_seq=1))
    print(
        f"likeness, whole: {counts['likeness_accounts']:,} accounts and {counts['likeness_contacts']:,} contacts that nothing joins, "
        f"learned from {counts['likeness_known']:,} pairs, {counts['likeness_links']:,} linked"
    )
    print(
        f"  links by likeness, every day         {cost}   peak {resident('VmHWM'):.1f} GiB, {world:.1f} of them the shop's tables"
    )
    connection.close()


def blocking(records: int) -> None:
    """Splink's tutorial with its own rules and with our blocking: pairs, seconds, F1."""
    from benchmarks import resolution

    cases = [resolution.made_up(records, 12, 3)]
    if resolution.DATA.is_dir():
        cases.insert(0, resolution.fake_1000())
    print(f"Splink's tutorial{'':<26}{'pairs':>12}{'seconds':>9}{'F1':>8}{'at its best threshold':>24}")
    for case in cases:
        for name, ours in (("its own blocking rules", False), ("our blocking", True)):
            found, at_best, pairs, seconds = resolution.tutorial(case, our_blocking=ours)
            print(f"  {case.name + ', ' + name:<41}{pairs:>12,}{seconds:>9.1f}{found.f1:>8.4f}{at_best.f1:>24.4f}", flush=True)


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "NO"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--memory", default="8GB", help="DuckDB's limit (default 8GB)")
    parser.add_argument("--splink-people", type=int, default=100_000, help="the largest world that Splink clusters")
    parser.add_argument("--splink-records", type=int, default=10_000, help="made-up records that Splink links; 0: none")
    parser.add_argument("--likeness-of", type=Path, metavar="STATE", help="state folder of a shop that has run, of any size")
    chosen = parser.parse_args()
    print("seconds that passed / seconds of processor")
    costs = {
        people: measure(people, seed=chosen.seed, limit=chosen.memory, splink_people=chosen.splink_people)
        for people in chosen.people
    }
    small, large = min(costs), max(costs)
    if small < large:
        grown = {
            name: math.log(costs[large][name].processor / costs[small][name].processor) / math.log(large / small)
            for name in costs[small]
        }
        print(f"growth of processor seconds from {small:,} to {large:,} people (exponent, 1 is linear): "
              + ", ".join(f"{name} {exponent:.2f}" for name, exponent in grown.items()))  # fmt: skip
    if chosen.likeness_of:
        likeness(chosen.likeness_of, limit=chosen.memory)
    if chosen.splink_records:
        blocking(chosen.splink_records)


if __name__ == "__main__":
    main()
