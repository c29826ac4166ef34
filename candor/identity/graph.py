"""Identifiers as integers, and what arrays can say of their graph: components, and how well each hangs together.

Strings become integers once; everything after that is arrays. Set-based throughout: nothing here loops over nodes or edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import numpy as np

# Numbered in the order in which anchors are chosen, so the smallest node of a cluster is its anchor.
# A hub links nothing, but an account or contact that is one still belongs to somebody.
NODES = """
create or replace temp table nodes as
select
    (row_number() over (order by kinds.anchor_priority, identifiers.identifier) - 1)::integer as node,
    identifiers.identifier_kind,
    identifiers.identifier,
    kinds.anchor_priority::tinyint as kind
from identity.identifiers
inner join identity.identifier_kinds as kinds
    on identifiers.identifier_kind = kinds.identifier_kind
where not identifiers.is_blocked
    and (not identifiers.is_hub or identifiers.identifier_kind in ('account_id', 'contact_id'))
order by node
"""

LINKS = """
create or replace temp table links as
select
    least(one.node, other.node) as node,
    greatest(one.node, other.node) as other_node,
    edges.evidence_rank::tinyint as evidence_rank,
    epoch_ms(edges.first_known_at) as known_ms,
    edges.rowid as edge
from identity.edges
inner join nodes as one
    on edges.identifier_kind = one.identifier_kind
    and edges.identifier = one.identifier
inner join nodes as other
    on edges.other_kind = other.identifier_kind
    and edges.other_identifier = other.identifier
"""


def intern(connection: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The kind of every node (its anchor_priority), and the arrays node, other_node, evidence_rank, known_ms, edge of every link.

    Leaves the temp tables `nodes` (node, identifier_kind, identifier, kind; in the order of node) and `links`.
    """
    connection.execute("set preserve_insertion_order = true")  # arrays and `nodes` are joined by position
    connection.execute(NODES)
    connection.execute(LINKS)
    kinds = connection.execute("select kind from nodes order by node").fetchnumpy()["kind"]
    links: dict[str, Any] = connection.execute("select * from links").fetchnumpy()
    return kinds, links


def components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each of `count` nodes the smallest node it is connected with."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.zeros(0, dtype=np.int32)
    if len(one) == 0:
        return np.arange(count, dtype=np.int32)
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    smallest = np.empty(count, dtype=np.int32)
    nodes = np.arange(count, dtype=np.int32)
    smallest[label[::-1]] = nodes[::-1]  # of repeated indices the last assignment stays: the smallest node
    return smallest[label]


def bottleneck(cluster: np.ndarray, one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each node the least weight W such that edges of at most W connect it with its cluster's anchor.

    The weakest link of the strongest chain, with ranks as weights; the moment from which a chain was known, with times. `cluster` has
    each node's anchor, the smallest node of its cluster; an anchor gets the smallest value of the type. Relaxed over edges until
    nothing changes (Bellman-Ford over (min, max)); clusters that have settled drop out, so a round costs what is still moving.
    """
    import numpy as np

    weight = weight.astype(np.int64, copy=False)
    settled, unknown = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    best = np.full(len(cluster), unknown, dtype=np.int64)
    best[cluster == np.arange(len(cluster), dtype=cluster.dtype)] = settled
    for _ in range(len(cluster)):  # no chain is longer
        if len(one) == 0:
            break
        to_other, to_one = np.maximum(best[one], weight), np.maximum(best[other], weight)
        better_other, better_one = to_other < best[other], to_one < best[one]
        moving = better_other | better_one
        if not moving.any():
            break
        np.minimum.at(best, other[better_other], to_other[better_other])
        np.minimum.at(best, one[better_one], to_one[better_one])
        unsettled = np.zeros(len(cluster), dtype=bool)
        unsettled[cluster[one[moving]]] = True
        still = unsettled[cluster[one]]
        if not still.all():
            one, other, weight = one[still], other[still], weight[still]
    return best


def with_several(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The groups that come with more than one value."""
    import numpy as np

    if len(groups) == 0:
        return groups
    low, high = np.full(groups.max() + 1, np.iinfo(np.int64).max), np.full(groups.max() + 1, np.iinfo(np.int64).min)
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return np.flatnonzero(low < high)


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
