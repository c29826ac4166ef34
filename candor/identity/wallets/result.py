"""From arrays back to ids: the tables of a clustering."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets import Clustering, evidence, forming, graph, hubs, same_person, scores
from candor.identity.wallets.graph import Bools, Floats, Ints
from candor.identity.wallets.reading import Intake

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Told = Callable[[str], None]


def transfers(connection: duckdb.DuckDBPyConnection, intake: Intake, told: Told) -> Clustering:
    """The clustering of transfers that `reading.intern` has numbered."""
    known = graph.load(connection)
    told("finding hubs")
    look = hubs.find(known)
    told("weighing evidence")
    memberships, verdicts = evidence.collect(known, look)
    formed = forming.form(known.count, memberships)
    is_address = np.zeros(known.count, dtype=bool)
    is_address[memberships.via[memberships.reason == evidence.DEPOSIT]] = True
    score = scores.score(known, look.is_hub, formed.cluster, ~look.is_hub & ~is_address, verdicts)
    told("writing ids")
    rows = _link_rows(memberships, formed)
    nodes = _nodes(
        connection, formed.cluster, look.is_hub, score, known.degree, _reasons(known.count, memberships, formed.holds)
    )
    return Clustering(
        nodes=nodes,
        links=_pairs(connection, rows, memberships, formed.holds),
        cut=_pairs(connection, rows, memberships, ~formed.holds, reason="belongs_to_a_likelier_owner"),
        intake=intake,
        counts=_counts(nodes, len(known.source)),
    )


def identity(connection: duckdb.DuckDBPyConnection, intake: Intake, told: Told) -> Clustering:
    """The clustering of edges that mean identity itself."""
    pairs = connection.execute(
        "select distinct least(source, target) as one, greatest(source, target) as other from wallet_rows where source <> target order by all"
    ).fetchnumpy()
    counted = connection.execute("select max(node) + 1 from wallet_ids").fetchone()
    assert counted is not None
    count, one, other = int(counted[0]), pairs["one"], pairs["other"]
    told("joining")
    cluster, is_hub, holds, pieces = same_person.join(count, one, other)
    degree = np.bincount(one, minlength=count) + np.bincount(other, minlength=count)
    # Sharing an identifier with many strangers is the mark of a farm here; a large cluster alone is a person with many devices.
    worst = np.zeros(count)
    np.maximum.at(worst, np.concatenate([one, other]), np.concatenate([pieces[other], pieces[one]]))
    size = np.bincount(cluster, minlength=count)[cluster]
    score = 0.5 * worst / (worst + same_person.SMALLEST) + 0.2 * (size - 1) / (size - 1 + scores.HALF)
    score = np.round(np.where(is_hub, 0.0, score), 6)
    joined = np.zeros(count, dtype=bool)
    joined[one[holds]] = True
    joined[other[holds]] = True
    told("writing ids")
    nodes = _nodes(connection, cluster, is_hub, score, degree, {"same_person": joined})
    return Clustering(
        nodes=nodes,
        links=_plain_pairs(connection, one[holds], other[holds], "same_person", None),
        cut=_plain_pairs(connection, one[~holds], other[~holds], "same_person", "hub_joins_strangers"),
        intake=intake,
        counts={**_counts(nodes, len(one)), "links_cut": int((~holds).sum())},
    )


def _reasons(count: int, memberships: evidence.Memberships, holds: Bools) -> dict[str, Bools]:
    """Per kind of evidence the nodes that it holds in a cluster."""
    reasons = {}
    for code, name in enumerate(evidence.NAMES):
        flag = np.zeros(count, dtype=bool)
        flag[memberships.wallet[holds & (memberships.reason[memberships.group] == code)]] = True
        reasons[name] = flag
    return reasons


def _nodes(
    connection: duckdb.DuckDBPyConnection, cluster: Ints, is_hub: Bools, score: Floats, degree: Ints, reasons: dict[str, Bools]
) -> pa.Table:
    import pyarrow as pa

    names = list(reasons)
    # The sets of reasons as a number, one bit each, so that text is made once per set and not per node.
    bits = sum(
        (reasons[name].astype(np.int64) << place for place, name in enumerate(names)), np.zeros(len(cluster), dtype=np.int64)
    )
    texts = [", ".join(name for place, name in enumerate(names) if code >> place & 1) for code in range(1 << len(names))]
    columns = {
        "node": np.arange(len(cluster), dtype=np.int32),
        "cluster": cluster,
        "is_hub": is_hub,
        "sybil_score": score,
        "counterparties": degree.astype(np.int32),
        "evidence": pa.DictionaryArray.from_arrays(pa.array(bits.astype(np.int32)), pa.array(texts)).dictionary_decode(),
    }
    connection.register("wallet_found", pa.table(columns))
    try:
        return connection.execute(
            """
            with

            joined as (

                select
                    wallet_ids.id as node_id,
                    min(wallet_ids.id) over (partition by wallet_found.cluster) as cluster_id,
                    wallet_found.is_hub,
                    wallet_found.sybil_score,
                    (count(*) over (partition by wallet_found.cluster))::integer as cluster_size,
                    wallet_found.counterparties,
                    wallet_found.evidence

                from wallet_ids

                inner join wallet_found
                    on wallet_ids.node = wallet_found.node

            )

            select * from joined order by node_id
            """
        ).to_arrow_table()
    finally:
        connection.unregister("wallet_found")


def _link_rows(memberships: evidence.Memberships, formed: forming.Formed) -> dict[str, Any]:
    """For each membership the node to name as the other end: the group's middle, where that is a wallet, else its smallest wallet."""
    groups = len(memberships.reason)
    smallest = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(smallest, memberships.group[formed.holds], memberships.wallet[formed.holds])
    everybody = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(everybody, memberships.group, memberships.wallet)
    anchor = np.where(smallest == np.iinfo(np.int64).max, everybody, smallest)
    middle = np.zeros(len(memberships.group), dtype=bool)
    middle |= memberships.is_middle & formed.holds
    anchor[memberships.group[middle]] = memberships.wallet[middle]
    return {
        "other": anchor[memberships.group],
        "via": memberships.via[memberships.group],
        "odds": memberships.log_odds[memberships.group],
    }


def _pairs(
    connection: duckdb.DuckDBPyConnection,
    rows: dict[str, Any],
    memberships: evidence.Memberships,
    chosen: Bools,
    reason: str | None = None,
) -> pa.Table:
    import pyarrow as pa

    kept = chosen & (memberships.wallet != rows["other"])
    code = pa.array(memberships.reason[memberships.group][kept].astype(np.int32))
    table = pa.table(
        {
            "node": memberships.wallet[kept],
            "other": rows["other"][kept],
            "via": rows["via"][kept],
            "evidence": pa.DictionaryArray.from_arrays(code, pa.array(evidence.NAMES)).dictionary_decode(),
            "log_odds": np.round(rows["odds"][kept], 6),
        }
    )
    return _named(connection, table, reason)


def _plain_pairs(
    connection: duckdb.DuckDBPyConnection, one: Ints, other: Ints, evidence_name: str, reason: str | None
) -> pa.Table:
    import pyarrow as pa

    size = len(one)
    table = pa.table(
        {
            "node": other.astype(np.int64),
            "other": one.astype(np.int64),
            "via": np.full(size, -1, dtype=np.int64),
            "evidence": pa.array([evidence_name], pa.string()).take(pa.array(np.zeros(size, dtype=np.int64))),
            "log_odds": pa.nulls(size, pa.float64()),
        }
    )
    return _named(connection, table, reason)


def _named(connection: duckdb.DuckDBPyConnection, table: pa.Table, reason: str | None) -> pa.Table:
    """The pairs with ids instead of numbers, one row per pair, its reasons joined, the likeliest first."""
    connection.register("wallet_pairs", table)
    extra = f", '{reason}' as reason" if reason else ""
    try:
        return connection.execute(
            f"""
            with

            names as (

                select node, min(id) as id from wallet_ids group by node

            ),

            pairs as (

                select
                    one.id as node_id,
                    other.id as other_id,
                    string_agg(distinct wallet_pairs.evidence, ', ' order by wallet_pairs.evidence) as evidence,
                    min(via.id order by wallet_pairs.log_odds desc nulls last, via.id) as via_id,
                    max(wallet_pairs.log_odds) as log_odds

                from wallet_pairs

                inner join names as one
                    on wallet_pairs.node = one.node

                inner join names as other
                    on wallet_pairs.other = other.node

                left join names as via
                    on wallet_pairs.via = via.node
                    and wallet_pairs.via <> wallet_pairs.other

                group by one.id, other.id

            )

            select *{extra} from pairs order by node_id, other_id
            """
        ).to_arrow_table()
    finally:
        connection.unregister("wallet_pairs")


def _counts(nodes: pa.Table, pairs: int) -> dict[str, Any]:
    import pyarrow.compute as pc

    sizes = nodes["cluster_size"]
    return {
        "nodes": nodes.num_rows,
        "pairs": pairs,
        "hubs": pc.sum(nodes["is_hub"]).as_py() or 0,
        "clusters": len(pc.unique(nodes["cluster_id"])),
        "wallets_in_clusters": pc.sum(pc.greater(sizes, 1)).as_py() or 0,
        "largest_cluster": pc.max(sizes).as_py() or 0,
        "score_above_half": pc.sum(pc.greater(nodes["sybil_score"], 0.5)).as_py() or 0,
    }
