"""Which wallets are one owner's, which are hubs, and which look like one of many in one hand, from transfers alone.

`cluster_transfers` is the whole of it: a pipeline run calls it on its own tables, `candor identity graph` on anybody's edge list.

    reading     rows, refusals, integers instead of strings
    graph       arrays: one entry per ordered pair of wallets
    stars       how likely the wallets around one centre are one owner's
    hubs        which centres are surrounded by strangers
    evidence    deposit addresses, common funders, common collectors, chains, bursts
    forming     clusters from these
    scores      the sybil score
    same_person edges that mean identity itself
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from candor.identity.wallets.reading import Intake


@dataclass(frozen=True)
class Clustering:
    """What `cluster_transfers` found.

    nodes: one row per id of the input, ordered by it: node_id, cluster_id (the smallest id of the cluster), is_hub, sybil_score (0 to 1,
    higher is worse), cluster_size (ids), counterparties, evidence (reasons, comma-separated, empty when it is alone).
    links: one row per pair that holds: node_id, other_id, evidence, via_id (what they have in common, if it is another node), log_odds (nats).
    cut: one row per pair that was refused, with the reason: node_id, other_id, evidence, via_id, log_odds, reason.
    """

    nodes: pa.Table
    links: pa.Table
    cut: pa.Table
    intake: Intake
    counts: dict[str, Any]


def cluster_transfers(
    transfers: pa.Table | str,
    *,
    connection: duckdb.DuckDBPyConnection | None = None,
    mapping: dict[str, str] | None = None,
    same_person: bool = False,
    told: Callable[[str], None] = lambda step: None,
) -> Clustering:
    """Clusters, hubs and sybil scores of all nodes of `transfers`, the same for the same set of rows in any order.

    `transfers` is an Arrow table, or the name of a table or view (or a bracketed query) of `connection`, with from_id and to_id and,
    where known, kind, occurred_at and amount; `mapping` is {their column: our column}. With `same_person` the rows are not transfers
    but say that two ids are one person's. `told` hears what is being done. Raises UsageError when columns or rows are missing.
    """
    import duckdb

    from candor.identity.wallets import reading, result

    own = connection is None
    database = duckdb.connect(config={"threads": 2}) if connection is None else connection
    try:
        source = transfers if isinstance(transfers, str) else "wallet_given"
        if not isinstance(transfers, str):
            database.register(source, transfers)
        told("numbering wallets")
        rows = reading.intern(database, source, mapping)
    finally:
        if not isinstance(transfers, str):
            database.unregister("wallet_given")
        if own:
            database.close()
    return result.identity(rows, told) if same_person else result.transfers(rows, told)
