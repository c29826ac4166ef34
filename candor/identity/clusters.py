"""Clusters of identifiers from the kept edges, with the guards that only a whole cluster can break.

Strings become integers once; everything after that is arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import numpy as np

# A machine or an address on a chain: it may be passed on or shared, so it joins a person but never joins two.
PASSED_ON = ("device_id", "anonymous_id", "wallet")
# Somebody even when nothing else is known. An e-mail address, phone number or wallet that joins nothing is not.
SOMEBODY = ("account_id", "contact_id", "device_id", "anonymous_id")

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
    edges.rowid as edge
from identity.edges
inner join nodes as one
    on edges.identifier_kind = one.identifier_kind
    and edges.identifier = one.identifier
inner join nodes as other
    on edges.other_kind = other.identifier_kind
    and edges.other_identifier = other.identifier
"""

BIRTH_DATES = """
select
    nodes.node,
    datediff('day', date '1800-01-01', claims.birth_date)::integer as born
from vault.identity.int_record_claims as claims
inner join nodes
    on claims.record_kind = nodes.identifier_kind
    and claims.record_id = nodes.identifier
where claims.birth_date is not null
"""


def form(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The temp table `members` (node, cluster; a cluster is called by its smallest node), and {largest_component, cut}.

    Edges that a guard cuts move from identity.edges to identity.dropped_edges with their reason.
    """
    import numpy as np
    import pyarrow as pa

    connection.execute(NODES)
    connection.execute(LINKS)
    kind_codes = dict(connection.execute("select identifier_kind, anchor_priority from identity.identifier_kinds").fetchall())
    kinds = connection.execute("select kind from nodes order by node").fetchnumpy()["kind"]
    links = connection.execute("select node, other_node, evidence_rank, edge from links order by node, other_node").fetchnumpy()
    born = connection.execute(BIRTH_DATES).fetchnumpy()

    cut = guard(
        kinds,
        links["node"],
        links["other_node"],
        links["evidence_rank"],
        born["node"],
        born["born"],
        passed_on=[kind_codes[kind] for kind in PASSED_ON],
        account=kind_codes["account_id"],
    )
    kept = cut == 0
    one, other = links["node"][kept], links["other_node"][kept]
    cluster = components(len(kinds), one, other)
    is_member = np.isin(kinds, [kind_codes[kind] for kind in SOMEBODY])
    is_member[one] = True
    is_member[other] = True

    nodes = np.flatnonzero(is_member).astype(np.int32)
    connection.register("members_arrow", pa.table({"node": nodes, "cluster": cluster[nodes]}))
    connection.execute("create or replace temp table members as select node, cluster from members_arrow")
    connection.unregister("members_arrow")
    _record_cuts(connection, links["edge"][~kept], cut[~kept])
    sizes = np.bincount(cluster[nodes]) if len(nodes) else np.zeros(1, dtype=np.int64)
    return {"largest_component": int(sizes.max()), "cut_by_guards": int((~kept).sum())}


def components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each of `count` nodes the smallest node it is connected with."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.zeros(0, dtype=np.int32)
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    smallest = np.empty(count, dtype=np.int32)
    nodes = np.arange(count, dtype=np.int32)
    smallest[label[::-1]] = nodes[::-1]  # of repeated indices the last assignment stays: the smallest node
    return smallest[label]


# Why a guard cut an edge; 0 is kept.
BRIDGES_PEOPLE, COMPONENT_CONFLICT = 1, 2
REASONS = {BRIDGES_PEOPLE: "bridges_people", COMPONENT_CONFLICT: "component_conflict"}


def guard(
    kinds: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    rank: np.ndarray,
    born_nodes: np.ndarray,
    born: np.ndarray,
    *,
    passed_on: list[int],
    account: int,
) -> np.ndarray:
    """For each edge 0 when it is kept, else why it is cut."""
    import numpy as np

    cut = np.zeros(len(one), dtype=np.int8)
    is_passed_on = np.isin(kinds, passed_on)
    proper = ~is_passed_on[one] & ~is_passed_on[other]
    _cut_conflicts(cut, proper, kinds, one, other, rank, born_nodes, born, account)
    _cut_bridges(cut, is_passed_on, one, other)
    return cut


def _cut_bridges(cut: np.ndarray, is_passed_on: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Cut what would join two people through machines that each of them used: first the edges between two machines that
    belong to different people, then, where a chain of nobody's machines still joins people, every edge of that chain."""
    import numpy as np

    count = len(is_passed_on)
    between = is_passed_on[one] & is_passed_on[other]
    attaching = is_passed_on[one] != is_passed_on[other]
    proper = ~is_passed_on[one] & ~is_passed_on[other] & (cut == 0)
    person = components(count, one[proper], other[proper])

    for is_last in (False, True):
        kept = attaching & (cut == 0)
        machine = np.where(is_passed_on[one], one, other)[kept]
        owner = person[np.where(is_passed_on[one], other, one)[kept]]
        chain = components(count, one[between & (cut == 0)], other[between & (cut == 0)])
        crowded = np.zeros(count, dtype=bool)
        crowded[_with_several(chain[machine], owner)] = True
        suspect = between & (cut == 0) & crowded[chain[one]]
        if is_last:
            cut[suspect] = BRIDGES_PEOPLE
            # A browser may also be tied to an e-mail address: what logged in stays, what was declared goes.
            owners = np.zeros(count, dtype=bool)
            owners[_with_several(machine, owner)] = True
            shared = kept & owners[np.where(is_passed_on[one], one, other)]
            cut[shared] = BRIDGES_PEOPLE
        else:
            own = np.full(count, -1, dtype=np.int64)
            own[machine] = owner
            cut[suspect & (own[one] >= 0) & (own[other] >= 0) & (own[one] != own[other])] = BRIDGES_PEOPLE


def _cut_conflicts(cut, proper, kinds, one, other, rank, born_nodes, born, account) -> None:
    """Cut, weakest evidence first, clusters that hold accounts with different birth dates, until none does.

    Only edges at something that two or more records hang on can join accounts; the others are left alone. Machines are
    not looked at: `_cut_bridges` never lets them join people.
    """
    import numpy as np

    count = len(kinds)
    degree = np.bincount(one[proper], minlength=count) + np.bincount(other[proper], minlength=count)
    joins = proper & ((degree[other] >= 2) | (kinds[other] == account))
    for weakest in np.unique(rank[proper])[::-1]:
        kept = proper & (cut == 0)
        cluster = components(count, one[kept], other[kept])
        torn = np.zeros(count, dtype=bool)
        torn[_with_several(cluster[born_nodes], born)] = True
        if not torn.any():
            return
        cut[kept & joins & (rank == weakest) & torn[cluster[one]]] = COMPONENT_CONFLICT


def _with_several(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The groups that come with more than one value."""
    import numpy as np

    if len(groups) == 0:
        return groups
    low, high = np.full(groups.max() + 1, np.iinfo(np.int64).max), np.full(groups.max() + 1, -1, dtype=np.int64)
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return np.flatnonzero((high >= 0) & (low < high))


def _record_cuts(connection: duckdb.DuckDBPyConnection, edges: np.ndarray, reasons: np.ndarray) -> None:
    import numpy as np
    import pyarrow as pa

    if len(edges) == 0:
        return
    names = np.array([REASONS.get(code, "") for code in range(max(REASONS) + 1)])[reasons]
    connection.register("cuts_arrow", pa.table({"edge": edges, "reason": pa.array(names.tolist())}))
    connection.execute(
        """
        insert into identity.dropped_edges by name
        select edges.*, cuts_arrow.reason
        from identity.edges
        inner join cuts_arrow
            on edges.rowid = cuts_arrow.edge
        """
    )
    connection.execute("delete from identity.edges where rowid in (select edge from cuts_arrow)")
    connection.unregister("cuts_arrow")
