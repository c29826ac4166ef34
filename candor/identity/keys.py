"""Keys of persons: assigned once, kept while the grouping changes.

A cluster takes the key that its members had; when it had several the oldest survives and the others become aliases; when two
clusters claim one key, the one that holds the identifier the key was made from keeps it; a cluster without any gets a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from candor.identity import changes

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    from candor.identity.clusters import Clusters

# state.key_map holds changes: an identifier belongs to the person of its entry with the greatest batch_seq.
STATE_TABLES = """
create schema if not exists state;
create table if not exists state.key_map (
    person_id varchar not null, identifier_kind varchar not null, identifier varchar not null, batch_seq bigint not null,
    evidence varchar
);
create table if not exists state.persons (
    person_id varchar not null, anchor_kind varchar not null, anchor varchar not null, batch_seq bigint not null
);
"""

# What earlier batches said; a rerun must not see itself, nor what came after it. Numbered oldest first, then smallest:
# of several persons in one cluster the one with the smallest code survives.
EARLIER_PERSONS = """
create or replace temp table earlier_persons as
with

persons as (

    select
        person_id,
        anchor_kind,
        anchor,
        batch_seq

    from state.persons

    where batch_seq < $batch_seq

    qualify row_number() over (partition by person_id order by batch_seq, anchor_kind, anchor) = 1

)

select
    (row_number() over (order by batch_seq, person_id) - 1)::integer as code,
    person_id,
    anchor_kind,
    anchor
from persons
order by code
"""

ANCHORS = """
select
    earlier_persons.code,
    nodes.node
from earlier_persons
inner join nodes
    on earlier_persons.anchor_kind = nodes.identifier_kind
    and earlier_persons.anchor = nodes.identifier
"""

KNOWN = """
with

latest as (

    select
        nodes.node,
        max_by(key_map.person_id, key_map.batch_seq) as person_id,
        max(key_map.batch_seq) as batch_seq

    from state.key_map

    inner join nodes
        on key_map.identifier_kind = nodes.identifier_kind
        and key_map.identifier = nodes.identifier

    where key_map.batch_seq < $batch_seq

    group by nodes.node

)

select
    latest.node,
    earlier_persons.code,
    latest.batch_seq
from latest
inner join earlier_persons
    on latest.person_id = earlier_persons.person_id
"""

# A new key is made from the anchor alone, so it does not depend on what else is in the batch.
MINTED = """
create or replace temp table minted_persons as
select
    row_number() over (order by nodes.node) - 1 as place,
    'p' || left(sha256(concat_ws('|', $hash_key, nodes.identifier_kind, nodes.identifier)), 24) as person_id,
    nodes.identifier_kind as anchor_kind,
    nodes.identifier as anchor
from minted_roots
inner join nodes
    on minted_roots.node = nodes.node
order by place
"""

# Nodes are numbered without a gap and stand in that order, so arrays join them by position.
PERSON_IDENTIFIERS = """
create or replace table identity.person_identifiers as
select
    nodes.identifier_kind,
    nodes.identifier,
    arrays.person_id,
    arrays.first_batch_seq,
    arrays.evidence_rank,
    arrays.linked_at
from nodes
positional join node_arrays as arrays
where arrays.person_id is not null
"""

NEW_PERSONS = """
create or replace temp table new_persons as
select
    minted_persons.person_id,
    minted_persons.anchor_kind,
    minted_persons.anchor,
    $batch_seq::bigint as batch_seq
from minted_persons
anti join earlier_persons
    on minted_persons.person_id = earlier_persons.person_id
order by minted_persons.place
"""

# A person who is no more lives on as whoever holds their anchor now, else as whoever holds the first of their identifiers.
# Step by step, so that each join knows how few there are.
RETIRED = """
create or replace temp table retired as
select
    earlier_persons.person_id,
    earlier_persons.anchor_kind,
    earlier_persons.anchor
from earlier_persons
inner join retired_codes
    on earlier_persons.code = retired_codes.code
"""

RETIRED_IDENTIFIERS = """
create or replace temp table retired_identifiers as
select
    key_map.person_id,
    key_map.identifier_kind,
    key_map.identifier
from state.key_map
inner join retired
    on key_map.person_id = retired.person_id
where key_map.batch_seq <= $batch_seq
"""

PRESENT_HOLDERS = """
create or replace temp table present_holders as
select
    wanted.identifier_kind,
    wanted.identifier,
    nodes.node,
    person_identifiers.person_id
from (
    select identifier_kind, identifier from retired_identifiers
    union
    select anchor_kind, anchor from retired
) as wanted
inner join nodes
    on wanted.identifier_kind = nodes.identifier_kind
    and wanted.identifier = nodes.identifier
inner join identity.person_identifiers
    on wanted.identifier_kind = person_identifiers.identifier_kind
    and wanted.identifier = person_identifiers.identifier
"""

ALIASES = """
create or replace table identity.person_aliases as
with

holders_of_anchors as (

    select
        retired.person_id,
        present_holders.person_id as surviving_person_id

    from retired

    inner join present_holders
        on retired.anchor_kind = present_holders.identifier_kind
        and retired.anchor = present_holders.identifier

),

holders_of_others as (

    select
        retired_identifiers.person_id,
        min_by(present_holders.person_id, present_holders.node) as surviving_person_id

    from retired_identifiers

    anti join holders_of_anchors
        on retired_identifiers.person_id = holders_of_anchors.person_id

    inner join present_holders
        on retired_identifiers.identifier_kind = present_holders.identifier_kind
        and retired_identifiers.identifier = present_holders.identifier

    group by retired_identifiers.person_id

),

aliases as (

    select * from holders_of_anchors

    union all

    select * from holders_of_others

)

select * from aliases order by person_id
"""


@dataclass(frozen=True)
class Claims:
    """Who the members of each cluster were before: one element per person and cluster that holds some of their identifiers."""

    person: np.ndarray  # code of the earlier person
    cluster: np.ndarray  # smallest node
    first_node: np.ndarray  # the person's smallest node in the cluster
    is_kept: np.ndarray
    is_chosen: np.ndarray


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that remember keys where they do not exist yet."""
    connection.execute(STATE_TABLES)
    changes.prepare(connection)


def claims_of(
    clusters: Clusters, node: np.ndarray, person: np.ndarray, anchors: np.ndarray, anchor_codes: np.ndarray, persons: int
) -> Claims:
    """What earlier persons (codes 0 to `persons` - 1) are claimed by which clusters, and who keeps and is chosen.

    `node` and `person` say whose each identifier was. A person belongs to the cluster that holds their anchor; only while nobody
    holds it (it turned out a hub) to the claimant with the smallest node. So a key made from an anchor can never be in use elsewhere
    when it is made again. Of the persons a cluster keeps, the oldest, then the smallest, is chosen: the one with the smallest code.
    """
    import numpy as np

    count = len(clusters.cluster)
    member = clusters.is_member[node]
    node, person = node[member], person[member]
    pair = person.astype(np.int64) * max(count, 1) + clusters.cluster[node]
    order = np.lexsort((node, pair))
    pair, first = np.unique(pair[order], return_index=True)
    who, cluster, first_node = pair // max(count, 1), pair % max(count, 1), node[order][first]

    anchor_cluster = np.full(persons, -1, dtype=np.int64)
    held = clusters.is_member[anchors]
    anchor_cluster[anchor_codes[held]] = clusters.cluster[anchors[held]]
    smallest = np.full(persons, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(smallest, who, first_node)
    at_anchor = anchor_cluster[who]
    is_kept = np.where(at_anchor >= 0, at_anchor == cluster, first_node == smallest[who])
    kept_person, kept_cluster = who[is_kept], cluster[is_kept]
    chosen = np.full(count, -1, dtype=np.int64)
    chosen[kept_cluster[::-1]] = kept_person[::-1]  # sorted by person: the last assignment is the smallest
    return Claims(who, cluster, first_node, is_kept, is_kept & (chosen[cluster] == who))


def give(connection: duckdb.DuckDBPyConnection, clusters: Clusters, *, batch_seq: int, hash_key: str) -> dict[str, Any]:
    """Keys for the clusters over the temp table `nodes`: {people, minted, merged, split, key_map_rows, …}.

    Replaces what this batch wrote before and touches no other batch. Runs in the caller's transaction.
    """
    import numpy as np
    import pyarrow as pa

    batch = {"batch_seq": batch_seq}
    connection.execute(EARLIER_PERSONS, batch)
    earlier = connection.execute("select person_id from earlier_persons order by code").to_arrow_table()["person_id"]
    anchors = connection.execute(ANCHORS).fetchnumpy()
    known = connection.execute(KNOWN, batch).fetchnumpy()
    claims = claims_of(clusters, known["node"], known["code"], anchors["node"], anchors["code"], len(earlier))

    count = len(clusters.cluster)
    nodes = np.arange(count, dtype=clusters.cluster.dtype)
    roots = np.flatnonzero(clusters.is_member & (clusters.cluster == nodes))
    place = np.full(count, -1, dtype=np.int64)  # by root: where its person stands among earlier, then minted
    place[claims.cluster[claims.is_chosen]] = claims.person[claims.is_chosen]
    new_roots = roots[place[roots] < 0]
    place[new_roots] = len(earlier) + np.arange(len(new_roots))
    connection.register("minted_roots", pa.table({"node": new_roots}))
    connection.execute(MINTED, {"hash_key": hash_key})
    connection.unregister("minted_roots")
    minted = connection.execute("select person_id from minted_persons order by place").to_arrow_table()["person_id"]
    person_ids = pa.chunked_array([*earlier.chunks, *minted.chunks], type=pa.string()).combine_chunks()

    of_node = np.where(clusters.is_member, place[clusters.cluster], -1)
    was = np.full(count, -1, dtype=np.int64)
    was[known["node"]] = known["code"]
    since = np.full(count, batch_seq, dtype=np.int64)
    since[known["node"]] = known["batch_seq"]
    # Since when this identifier is this person's, without a break.
    since = np.where((was == of_node) & (of_node >= 0), since, batch_seq)
    _write_persons(connection, clusters, roots, place, person_ids, of_node, since)

    connection.execute(NEW_PERSONS, batch)
    retired = np.ones(len(earlier), dtype=bool)
    retired[claims.person[claims.is_chosen]] = False
    again = connection.execute(
        "select earlier_persons.code from minted_persons inner join earlier_persons using (person_id)"
    ).fetchnumpy()
    retired[again["code"]] = False
    changed, entries = _remember(connection, batch_seq)
    connection.register("retired_codes", pa.table({"code": np.flatnonzero(retired)}))
    connection.execute(RETIRED)
    connection.unregister("retired_codes")
    connection.execute(RETIRED_IDENTIFIERS, batch)
    connection.execute(PRESENT_HOLDERS)
    connection.execute(ALIASES)
    changes.record(connection, clusters, claims, was, of_node, person_ids, batch_seq=batch_seq)
    return {
        "people": len(roots),
        "identifiers_with_person": int(clusters.is_member.sum()),
        "minted": len(new_roots),
        "merged": int((claims.is_kept & ~claims.is_chosen).sum()),
        "split": int((np.bincount(claims.person, minlength=1) > 1).sum()) if len(claims.person) else 0,
        "key_map_rows": entries,
        # Above zero only when rules or code changed since this batch was first run.
        "changed_on_rerun": changed,
    }


def _write_persons(
    connection: duckdb.DuckDBPyConnection,
    clusters: Clusters,
    roots: np.ndarray,
    place: np.ndarray,
    person_ids: Any,
    of_node: np.ndarray,
    since: np.ndarray,
) -> None:
    """identity.person_identifiers, and identity.persons with the weakest bridge of each person.

    A bridge joins accounts, contacts, machines and wallets; an address or number at the end of a chain joins nothing.
    """
    import numpy as np
    import pyarrow as pa

    count = len(of_node)
    linked = pa.array(clusters.linked_ms, mask=clusters.linked_ms < 0).cast(pa.timestamp("ms"))
    codes = pa.array(of_node, mask=of_node < 0).cast(pa.int32())
    connection.register(
        "node_arrays",
        pa.table(
            {
                "person_id": pa.DictionaryArray.from_arrays(codes, person_ids),
                "first_batch_seq": since,
                "evidence_rank": clusters.evidence_rank,
                "linked_at": linked,
            }
        ),
    )
    connection.execute(PERSON_IDENTIFIERS)
    connection.unregister("node_arrays")
    weakest, latest = np.zeros(count, dtype=np.int8), np.full(count, -1, dtype=np.int64)
    members = np.flatnonzero(clusters.is_member)
    bridged = members[~clusters.is_carried[members]]
    np.maximum.at(weakest, clusters.cluster[bridged], clusters.evidence_rank[bridged])
    np.maximum.at(latest, clusters.cluster[members], clusters.linked_ms[members])
    sizes = np.bincount(clusters.cluster[members], minlength=max(count, 1))
    connection.register(
        "person_arrays",
        pa.table(
            {
                "person_id": person_ids.take(pa.array(place[roots])) if len(roots) else pa.array([], pa.string()),
                "identifiers": sizes[roots],
                "evidence_rank": weakest[roots],
                "linked_at": pa.array(latest[roots], mask=latest[roots] < 0).cast(pa.timestamp("ms")),
            }
        ),
    )
    connection.execute(
        """
        create or replace table identity.persons as
        select
            person_arrays.person_id,
            person_arrays.identifiers,
            coalesce(classes.evidence, 'alone') as weakest_evidence,
            person_arrays.evidence_rank as weakest_evidence_rank,
            coalesce(classes.match_probability, 1) as match_probability,
            person_arrays.linked_at
        from person_arrays
        left join identity.evidence_classes as classes
            on person_arrays.evidence_rank = classes.evidence_rank
        """
    )
    connection.unregister("person_arrays")


def _remember(connection: duckdb.DuckDBPyConnection, batch_seq: int) -> tuple[int, int]:
    """What is new or changed in this batch, written in place of what it wrote before: (rows that differ from before, rows)."""

    def count(sql: str) -> int:
        row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    batch = {"batch_seq": batch_seq}
    entries = f"""
        select person_id, identifier_kind, identifier from identity.person_identifiers where first_batch_seq = {int(batch_seq)}
    """
    stored = f"select person_id, identifier_kind, identifier from state.key_map where batch_seq = {int(batch_seq)}"
    changed = 0
    if count(f"select count(*) from ({stored})"):
        changed = count(
            f"select count(*) from (({stored} except all {entries}) union all ({entries} except all {stored})) as differences"
        )
    connection.execute("delete from state.key_map where batch_seq = $batch_seq", batch)
    connection.execute(
        """
        insert into state.key_map by name
        select
            person_identifiers.person_id,
            person_identifiers.identifier_kind,
            person_identifiers.identifier,
            person_identifiers.first_batch_seq as batch_seq,
            classes.evidence
        from identity.person_identifiers
        left join identity.evidence_classes as classes
            on person_identifiers.evidence_rank = classes.evidence_rank
        where person_identifiers.first_batch_seq = $batch_seq
        """,
        batch,
    )
    connection.execute("delete from state.persons where batch_seq = $batch_seq", batch)
    connection.execute("insert into state.persons by name select * from new_persons")
    return changed, count(f"select count(*) from state.key_map where batch_seq = {int(batch_seq)}")
