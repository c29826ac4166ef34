"""Keys of persons: assigned once, kept while the grouping changes.

A cluster takes the key that its members had; when it had several the oldest survives and the others become aliases; when two
clusters claim one key, the one that holds the identifier the key was made from keeps it; a cluster without any gets a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from candor.identity import changes, graph

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
select
    (row_number() over () - 1)::integer as code,
    person_id,
    anchor_kind,
    anchor,
    person_key(person_id) as key,
    node_key(anchor_kind, anchor) as anchor_key
from (
    {mints}
    order by
        batch_seq,
        person_id
) as persons
"""

MINTS = "select * from scope_persons where batch_seq < $batch_seq"
FIRST_MINTS = """
    select
        person_id,
        min_by(anchor_kind, batch_seq) as anchor_kind,
        min_by(anchor, batch_seq) as anchor,
        min(batch_seq) as batch_seq
    from scope_persons
    where batch_seq < $batch_seq
    group by person_id
"""
# Nearly always nobody was minted twice and no two persons have one hash, and then the first way will do.
EARLIER_PERSONS_WAYS = (("hash(person_id)", MINTS), ("hash(person_id)", FIRST_MINTS), ("person_id", FIRST_MINTS))

# Every entry, not only the latest: who retired lives on as whoever holds what was ever theirs. An identifier that is no node
# now (a hub, blocked, or no longer shown by any source) is named by its hash. A person's anchor is among their entries.
KNOWN = """
select
    coalesce(nodes.node, -1) as node,
    earlier_persons.code,
    key_map.batch_seq,
    case when nodes.node is null then hash(key_map.identifier_kind, key_map.identifier) else 0 end as key,
    node_key(key_map.identifier_kind, key_map.identifier) = earlier_persons.anchor_key as is_anchor
from scope_key_map as key_map
inner join earlier_persons
    on person_key(key_map.person_id) = earlier_persons.key
left join nodes
    on node_key(key_map.identifier_kind, key_map.identifier) = nodes.key
where key_map.batch_seq < $batch_seq
"""

# A new key is made from the anchor alone, so it does not depend on what else is in the batch.
MINTED = """
create or replace temp table minted_persons as
select
    coalesce(
        known.person_id, 'p' || left(sha256(concat_ws('|', $hash_key, nodes.identifier_kind, nodes.identifier)), 24)
    ) as person_id,
    nodes.identifier_kind as anchor_kind,
    nodes.identifier as anchor
from (
    select sorted_nodes.identifier_kind, sorted_nodes.identifier, arrays.is_minted, row_number() over () as place
    from sorted_nodes
    positional join minted_arrays as arrays
) as nodes
left join (
    select anchor_kind, anchor, min_by(person_id, batch_seq) as person_id from state.persons group by anchor_kind, anchor
) as known
    on nodes.identifier_kind = known.anchor_kind
    and nodes.identifier = known.anchor
where nodes.is_minted
order by nodes.place
"""

# Nodes are numbered without a gap and stand in that order, so arrays join them by position.
PERSON_IDENTIFIERS = """
select
    sorted_nodes.identifier_kind,
    sorted_nodes.identifier,
    arrays.person_id,
    arrays.first_batch_seq,
    arrays.evidence_rank,
    arrays.linked_at
from sorted_nodes
positional join node_arrays as arrays
where arrays.person_id is not null
"""

PERSONS = """
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
order by minted_persons.rowid
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


@dataclass(frozen=True)
class Keys:
    """Who everybody is and was, as places in `person_ids`: earlier persons by age, then those minted now; -1 is nobody."""

    person_ids: Any  # pyarrow array
    earlier: int  # how many of them are earlier persons
    roots: np.ndarray  # the smallest node of every person of today
    was: np.ndarray  # by node: whose it was before this batch
    of_node: np.ndarray  # by node: whose it is
    since: np.ndarray  # by node: the batch from which it is theirs without a break
    claims: Claims
    anchors: np.ndarray  # nodes that earlier persons' keys were made from ...
    anchor_codes: np.ndarray  # ... and whose
    ever_node: np.ndarray  # one element per entry of the key map: the node, -1 when it is none now
    ever_key: np.ndarray  # the hash of its identifier where it is no node
    ever_code: np.ndarray  # the earlier person


def claims_of(clusters: Clusters, was: np.ndarray, anchors: np.ndarray, anchor_codes: np.ndarray, persons: int) -> Claims:
    """What earlier persons (codes 0 to `persons` - 1) are claimed by which clusters, and who keeps and is chosen.

    `was` says whose each node was (-1: nobody's). A person belongs to the cluster that holds their anchor; only while nobody
    holds it (it turned out a hub) to the claimant with the smallest node. So a key made from an anchor can never be in use elsewhere
    when it is made again. Of the persons a cluster keeps, the oldest, then the smallest, is chosen: the one with the smallest code.
    """
    import numpy as np

    count = len(clusters.cluster)
    node = np.flatnonzero(clusters.is_member & (was >= 0))
    cluster, person = clusters.cluster[node], was[node]
    # Nearly every cluster was one person, whom its first node names; only what says otherwise is sorted.
    first = np.full(count, -1, dtype=np.int64)
    first[cluster[::-1]] = node[::-1]
    known = np.flatnonzero(first >= 0)
    others = person != was[first[cluster]]
    pair = person[others].astype(np.int64) * max(count, 1) + cluster[others]
    pair, at = np.unique(pair, return_index=True)  # the first of equals, and so the smallest node
    who = np.concatenate([was[first[known]].astype(np.int64), pair // max(count, 1)])
    of_cluster = np.concatenate([known, pair % max(count, 1)])
    first_node = np.concatenate([first[known], node[others][at]])
    order = np.lexsort((of_cluster, who))
    who, of_cluster, first_node = who[order], of_cluster[order], first_node[order]

    anchor_cluster = np.full(persons, -1, dtype=np.int64)
    held = clusters.is_member[anchors]
    anchor_cluster[anchor_codes[held]] = clusters.cluster[anchors[held]]
    smallest = np.full(persons, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(smallest, who, first_node)
    at_anchor = anchor_cluster[who]
    is_kept = np.where(at_anchor >= 0, at_anchor == of_cluster, first_node == smallest[who])
    kept_person, kept_cluster = who[is_kept], of_cluster[is_kept]
    chosen = np.full(count, -1, dtype=np.int64)
    chosen[kept_cluster[::-1]] = kept_person[::-1]  # sorted by person: the last assignment is the smallest
    return Claims(who, of_cluster, first_node, is_kept, is_kept & (chosen[of_cluster] == who))


def give(connection: duckdb.DuckDBPyConnection, clusters: Clusters, *, batch_seq: int, hash_key: str) -> Keys:
    """Keys for the clusters over the temp table `nodes`, from what batches before this one said. Writes nothing that lasts."""
    import numpy as np
    import pyarrow as pa

    batch = {"batch_seq": batch_seq}
    for key, mints in EARLIER_PERSONS_WAYS:
        connection.execute(f"create or replace temp macro person_key(person_id) as {key}")
        connection.execute(EARLIER_PERSONS.format(mints=mints), batch)
        if graph.is_unique(connection.execute("select key from earlier_persons").fetchnumpy()["key"]):
            break
    earlier = connection.execute("select person_id from earlier_persons order by code").to_arrow_table()["person_id"]
    # With nobody known there is nothing to look for.
    ever = connection.execute(KNOWN if len(earlier) else f"{KNOWN} limit 0", batch).fetchnumpy()
    is_anchor = ever["is_anchor"] & (ever["node"] >= 0)
    anchors, anchor_codes = ever["node"][is_anchor], ever["code"][is_anchor]
    count = len(clusters.cluster)
    was, since = latest(count, ever["node"], ever["code"], ever["batch_seq"])
    claims = claims_of(clusters, was, anchors, anchor_codes, len(earlier))

    nodes = np.arange(count, dtype=clusters.cluster.dtype)
    roots = np.flatnonzero(clusters.is_member & (clusters.cluster == nodes))
    place = np.full(count, -1, dtype=np.int32)  # by root: where its person stands among earlier, then minted
    place[claims.cluster[claims.is_chosen]] = claims.person[claims.is_chosen]
    new_roots = roots[place[roots] < 0]
    place[new_roots] = len(earlier) + np.arange(len(new_roots))
    is_minted = np.zeros(count, dtype=bool)
    is_minted[new_roots] = True
    connection.register("minted_arrays", pa.table({"is_minted": is_minted}))
    connection.execute(MINTED, {"hash_key": hash_key})
    connection.unregister("minted_arrays")
    minted = connection.execute("select person_id from minted_persons").to_arrow_table()["person_id"]
    person_ids = pa.chunked_array([*earlier.chunks, *minted.chunks], type=pa.string()).combine_chunks()

    of_node = np.where(clusters.is_member, place[clusters.cluster], -1)
    # Since when this identifier is this person's, without a break.
    since = np.where((was == of_node) & (of_node >= 0), since, batch_seq)
    ever_of = {f"ever_{name}": ever[name] for name in ("node", "key", "code")}
    return Keys(person_ids, len(earlier), roots, was, of_node, since, claims, anchors, anchor_codes, **ever_of)


def write(
    connection: duckdb.DuckDBPyConnection, clusters: Clusters, given: Keys, *, batch_seq: int, is_whole: bool = True
) -> dict[str, int]:
    """Write persons, aliases, the key map and the log: {minted, merged, split, key_map_rows, changed_on_rerun}.

    Replaces what this batch wrote before and touches no other batch; when not `is_whole` the rows that stand in schema identity stay.
    Runs in the caller's transaction.
    """
    import numpy as np

    claims = given.claims
    _write_persons(connection, clusters, given, is_whole=is_whole)
    connection.execute(NEW_PERSONS, {"batch_seq": batch_seq})
    again = connection.execute(
        "select earlier_persons.code from minted_persons inner join earlier_persons using (person_id)"
    ).fetchnumpy()
    retired = np.ones(given.earlier, dtype=bool)
    retired[claims.person[claims.is_chosen]] = False
    retired[again["code"]] = False
    _write_aliases(connection, given, retired, is_whole=is_whole)
    changed, entries = _remember(connection, batch_seq)
    changes.record(connection, clusters, given, batch_seq=batch_seq)
    return {
        "minted": len(given.person_ids) - given.earlier,
        "merged": int((claims.is_kept & ~claims.is_chosen).sum()),
        "split": int((np.bincount(claims.person, minlength=1) > 1).sum()) if len(claims.person) else 0,
        "key_map_rows": entries,
        # Above zero only when rules or code changed since this batch was first run.
        "changed_on_rerun": changed,
    }


def latest(count: int, node: np.ndarray, person: np.ndarray, batch_seq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of `count` nodes whose it is by its newest entry, and since which batch; -1 and 0 without one."""
    import numpy as np

    if len(batch_seq) and (np.diff(batch_seq) < 0).any():
        order = np.argsort(batch_seq, kind="stable")
        node, person, batch_seq = node[order], person[order], batch_seq[order]
    present = node >= 0
    node = node[present]
    whose, since = np.full(count, -1, dtype=np.int32), np.zeros(count, dtype=np.int64)
    whose[node], since[node] = person[present], batch_seq[present]  # of repeated nodes the last assignment stays: the newest
    return whose, since


def put(connection: duckdb.DuckDBPyConnection, name: str, query: str, *, is_whole: bool) -> None:
    """Make `name` of the query's rows; when not `is_whole`, add them to the rows that stand there."""
    connection.execute(f"create or replace table {name} as {query}" if is_whole else f"insert into {name} by name {query}")


def _write_aliases(connection: duckdb.DuckDBPyConnection, given: Keys, retired: np.ndarray, *, is_whole: bool) -> None:
    """identity.person_aliases: a person who is no more lives on as whoever holds their anchor now, else as whoever holds the first of
    their identifiers; as nobody when nothing of theirs is anybody's."""
    import numpy as np
    import pyarrow as pa

    # By earlier person: the node whose holder they live on as.
    heir = np.full(len(retired), np.iinfo(np.int64).max, dtype=np.int64)
    of_retired = (given.ever_node >= 0) & retired[given.ever_code]
    node, whose = given.ever_node[of_retired], given.ever_code[of_retired]
    held = given.of_node[node] >= 0
    np.minimum.at(heir, whose[held], node[held])
    held = given.of_node[given.anchors] >= 0
    heir[given.anchor_codes[held]] = given.anchors[held]
    gone = np.flatnonzero(retired & (heir < np.iinfo(np.int64).max))
    ids = given.person_ids
    surviving = given.of_node[heir[gone]]
    connection.register(
        "alias_arrays",
        pa.table({"person_id": ids.take(pa.array(gone)), "surviving_person_id": ids.take(pa.array(surviving))}),
    )
    put(connection, "identity.person_aliases", "select * from alias_arrays order by person_id", is_whole=is_whole)
    connection.unregister("alias_arrays")


def _write_persons(connection: duckdb.DuckDBPyConnection, clusters: Clusters, given: Keys, *, is_whole: bool) -> None:
    """identity.person_identifiers, and identity.persons with the weakest bridge of each person.

    A bridge joins accounts, contacts, machines and wallets; an address or number at the end of a chain joins nothing.
    """
    import numpy as np
    import pyarrow as pa

    of_node, roots, person_ids = given.of_node, given.roots, given.person_ids
    count = len(of_node)
    linked = pa.array(clusters.linked_ms, mask=clusters.linked_ms < 0).cast(pa.timestamp("ms"))
    codes = pa.array(of_node, mask=of_node < 0).cast(pa.int32())
    connection.register(
        "node_arrays",
        pa.table(
            {
                "person_id": pa.DictionaryArray.from_arrays(codes, person_ids),
                "first_batch_seq": given.since,
                "evidence_rank": clusters.evidence_rank,
                "linked_at": linked,
            }
        ),
    )
    put(connection, "identity.person_identifiers", PERSON_IDENTIFIERS, is_whole=is_whole)
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
                "person_id": person_ids.take(pa.array(of_node[roots])) if len(roots) else pa.array([], pa.string()),
                "identifiers": sizes[roots],
                "evidence_rank": weakest[roots],
                "linked_at": pa.array(latest[roots], mask=latest[roots] < 0).cast(pa.timestamp("ms")),
            }
        ),
    )
    put(connection, "identity.persons", PERSONS, is_whole=is_whole)
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
