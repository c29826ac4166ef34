"""Keys of persons: assigned once, kept while the grouping changes.

A cluster takes the key that its members had; when it had several the oldest survives and the others become aliases; when two
clusters claim one key, the one that holds the identifier the key was made from keeps it; a cluster without any gets a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# state.key_map holds changes: an identifier belongs to the person of its entry with the greatest batch_seq.
STATE_TABLES = """
create schema if not exists state;
create table if not exists state.key_map (
    person_id varchar not null, identifier_kind varchar not null, identifier varchar not null, batch_seq bigint not null
);
create table if not exists state.persons (
    person_id varchar not null, anchor_kind varchar not null, anchor varchar not null, batch_seq bigint not null
);
"""

# What earlier batches said. A rerun must not see itself, nor what came after it.
KNOWN = """
create or replace temp table known as
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
"""

# `is_kept`: a person belongs to the cluster that holds their anchor; only while nobody holds it (it turned out a hub) to the
# claimant with the smallest node. So a key made from an anchor can never be in use elsewhere when it is made again.
# `is_chosen`: of the persons a cluster keeps, the oldest, then the smallest.
CLAIMS = """
create or replace temp table claims as
with

claims as (

    select
        members.cluster,
        known.person_id,
        min(members.node) as first_node

    from members

    inner join known
        on members.node = known.node

    group by members.cluster, known.person_id

),

persons as (

    select
        persons.person_id,
        persons.batch_seq,
        members.cluster as anchor_cluster

    from state.persons

    left join nodes
        on persons.anchor_kind = nodes.identifier_kind
        and persons.anchor = nodes.identifier

    left join members
        on nodes.node = members.node

    where persons.batch_seq < $batch_seq

    qualify row_number() over (partition by persons.person_id order by persons.batch_seq, persons.anchor_kind, persons.anchor) = 1

),

contested as (

    select
        claims.cluster,
        claims.person_id,
        persons.batch_seq,
        case
            when persons.anchor_cluster is not null then claims.cluster = persons.anchor_cluster
            else claims.first_node = min(claims.first_node) over (partition by claims.person_id)
        end as is_kept

    from claims

    inner join persons
        on claims.person_id = persons.person_id

)

select
    cluster,
    person_id,
    is_kept,
    is_kept and row_number() over (partition by cluster, is_kept order by batch_seq, person_id) = 1 as is_chosen

from contested
"""

# A new key is made from the anchor alone, so it does not depend on what else is in the batch.
PERSONS = """
create or replace temp table cluster_persons as
with

clusters as (

    select distinct cluster from members

),

chosen as (

    select
        cluster,
        person_id

    from claims

    where is_chosen

),

minted as (

    select
        clusters.cluster,
        'p' || left(sha256(concat_ws('|', $hash_key, nodes.identifier_kind, nodes.identifier)), 24) as person_id,
        nodes.identifier_kind as anchor_kind,
        nodes.identifier as anchor

    from clusters

    anti join chosen
        on clusters.cluster = chosen.cluster

    inner join nodes
        on clusters.cluster = nodes.node

)

select
    cluster,
    person_id,
    anchor_kind,
    anchor

from minted

union all

select
    cluster,
    person_id,
    null as anchor_kind,
    null as anchor

from chosen
"""

PERSON_IDENTIFIERS = """
create or replace table identity.person_identifiers as
select
    nodes.identifier_kind,
    nodes.identifier,
    cluster_persons.person_id,
    -- Since when this identifier is this person's, without a break.
    case when known.person_id = cluster_persons.person_id then known.batch_seq else $batch_seq end as first_batch_seq
from members
inner join nodes
    on members.node = nodes.node
inner join cluster_persons
    on members.cluster = cluster_persons.cluster
left join known
    on members.node = known.node
order by nodes.node
"""

# What is new or changed in this batch.
ENTRIES = """
create or replace temp table entries as
select
    person_id,
    identifier_kind,
    identifier,
    first_batch_seq as batch_seq
from identity.person_identifiers
where first_batch_seq = $batch_seq
"""

NEW_PERSONS = """
create or replace temp table new_persons as
select
    cluster_persons.person_id,
    cluster_persons.anchor_kind,
    cluster_persons.anchor,
    $batch_seq::bigint as batch_seq
from cluster_persons
anti join (select person_id from state.persons where batch_seq < $batch_seq) as persons
    on cluster_persons.person_id = persons.person_id
where cluster_persons.anchor is not null
order by cluster_persons.cluster
"""

# A person who is no more lives on as whoever holds their anchor now, else as whoever holds the first of their identifiers.
ALIASES = """
create or replace table identity.person_aliases as
with

living as (

    select distinct person_id from cluster_persons

),

retired as (

    select
        persons.person_id,
        persons.anchor_kind,
        persons.anchor

    from state.persons

    anti join living
        on persons.person_id = living.person_id

    where persons.batch_seq <= $batch_seq

),

holders_of_anchors as (

    select
        retired.person_id,
        person_identifiers.person_id as surviving_person_id

    from retired

    inner join identity.person_identifiers
        on retired.anchor_kind = person_identifiers.identifier_kind
        and retired.anchor = person_identifiers.identifier

),

holders_of_others as (

    select
        retired.person_id,
        min_by(cluster_persons.person_id, key_nodes.node) as surviving_person_id

    from retired

    anti join holders_of_anchors
        on retired.person_id = holders_of_anchors.person_id

    inner join state.key_map
        on retired.person_id = key_map.person_id
        and key_map.batch_seq <= $batch_seq

    inner join nodes as key_nodes
        on key_map.identifier_kind = key_nodes.identifier_kind
        and key_map.identifier = key_nodes.identifier

    inner join members
        on key_nodes.node = members.node

    inner join cluster_persons
        on members.cluster = cluster_persons.cluster

    group by retired.person_id

),

aliases as (

    select * from holders_of_anchors

    union all

    select * from holders_of_others

)

select * from aliases order by person_id
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that remember keys where they do not exist yet."""
    connection.execute(STATE_TABLES)


def give(connection: duckdb.DuckDBPyConnection, *, batch_seq: int, hash_key: str) -> dict[str, Any]:
    """Keys for the clusters in the temp tables `nodes` and `members`: {minted, merged, split, key_map_rows, …}.

    Replaces what this batch wrote before and touches no other batch. Runs in the caller's transaction.
    """

    def count(sql: str) -> int:
        row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    batch = {"batch_seq": batch_seq}
    connection.execute(KNOWN, batch)
    connection.execute(CLAIMS, batch)
    connection.execute(PERSONS, {"hash_key": hash_key})
    connection.execute(PERSON_IDENTIFIERS, batch)
    connection.execute(ENTRIES, batch)
    connection.execute(NEW_PERSONS, batch)

    stored = count(f"select count(*) from state.key_map where batch_seq = {int(batch_seq)}")
    changed = 0
    if stored:
        changed = count(
            f"""
            select count(*) from (
                (select person_id, identifier_kind, identifier from state.key_map where batch_seq = {int(batch_seq)}
                 except all select person_id, identifier_kind, identifier from entries)
                union all
                (select person_id, identifier_kind, identifier from entries
                 except all select person_id, identifier_kind, identifier from state.key_map where batch_seq = {int(batch_seq)})
            ) as differences
            """
        )
    connection.execute("delete from state.key_map where batch_seq = $batch_seq", batch)
    connection.execute("insert into state.key_map by name select * from entries")
    connection.execute("delete from state.persons where batch_seq = $batch_seq", batch)
    connection.execute("insert into state.persons by name select * from new_persons")
    connection.execute(ALIASES, batch)
    return {
        "minted": count("select count(*) from cluster_persons where anchor is not null"),
        "merged": count("select count(*) from claims where is_kept and not is_chosen"),
        "split": count(
            "select count(*) from (select person_id from claims group by person_id having count(*) > 1) as contested"
        ),
        "key_map_rows": count("select count(*) from entries"),
        # Above zero only when rules or code changed since this batch was first run.
        "changed_on_rerun": changed,
    }
