"""Clusters of identifiers from the kept edges, after the guards that only a whole cluster can break have spoken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.identity import guards
from candor.identity.graph import bottleneck, components, with_several

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    from candor.identity.overrides import Override

# Somebody even when nothing else is known. An e-mail address, phone number or wallet that joins nothing is not.
SOMEBODY = ("account_id", "contact_id", "device_id", "anonymous_id")
# What a record carries, rather than who somebody is: hanging on by one of these bridges nobody.
CARRIED = ("email", "phone")

# A hash stands for the name: equal names are equal, and whether two that differ disagree is asked of the few that meet.
CLAIMS = """
create or replace temp table claims as
select
    nodes.node,
    datediff('day', date '1800-01-01', claims.birth_date)::integer as born,
    case when claims.is_verified and claims.name is not null then (hash(claims.name) >> 1)::bigint end as checked_name,
    claims.row_key
from scope_claims as claims
inner join nodes
    on node_key(claims.record_kind, claims.record_id) = nodes.key
"""
BIRTH_DATES = "select node, born from claims where born is not null"
CHECKED_NAMES = "select node, checked_name from claims where checked_name is not null"

DISAGREEING = """
with

checked as (

    select
        suspects.cluster,
        nodes.node,
        claims.name,
        claims.first_name,
        claims.last_name

    from suspects

    inner join nodes
        on suspects.node = nodes.node

    inner join scope_claims as claims
        on nodes.identifier_kind = claims.record_kind
        and nodes.identifier = claims.record_id

)

select
    one.node,
    other.node as other_node
from checked as one
inner join checked as other
    on one.cluster = other.cluster
    and one.node < other.node
where not is_same_name(one.name, one.first_name, one.last_name, other.name, other.first_name, other.last_name)
order by all
"""


# The ends of links stand in the order of nodes, those of edges as dbt wrote them.
CUTS = """
create temp table cuts as
with

cut as (

    select
        case when links.is_turned then links.other_node else links.node end as node,
        case when links.is_turned then links.node else links.other_node end as other_node,
        links.evidence_rank,
        links.first_known_at,
        links.row_key,
        cut_arrays.reason

    from links

    inner join cut_arrays
        on links.edge = cut_arrays.edge

)

select
    cut.node,
    one.identifier_kind,
    one.identifier,
    other.identifier_kind as other_kind,
    other.identifier as other_identifier,
    classes.evidence,
    classes.evidence_rank,
    cut.first_known_at,
    cut.reason,
    cut.row_key
from cut
inner join nodes as one
    on cut.node = one.node
inner join nodes as other
    on cut.other_node = other.node
inner join identity.evidence_classes as classes
    on cut.evidence_rank = classes.evidence_rank
"""


@dataclass(frozen=True)
class Clusters:
    """Arrays over nodes: the cluster's smallest node, whether it is anybody's, and how and since when it hangs on its anchor."""

    cluster: np.ndarray
    is_member: np.ndarray
    is_carried: np.ndarray  # an e-mail address or phone number
    evidence_rank: np.ndarray  # of the weakest link on the strongest chain to the anchor; 0 for the anchor itself
    linked_ms: np.ndarray  # from when a chain to the anchor was known; the smallest int64 for the anchor itself
    one: np.ndarray  # the kept links
    other: np.ndarray
    rank: np.ndarray
    cut: np.ndarray  # by row of the temp table `links`: why a guard cut it, 0 when kept
    cut_edge: np.ndarray  # the cut links: their places in identity.edges
    cut_one: np.ndarray
    cut_other: np.ndarray


def form(
    connection: duckdb.DuckDBPyConnection,
    interned: tuple[np.ndarray, dict[str, np.ndarray]],
    overrides: tuple[Override, ...] = (),
) -> Clusters:
    """The clusters of what `graph.intern` gave. Leaves the temp table `claims`."""
    import numpy as np

    kinds, links = interned
    codes = dict(connection.execute("select identifier_kind, anchor_priority from identity.identifier_kinds").fetchall())
    graph = guards.graph_of(
        kinds,
        links["node"],
        links["other_node"],
        links["evidence_rank"],
        passed_on=[codes[kind] for kind in guards.PASSED_ON],
        account=codes["account_id"],
    )
    cut = np.zeros(len(graph.one), dtype=np.int8)
    connection.execute(CLAIMS)
    born = connection.execute(BIRTH_DATES).fetchnumpy()
    person = guards.cut_conflicts(graph, cut, born["node"], born["born"])
    one, other = _disagreeing(connection, person)
    if len(one):
        person = guards.cut_disagreeing(graph, cut, one, other)
    guards.cut_bridges(graph, cut, person)
    guards.cut_unlinked(graph, cut, *_put_asunder(connection, overrides))

    kept = cut == 0
    one, other, rank = graph.one[kept], graph.other[kept], graph.rank[kept]
    cluster = components(graph.count, one, other)
    somebody = np.zeros(max(codes.values()) + 1, dtype=bool)
    somebody[[codes[kind] for kind in SOMEBODY]] = True
    carried = np.zeros(len(somebody), dtype=bool)
    carried[[codes[kind] for kind in CARRIED]] = True
    is_member = somebody[kinds]
    is_member[one] = True
    is_member[other] = True
    evidence_rank = np.maximum(bottleneck(cluster, one, other, rank), 0).astype(np.int8)
    linked_ms = bottleneck(cluster, one, other, links["known_ms"][kept])
    cut_ends = links["edge"][~kept], graph.one[~kept], graph.other[~kept]
    return Clusters(cluster, is_member, carried[kinds], evidence_rank, linked_ms, one, other, rank, cut, *cut_ends)


def _disagreeing(connection: duckdb.DuckDBPyConnection, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of accounts in one cluster whose checked documents name different people."""
    import numpy as np
    import pyarrow as pa

    checked = connection.execute(CHECKED_NAMES).fetchnumpy()
    crowded = np.zeros(len(person) + 1, dtype=bool)
    crowded[with_several(person[checked["node"]], checked["checked_name"])] = True
    suspects = checked["node"][crowded[person[checked["node"]]]]
    if len(suspects) == 0:
        return suspects, suspects
    connection.register("suspects", pa.table({"node": suspects, "cluster": person[suspects]}))
    found = connection.execute(DISAGREEING).fetchnumpy()
    connection.unregister("suspects")
    return found["node"], found["other_node"]


def _put_asunder(connection: duckdb.DuckDBPyConnection, overrides: tuple[Override, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of each pair that an operator unlinked; pairs of which one side was never seen are left out."""
    import numpy as np

    asunder = [override for override in overrides if override.action == "unlink"]
    pairs = [(find(connection, each.one), find(connection, each.other)) for each in asunder]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    return np.array([one for one, _ in known], dtype=np.int64), np.array([other for _, other in known], dtype=np.int64)


def find(connection: duckdb.DuckDBPyConnection, identifier: tuple[str, str]) -> int | None:
    """The node of (kind, identifier), or None when no source has shown it or it is a hub or blocked."""
    row = connection.execute("select node from nodes where identifier_kind = ? and identifier = ?", list(identifier)).fetchone()
    return None if row is None else int(row[0])


def move_cuts(connection: duckdb.DuckDBPyConnection, formed: Clusters, *, is_whole: bool) -> int:
    """Move edges that guards cut from identity.edges to identity.dropped_edges; how many.

    When not `is_whole`, so does what was cut in the last batch and stands (identity.memory_cuts). Leaves the temp table `cuts` of those
    of this batch.
    """
    import numpy as np
    import pyarrow as pa

    names = np.array([guards.REASONS.get(code, "") for code in range(max(guards.REASONS) + 1)])
    reasons = names[formed.cut[formed.cut > 0]].tolist()
    connection.register("cut_arrays", pa.table({"edge": formed.cut_edge, "reason": pa.array(reasons, pa.string())}))
    connection.execute(CUTS)
    connection.unregister("cut_arrays")
    dropped = "select * from cuts" if is_whole else "select * from cuts union all by name select * from identity.memory_cuts"
    connection.execute(f"create temp table all_cuts as {dropped}")
    columns = "identifier_kind, identifier, other_kind, other_identifier, evidence, evidence_rank, first_known_at, reason"
    connection.execute(f"insert into identity.dropped_edges by name select {columns} from all_cuts")
    connection.execute("delete from identity.edges where row_key in (select row_key from all_cuts)")
    (count,) = connection.execute("select count(*) from all_cuts").fetchall()[0]
    connection.execute("drop table all_cuts")
    return int(count)
