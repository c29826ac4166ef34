"""From arrays back to ids: the tables of a clustering."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - arrays throughout; the façade imports this module only when it runs

from candor.identity.wallets import Clustering, evidence, forming, graph, hubs, same_person, scores
from candor.identity.wallets.graph import Bools, Floats, Ints
from candor.identity.wallets.reading import Rows

if TYPE_CHECKING:
    import pyarrow as pa

Told = Callable[[str], None]


def transfers(rows: Rows, told: Told) -> Clustering:
    """The clustering of rows that are transfers."""
    told("building the graph")
    known = graph.build(rows.count, rows.source, rows.target, rows.kind, rows.occurred, rows.amount)
    told("finding hubs")
    look = hubs.find(known)
    told("weighing evidence")
    memberships, verdicts = evidence.collect(known, look)
    formed = forming.form(known.count, memberships)
    is_address = np.zeros(known.count, dtype=bool)
    is_address[memberships.via[memberships.reason == evidence.DEPOSIT]] = True
    score = scores.score(known, look, formed.cluster, ~look.is_hub & ~is_address, verdicts)
    told("writing ids")
    nodes = _nodes(rows, formed.cluster, look.is_hub, score, known.degree, _reasons(known.count, memberships, formed.holds))
    other = _anchors(memberships, formed)[memberships.group]
    return Clustering(
        nodes=nodes,
        links=_pairs(rows, memberships, formed.holds, other),
        cut=_pairs(rows, memberships, ~formed.holds, other, reason="belongs_to_a_likelier_owner"),
        intake=rows.intake,
        counts=_counts(nodes, len(known.source)),
    )


def identity(rows: Rows, told: Told) -> Clustering:
    """The clustering of rows that mean identity itself."""
    told("joining")
    count = rows.count
    low, high = np.minimum(rows.source, rows.target), np.maximum(rows.source, rows.target)
    pairs = np.unique((low.astype(np.int64) * count + high)[low < high])
    one, other = (pairs // count).astype(np.int32), (pairs % count).astype(np.int32)
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
    nodes = _nodes(rows, cluster, is_hub, score, degree, {"same_person": joined})
    return Clustering(
        nodes=nodes,
        links=_plain_pairs(rows, one[holds], other[holds], None),
        cut=_plain_pairs(rows, one[~holds], other[~holds], "hub_joins_strangers"),
        intake=rows.intake,
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


def _nodes(rows: Rows, cluster: Ints, is_hub: Bools, score: Floats, degree: Ints, reasons: dict[str, Bools]) -> pa.Table:
    import pyarrow as pa

    names = list(reasons)
    # The sets of reasons as a number, one bit each, so that text is made once per set and not per node.
    bits = sum(
        (reasons[name].astype(np.int32) << place for place, name in enumerate(names)), np.zeros(rows.count, dtype=np.int32)
    )
    texts = [", ".join(name for place, name in enumerate(names) if code >> place & 1) for code in range(1 << len(names))]
    node = rows.node
    mine = cluster[node]
    # Ids are sorted, so the first id of a cluster is its smallest.
    first = np.zeros(rows.count, dtype=np.int64)
    first[mine[::-1]] = np.arange(len(node) - 1, -1, -1)
    return pa.table(
        {
            "node_id": rows.ids,
            "cluster_id": rows.ids.take(pa.array(first[mine])),
            "is_hub": is_hub[node],
            "sybil_score": score[node],
            "cluster_size": np.bincount(mine, minlength=rows.count)[mine].astype(np.int32),
            "counterparties": degree[node].astype(np.int32),
            "evidence": pa.array(texts).take(pa.array(bits[node])),
        }
    )


def _anchors(memberships: evidence.Memberships, formed: forming.Formed) -> Ints:
    """For each group the node to name as the other end of its links: its middle, where that is a wallet, else its smallest wallet."""
    groups = len(memberships.reason)
    nobody = np.iinfo(np.int64).max
    smallest, everybody = np.full(groups, nobody), np.full(groups, nobody)
    np.minimum.at(smallest, memberships.group[formed.holds], memberships.wallet[formed.holds])
    np.minimum.at(everybody, memberships.group, memberships.wallet)
    anchor = np.where(smallest == nobody, everybody, smallest)
    middle = memberships.is_middle & formed.holds
    anchor[memberships.group[middle]] = memberships.wallet[middle]
    return anchor


def _pairs(rows: Rows, memberships: evidence.Memberships, chosen: Bools, other: Ints, reason: str | None = None) -> pa.Table:
    """One row per pair: its reasons joined, and of the likeliest of them what it goes through and its odds."""
    import pyarrow as pa

    kept = np.flatnonzero(chosen & (memberships.wallet != other))
    group = memberships.group[kept]
    one, two, odds = memberships.wallet[kept], other[kept], memberships.log_odds[group]
    order = np.lexsort((memberships.reason[group], -odds, two, one))
    one, two, odds, group = one[order], two[order], odds[order], group[order]
    begin = graph.starts_of(one, two)
    pair = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(one))))
    bits = np.zeros(len(begin), dtype=np.int64)
    np.bitwise_or.at(bits, pair, np.int64(1) << memberships.reason[group])
    texts = [
        ", ".join(n for place, n in enumerate(evidence.NAMES) if code >> place & 1) for code in range(1 << len(evidence.NAMES))
    ]
    via = memberships.via[group][begin]
    via = np.where(via == two[begin], -1, via)
    return _named(rows, one[begin], two[begin], pa.array(texts).take(pa.array(bits)), via, np.round(odds[begin], 6), reason)


def _plain_pairs(rows: Rows, one: Ints, other: Ints, reason: str | None) -> pa.Table:
    import pyarrow as pa

    size = len(one)
    said = pa.array(["same_person"]).take(pa.array(np.zeros(size, dtype=np.int64)))
    return _named(rows, other, one, said, np.full(size, -1), None, reason)


def _named(rows: Rows, one: Ints, other: Ints, said: pa.Array, via: Ints, odds: Floats | None, reason: str | None) -> pa.Table:
    """The pairs with ids instead of numbers; a node of several spellings goes by its smallest id."""
    import pyarrow as pa

    first = np.zeros(rows.count, dtype=np.int64)
    first[rows.node[::-1]] = np.arange(len(rows.node) - 1, -1, -1)
    through = pa.array(np.where(via >= 0, first[np.maximum(via, 0)], 0), mask=via < 0)
    columns = {
        "node_id": rows.ids.take(pa.array(first[one])),
        "other_id": rows.ids.take(pa.array(first[other])),
        "evidence": said,
        "via_id": rows.ids.take(through),
        "log_odds": pa.nulls(len(one), pa.float64()) if odds is None else pa.array(odds),
    }
    if reason is not None:
        columns["reason"] = pa.array([reason]).take(pa.array(np.zeros(len(one), dtype=np.int64)))
    return pa.table(columns).sort_by([("node_id", "ascending"), ("other_id", "ascending")])


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
