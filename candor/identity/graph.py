"""Identifiers as integers, and what arrays can say of their graph: components, and how well each hangs together.

Strings become integers once; everything after that is arrays. Set-based throughout: nothing here loops over nodes or edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import numpy as np

# Node n is row n of `sorted_nodes`, in the order in which anchors are chosen: the smallest node of a cluster is its anchor.
# A hub links nothing, but an account or contact that is one still belongs to somebody.
IS_NODE = "not is_blocked and (not is_hub or identifier_kind in ('account_id', 'contact_id'))"
NODES = f"""
create or replace temp table sorted_nodes as
select
    identifiers.identifier_kind,
    identifiers.identifier,
    kinds.anchor_priority::tinyint as kind,
    node_key(identifiers.identifier_kind, identifiers.identifier) as key,
    identifiers.identifier_key,
    identifiers.row_key
from (select * from scope_identifiers where {IS_NODE}) as identifiers
inner join identity.identifier_kinds as kinds
    on identifiers.identifier_kind = kinds.identifier_kind
order by
    kind,
    identifiers.identifier
"""

NODES_BY_NUMBER = """
create or replace temp view nodes as
select
    (rowid - {first})::integer as node,
    identifier_kind,
    identifier,
    kind,
    key
from sorted_nodes
"""

# What nodes are looked for by: a 64-bit hash takes half the time that strings do. Should two nodes have one hash, names decide.
# That something which is no node (100,000 of them beside 7 million nodes) has a node's hash has a chance of one in twenty million.
NODE_KEYS = (
    "node_key(kind, identifier) as hash(kind, identifier)",
    "node_key(kind, identifier) as concat(kind, '|', identifier)",
)

# An edge that ends at something that is no node is no link.
LINKS = """
create or replace temp table links as
select
    least(one.node, other.node) as node,
    greatest(one.node, other.node) as other_node,
    one.node > other.node as is_turned,
    edges.evidence_rank,
    edges.first_known_at,
    epoch_ms(edges.first_known_at) as known_ms,
    edges.place as edge,
    edges.row_key
from {edges} as edges
inner join nodes as one
    on {one} = one.key
inner join nodes as other
    on {other} = other.key
"""
BY_HASH = {"edges": "scope_edges", "one": "edges.identifier_key", "other": "edges.other_key"}
BY_NAME = {
    "edges": """(
    select
        scope_edges.*,
        node_key(named.identifier_kind, named.identifier) as one_name,
        node_key(named.other_kind, named.other_identifier) as other_name
    from scope_edges
    inner join identity.edges as named
        on scope_edges.place = named.rowid
)""",
    "one": "edges.one_name",
    "other": "edges.other_name",
}


def intern(connection: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The kind of every node (its anchor_priority), and the arrays node, other_node, evidence_rank, known_ms, edge of every link.

    Reads `scope_identifiers` and `scope_edges`. Leaves the temp macro `node_key`, the temp view `nodes` (node, identifier_kind,
    identifier, kind, key) over the temp table `sorted_nodes`, and `links`, both in the order of the arrays.
    """

    connection.execute("set preserve_insertion_order = true")  # arrays and tables are joined by position
    for key, ends in zip(NODE_KEYS, (BY_HASH, BY_NAME), strict=True):
        links_found = LINKS.format(**ends)
        connection.execute(f"create or replace temp macro {key}")
        connection.execute(NODES)
        if is_unique(connection.execute("select key from sorted_nodes").fetchnumpy()["key"]):
            break
    first, last, count = connection.execute(
        "select coalesce(min(rowid), 0), max(rowid), count(*) from sorted_nodes"
    ).fetchall()[0]
    assert count == 0 or last - first + 1 == count, "DuckDB numbers the rows of a new table without a gap"
    connection.execute(NODES_BY_NUMBER.format(first=first))
    kinds = connection.execute("select kind from sorted_nodes").fetchnumpy()["kind"]
    connection.execute(links_found)
    links: dict[str, Any] = connection.execute("select node, other_node, evidence_rank, known_ms, edge from links").fetchnumpy()
    return kinds, links


def is_unique(values: np.ndarray) -> bool:
    """Whether no value comes twice."""
    import numpy as np

    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())


def components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each of `count` nodes the smallest node it is connected with.

    Of two groups that an edge joins, the one with the larger smallest node takes the other's (hooking), and everybody takes what their
    smallest node took (pointer jumping), until no edge joins two groups. On people's graphs, which are many and small, two or three
    rounds; `benchmarks.identity` holds it against scipy's search, which visits one node after the other.
    """
    import numpy as np

    smallest = np.arange(count, dtype=np.int32)
    while len(one):
        of_one, of_other = smallest[one], smallest[other]
        apart = of_one != of_other
        one, other = of_one[apart], of_other[apart]
        np.minimum.at(smallest, np.maximum(one, other), np.minimum(one, other))
        while not np.array_equal(further := smallest[smallest], smallest):
            smallest = further
    return smallest


def bottleneck(cluster: np.ndarray, one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each node the least weight W such that edges of at most W connect it with its cluster's anchor.

    The weakest link of the strongest chain, with ranks as weights; the moment from which a chain was known, with times. `cluster` has
    each node's anchor, the smallest node of its cluster; an anchor gets the smallest value of the type. Relaxed over edges until
    nothing changes (Bellman-Ford over (min, max)); an edge as weak as what both its ends have already drops out for good.
    """
    import numpy as np

    weight = weight.astype(np.int64, copy=False)
    best = np.full(len(cluster), np.iinfo(np.int64).max, dtype=np.int64)
    best[cluster == np.arange(len(cluster), dtype=cluster.dtype)] = np.iinfo(np.int64).min
    # Most edges end at an anchor, and those have all their say at once.
    at_one, at_other = cluster[one] == one, cluster[other] == other
    np.minimum.at(best, other[at_one], weight[at_one])
    np.minimum.at(best, one[at_other], weight[at_other])
    further = ~(at_one | at_other)
    one, other, weight = one[further], other[further], weight[further]
    for _ in range(len(cluster)):  # no chain is longer
        of_one, of_other = best[one], best[other]
        useful = weight < np.maximum(of_one, of_other)
        one, other, weight, of_one, of_other = (array[useful] for array in (one, other, weight, of_one, of_other))
        to_other, to_one = np.maximum(of_one, weight), np.maximum(of_other, weight)
        better_other, better_one = to_other < of_other, to_one < of_one
        if not (better_other.any() or better_one.any()):
            break
        np.minimum.at(best, other[better_other], to_other[better_other])
        np.minimum.at(best, one[better_one], to_one[better_one])
    return best


def with_several(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The groups that come with more than one value."""
    import numpy as np

    if len(groups) == 0:
        return groups
    some_value = np.empty(int(groups.max()) + 1, dtype=values.dtype)
    some_value[groups] = values
    several = np.zeros(len(some_value), dtype=bool)
    several[groups[some_value[groups] != values]] = True
    return np.flatnonzero(several)


def between(one: np.ndarray, other: np.ndarray, is_terminal: np.ndarray) -> np.ndarray:
    """Which edges lie on a way from one terminal to another (or on a loop beside one): dead ends are pruned until none is left."""
    import numpy as np

    kept = np.ones(len(one), dtype=bool)
    while True:
        degree = np.bincount(one[kept], minlength=len(is_terminal)) + np.bincount(other[kept], minlength=len(is_terminal))
        dead_end = (degree == 1) & ~is_terminal
        pruned = kept & (dead_end[one] | dead_end[other])
        if not pruned.any():
            return kept
        kept &= ~pruned
