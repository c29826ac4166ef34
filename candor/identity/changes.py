"""The log of what happened to persons: mint, link, merge, split, block, unblock; append-only, with the evidence.

Mints are the rows of state.persons and links those of state.key_map; what those two cannot say stands in state.identity_changes.
`EVENTS` reads all of it as one log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from candor.identity.clusters import Clusters
    from candor.identity.keys import Keys

STATE_TABLES = """
create table if not exists state.identity_changes (
    event varchar not null, person_id varchar not null, other_person_id varchar, identifier_kind varchar not null,
    identifier varchar not null, evidence varchar not null, batch_seq bigint not null
);
create table if not exists state.identity_rules (batch_seq bigint not null, rule_version varchar not null);
"""

# One row per event up to the batch: what, who, through which identifier, on which evidence, under which rules, as of when.
EVENTS = """
with

events as (

    select
        'mint' as event,
        person_id,
        null::varchar as other_person_id,
        anchor_kind as identifier_kind,
        anchor as identifier,
        'anchor' as evidence,
        batch_seq

    from state.persons

    union all

    select
        'link' as event,
        person_id,
        null as other_person_id,
        identifier_kind,
        identifier,
        coalesce(evidence, 'anchor') as evidence,
        batch_seq

    from state.key_map

    union all

    select
        event,
        person_id,
        other_person_id,
        identifier_kind,
        identifier,
        evidence,
        batch_seq

    from state.identity_changes

)

select
    events.*,
    rules.rule_version,
    batches.as_of
from events
inner join state.batches as batches
    on events.batch_seq = batches.batch_seq
left join state.identity_rules as rules
    on events.batch_seq = rules.batch_seq
where events.batch_seq <= $batch_seq
"""

# Whose identifiers stopped counting because the value turned out to be everybody's or nobody's, and which came back.
BLOCKED = """
insert into state.identity_changes by name
with

unfit as (

    select
        identifier_kind,
        identifier,
        case when is_blocked then 'blocked' else 'hub' end as evidence

    from scope_identifiers

    where is_blocked
        or (is_hub and identifier_kind not in ('account_id', 'contact_id'))

),

holders as (

    select
        key_map.identifier_kind,
        key_map.identifier,
        max_by(key_map.person_id, key_map.batch_seq) as person_id

    from scope_key_map as key_map

    inner join unfit
        on key_map.identifier_kind = unfit.identifier_kind
        and key_map.identifier = unfit.identifier

    where key_map.batch_seq < $batch_seq

    group by
        key_map.identifier_kind,
        key_map.identifier

),

standing as (

    select
        identifier_kind,
        identifier,
        max_by(event, batch_seq) as event,
        max_by(person_id, batch_seq) as person_id,
        max_by(evidence, batch_seq) as evidence

    from state.identity_changes

    where event in ('block', 'unblock')
        and batch_seq < $batch_seq

    group by
        identifier_kind,
        identifier

),

still_unfit as (

    select
        identifiers.identifier_kind,
        identifiers.identifier

    from identity.identifiers as identifiers

    inner join standing
        on identifiers.identifier_kind = standing.identifier_kind
        and identifiers.identifier = standing.identifier

    where standing.event = 'block'
        and (
            identifiers.is_blocked
            or (identifiers.is_hub and identifiers.identifier_kind not in ('account_id', 'contact_id'))
        )

),

newly_unfit as (

    select
        'block' as event,
        holders.person_id,
        holders.identifier_kind,
        holders.identifier,
        unfit.evidence

    from holders

    inner join unfit
        on holders.identifier_kind = unfit.identifier_kind
        and holders.identifier = unfit.identifier

    anti join (select * from standing where event = 'block') as already
        on holders.identifier_kind = already.identifier_kind
        and holders.identifier = already.identifier

),

fit_again as (

    select
        'unblock' as event,
        standing.person_id,
        standing.identifier_kind,
        standing.identifier,
        standing.evidence

    from standing

    anti join still_unfit
        on standing.identifier_kind = still_unfit.identifier_kind
        and standing.identifier = still_unfit.identifier

    where standing.event = 'block'

)

select *, $batch_seq as batch_seq from newly_unfit
union all
select *, $batch_seq as batch_seq from fit_again
"""

# A split is explained by an edge that no longer links what left to something else of the person's; without one, the evidence was
# withdrawn by its source.
SPLITS = """
insert into state.identity_changes by name
with

cut as (

    select
        one.node,
        other.node as other_node,
        dropped.reason

    from identity.dropped_edges as dropped

    inner join nodes as one
        on dropped.identifier_kind = one.identifier_kind
        and dropped.identifier = one.identifier

    inner join nodes as other
        on dropped.other_kind = other.identifier_kind
        and dropped.other_identifier = other.identifier

),

ends as (

    select node, other_node, reason from cut

    union all

    select other_node, node, reason from cut

),

reasons as (

    select
        leaving.place,
        min(ends.reason) as reason

    from leaving

    inner join leaving_nodes
        on leaving.place = leaving_nodes.place

    inner join ends
        on leaving_nodes.node = ends.node

    inner join staying_nodes
        on ends.other_node = staying_nodes.node
        and leaving.person = staying_nodes.person

    group by leaving.place

)

select
    'split' as event,
    leaving.person_id,
    leaving.other_person_id,
    nodes.identifier_kind,
    nodes.identifier,
    coalesce(reasons.reason, 'evidence_withdrawn') as evidence,
    $batch_seq as batch_seq
from leaving
inner join nodes
    on leaving.first_node = nodes.node
left join reasons
    on leaving.place = reasons.place
"""

MERGES = """
insert into state.identity_changes by name
select
    'merge' as event,
    merging.person_id,
    merging.other_person_id,
    nodes.identifier_kind,
    nodes.identifier,
    coalesce(classes.evidence, 'anchor') as evidence,
    $batch_seq as batch_seq
from merging
inner join nodes
    on merging.node = nodes.node
left join identity.evidence_classes as classes
    on merging.evidence_rank = classes.evidence_rank
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of the log where they do not exist yet; a key map from before it gets the column that says what links rest on."""
    connection.execute(STATE_TABLES)
    connection.execute("alter table state.key_map add column if not exists evidence varchar")


def record(connection: duckdb.DuckDBPyConnection, clusters: Clusters, given: Keys, *, batch_seq: int) -> None:
    """Write the merges, splits and blocks of this batch in place of what it wrote before."""
    batch = {"batch_seq": batch_seq}
    connection.execute("delete from state.identity_changes where batch_seq = $batch_seq", batch)
    connection.execute(BLOCKED, batch)
    _merges(connection, clusters, given, batch)
    _splits(connection, clusters, given, batch)


def _merges(connection: duckdb.DuckDBPyConnection, clusters: Clusters, given: Keys, batch: dict[str, int]) -> None:
    """One row per person who went up in an older one: through the first identifier at which the strongest edge meets the others."""
    import numpy as np
    import pyarrow as pa

    claims, was, of_node, person_ids = given.claims, given.was, given.of_node, given.person_ids
    merged = claims.is_kept & ~claims.is_chosen
    if not merged.any():
        return
    gone = claims.person[merged]
    is_gone = np.zeros(len(person_ids), dtype=bool)
    is_gone[gone] = True
    leaves = (was >= 0) & is_gone[np.maximum(was, 0)]  # by node
    crossing = (leaves[clusters.one] | leaves[clusters.other]) & (was[clusters.one] != was[clusters.other])
    one, other, rank = (array[crossing] for array in (clusters.one, clusters.other, clusters.rank))
    mine, theirs, rank = (
        np.concatenate([one, other]),
        np.concatenate([other, one]),
        np.concatenate([rank, rank]).astype(np.int64),
    )
    mine, theirs, rank = mine[leaves[mine]], theirs[leaves[mine]], rank[leaves[mine]]
    order = np.lexsort((theirs, rank, was[mine]))
    who, first = np.unique(was[mine][order], return_index=True)
    through, through_rank = np.full(len(person_ids), -1, dtype=np.int64), np.zeros(len(person_ids), dtype=np.int64)
    through[who], through_rank[who] = theirs[order][first], rank[order][first]
    node = np.where(through[gone] >= 0, through[gone], claims.first_node[merged])
    connection.register(
        "merging",
        pa.table(
            {
                "person_id": person_ids.take(pa.array(gone)),
                "other_person_id": person_ids.take(pa.array(of_node[claims.cluster[merged]])),
                "node": node,
                "evidence_rank": through_rank[gone],
            }
        ),
    )
    connection.execute(MERGES, batch)
    connection.unregister("merging")


def _splits(connection: duckdb.DuckDBPyConnection, clusters: Clusters, given: Keys, batch: dict[str, int]) -> None:
    """One row per group of identifiers that left a person who lives on elsewhere."""
    import numpy as np
    import pyarrow as pa

    claims, was, of_node, person_ids = given.claims, given.was, given.of_node, given.person_ids
    left = ~claims.is_kept
    if not left.any():
        return
    place = np.arange(int(left.sum()))
    person, cluster = claims.person[left], claims.cluster[left]
    by_cluster = np.full(len(clusters.cluster), -1, dtype=np.int64)
    by_cluster[cluster] = place  # of several persons who left into one cluster the last; each keeps its own row
    gone = np.zeros(len(person_ids), dtype=bool)
    gone[person] = True
    concerned = np.flatnonzero((was >= 0) & gone[np.maximum(was, 0)])
    away = clusters.is_member[concerned] & (by_cluster[clusters.cluster[concerned]] >= 0)
    tables = {
        "leaving": {
            "place": place,
            "person": person,
            "person_id": person_ids.take(pa.array(person)),
            "other_person_id": person_ids.take(pa.array(of_node[cluster])),
            "first_node": claims.first_node[left],
        },
        "leaving_nodes": {"place": by_cluster[clusters.cluster[concerned[away]]], "node": concerned[away]},
        "staying_nodes": {"person": was[concerned[~away]], "node": concerned[~away]},
    }
    for name, columns in tables.items():
        connection.register(name, pa.table(columns))
    connection.execute(SPLITS, batch)
    for name in tables:
        connection.unregister(name)
