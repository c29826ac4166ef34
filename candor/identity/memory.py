"""What the last batch was, so that a day redoes only the people whom something new touches.

Everything that can ever bear on each other's person is one **family**: identifiers joined by an edge (also by one that a guard cut), and
identifiers that were ever the same person's by the key map. A guard, a cluster, a key, an alias and an event depend on nothing outside
their family. So a batch is compared with the one before by the keys of the rows it reads (`scopes`); the families in which something is
new, gone or different are computed again, whole, by the functions that compute everything, and the rest stands:

    rows read ─▶ families touched ─▶ scope_* ─▶ clusters, keys, changes ─▶ remembered

The tables `identity.memory_*` may be dropped at any time; the next batch is then computed whole. So is a batch that ran before (a rerun
and a replay prove the days between), and one under other premises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from candor.identity import graph

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    from candor.identity.clusters import Clusters
    from candor.identity.keys import Keys
    from candor.identity.scopes import Scope

TABLES = ("batch", "identifiers", "absent", "edges", "cuts", "claims", "persons")

# Raised whenever a table of the memory or a row key is made otherwise than before.
VERSION = 2

# Under other premises nothing of the last batch stands. DuckDB promises its hash for one version only.
PREMISES = """
select md5(concat_ws('|', $guards, $memory, sha256($hash_key), version(), (
    select string_agg(concat_ws(',', evidence, evidence_rank, match_probability), ';' order by evidence_rank)
    from identity.evidence_classes
), (
    select string_agg(concat_ws(',', identifier_kind, anchor_priority), ';' order by anchor_priority, identifier_kind)
    from identity.identifier_kinds
)))
"""

# What stands must be what the last batch left: nobody else writes these tables.
STANDING = """
select
    (select count(*) from identity.person_identifiers),
    (select count(*) from identity.persons),
    (select count(*) from identity.person_aliases)
"""

# An edge that is no link ends at something that is no node (a hub, a blocked value, or unknown).
STRAYS = """
select
    edges.row_key,
    coalesce(one.node, -1) as one,
    edges.identifier_key as one_key,
    coalesce(other.node, -1) as other,
    edges.other_key
from (
    select
        scope_edges.*,
        named.identifier_kind,
        named.identifier,
        named.other_kind,
        named.other_identifier
    from scope_edges
    anti join links
        on scope_edges.place = links.edge
    inner join identity.edges as named
        on scope_edges.place = named.rowid
) as edges
left join nodes as one
    on edges.identifier_kind = one.identifier_kind
    and edges.identifier = one.identifier
left join nodes as other
    on edges.other_kind = other.identifier_kind
    and edges.other_identifier = other.identifier
"""


def premises_of(connection: duckdb.DuckDBPyConnection, *, guards: int, hash_key: str) -> str:
    """All that a batch rests on beside its rows, as one hash."""
    row = connection.execute(PREMISES, {"guards": str(guards), "memory": str(VERSION), "hash_key": hash_key}).fetchone()
    return str(row[0]) if row else ""


def why_whole(connection: duckdb.DuckDBPyConnection, batch_seq: int, premises: str) -> str:
    """Why nothing of the last batch stands for this one; empty when it does."""
    found = {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() and schema_name = 'identity'"
        ).fetchall()
    }
    if not {f"memory_{name}" for name in TABLES} | {"person_identifiers", "persons", "person_aliases"} <= found:
        return "no batch is remembered"
    remembered = connection.execute(
        "select batch_seq, premises, person_identifiers, persons, person_aliases from identity.memory_batch"
    ).fetchone()
    if remembered is None:
        return "no batch is remembered"
    before, after = connection.execute(
        "select max(batch_seq) filter (where batch_seq < $batch_seq), max(batch_seq) filter (where batch_seq >= $batch_seq) "
        "from state.identity_rules",
        {"batch_seq": batch_seq},
    ).fetchall()[0]
    if after is not None:
        return "this batch or a later one ran before"
    if before != remembered[0]:
        return f"batch {remembered[0]} is remembered, not {before}, the one before"
    if premises != remembered[1]:
        return "rules, kinds or evidence classes changed"
    if connection.execute(STANDING).fetchone() != remembered[2:]:
        return "what stands is not what the last batch left"
    return ""


def remember(connection: duckdb.DuckDBPyConnection, scope: Scope, formed: Clusters, given: Keys, *, batch_seq: int) -> None:
    """Keep what this batch was: of the scope anew, of everybody else as it stood."""
    import numpy as np
    import pyarrow as pa

    strays = _strays(connection, len(formed.cut))
    unfit = connection.execute(
        f"select row_key, identifier_key as key from scope_identifiers where not ({graph.IS_NODE})"
    ).fetchnumpy()
    gone = given.ever_node < 0
    no_nodes = [given.ever_key[gone], *(strays[f"{end}_key"][strays[end] < 0] for end in ("one", "other"))]
    absent = np.unique(np.concatenate(no_nodes))
    others = np.union1d(absent, unfit["key"])
    count, persons = len(formed.cluster), len(given.person_ids)
    family, families = _families(formed, given, strays, others)
    family += np.int32(scope.first_free)

    def of_key(keys: np.ndarray) -> np.ndarray:
        return family[count + persons + np.searchsorted(others, keys)]

    of_stray = np.where(strays["one"] >= 0, family[np.maximum(strays["one"], 0)] if count else 0, 0)
    named_only = strays["one"] < 0
    of_stray[named_only] = of_key(strays["one_key"][named_only])
    of_link = family[connection.execute("select node from links").fetchnumpy()["node"]]
    of_cut = family[connection.execute("select node from cuts").fetchnumpy()["node"]]
    of_claim = family[connection.execute("select node from claims").fetchnumpy()["node"]]
    kept = {
        "identifiers": (
            "select row_key, identifier_key as key, family from sorted_nodes positional join arrays",
            {"family": family[:count]},
        ),
        "edges": ("select row_key, family from links positional join arrays", {"family": of_link}),
        "cuts": ("select * exclude (node) from cuts positional join arrays", {"family": of_cut}),
        "claims": ("select row_key, family from claims positional join arrays", {"family": of_claim}),
        "persons": ("select * from arrays", {"person_id": given.person_ids, "family": family[count : count + persons]}),
        "absent": ("select * from arrays", {"key": absent, "family": of_key(absent)}),
    }
    more = {
        "identifiers": {"row_key": unfit["row_key"], "key": unfit["key"], "family": of_key(unfit["key"])},
        "edges": {"row_key": strays["row_key"], "family": of_stray},
    }
    connection.register("touched_families", pa.table({"family": scope.families}))
    for name, (query, arrays) in kept.items():
        if not scope.is_whole:
            connection.execute(f"delete from identity.memory_{name} where family in (select family from touched_families)")
        _put(connection, name, query, arrays, is_new=scope.is_whole)
        if name in more and len(more[name]["family"]):
            _put(connection, name, "select * from arrays", more[name], is_new=False)
    connection.unregister("touched_families")
    connection.execute(
        f"create or replace table identity.memory_batch as select $batch_seq::bigint as batch_seq, $premises as premises, "
        f"$unlinks as unlinks, $first_free::integer as first_free, standing.* "
        f"from ({STANDING}) as standing(person_identifiers, persons, person_aliases)",
        {
            "batch_seq": batch_seq,
            "premises": scope.premises,
            "unlinks": scope.unlinks,
            "first_free": scope.first_free + families,
        },
    )


def _put(connection: duckdb.DuckDBPyConnection, name: str, query: str, arrays: dict[str, Any], *, is_new: bool) -> None:
    import pyarrow as pa

    connection.register("arrays", pa.table(arrays))
    table = f"identity.memory_{name}"
    connection.execute(f"create or replace table {table} as {query}" if is_new else f"insert into {table} by name {query}")
    connection.unregister("arrays")


def _strays(connection: duckdb.DuckDBPyConnection, links: int) -> dict[str, Any]:
    (edges,) = connection.execute("select count(*) from scope_edges").fetchall()[0]
    return connection.execute(STRAYS if edges > links else f"{STRAYS} limit 0").fetchnumpy()


def _families(formed: Clusters, given: Keys, strays: dict[str, Any], others: np.ndarray) -> tuple[np.ndarray, int]:
    """The family of every node, then of every person, then of every hash in `others`, and how many there are.

    Clusters are families already; what else holds them together are few edges: those cut, whose each is, and whose each ever was.
    """
    import numpy as np

    count, persons = len(formed.cluster), len(given.person_ids)
    cluster = formed.cluster

    def vertex(node: np.ndarray, key: np.ndarray) -> np.ndarray:
        found = count + persons + np.searchsorted(others, key)
        found[node >= 0] = cluster[node[node >= 0]]
        return found

    roots = np.flatnonzero((cluster == np.arange(count)) & (given.of_node >= 0))
    present = given.ever_node >= 0
    told = np.zeros(len(present), dtype=bool)
    told[present] = given.of_node[given.ever_node[present]] == given.ever_code[present]  # still theirs: said by the roots
    ever_node, ever_key, ever_person = (array[~told] for array in (given.ever_node, given.ever_key, given.ever_code))
    ties = [
        (cluster[formed.cut_one], cluster[formed.cut_other]),
        (roots, count + given.of_node[roots]),
        (vertex(ever_node, ever_key), count + ever_person),
        (vertex(strays["one"], strays["one_key"]), vertex(strays["other"], strays["other_key"])),
    ]
    one, other = (np.concatenate(ends).astype(np.int32) for ends in zip(*ties, strict=True))
    joined = graph.components(count + persons + len(others), one, other)
    joined[:count] = joined[cluster]
    is_first = joined == np.arange(len(joined))
    number = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    return number[joined], int(is_first.sum())
