"""Small transfer graphs, written as `a>b` words, and what cluster_transfers makes of them."""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from candor.identity.wallets import Clustering, graph, reading


def table_of(words: str) -> pa.Table:
    """`a>b c>d` as a table of transfers."""
    pairs = [word.split(">") for word in words.split()]
    return pa.table({"from_id": [one for one, _ in pairs], "to_id": [other for _, other in pairs]})


def graph_of(table: pa.Table) -> tuple[reading.Rows, graph.TransferGraph]:
    """The rows and the arrays of a table."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("given", table)
        rows = reading.intern(connection, "given")
    return rows, graph.build(rows.count, rows.source, rows.target, rows.kind, rows.occurred, rows.amount)


def random_table(seed: int, nodes: int = 60, rows: int = 200, *, timed: bool = False) -> pa.Table:
    """Random transfers with a few popular nodes, so that some become hubs."""
    rng = np.random.default_rng(seed)
    popular = rng.random(rows) < 0.4
    source = rng.integers(0, nodes, rows)
    target = np.where(popular, rng.integers(0, 3, rows), rng.integers(0, nodes, rows))
    turned = popular & (rng.random(rows) < 0.5)
    source, target = np.where(turned, target, source), np.where(turned, source, target)
    columns = {"from_id": [f"w{n:03}" for n in source], "to_id": [f"w{n:03}" for n in target]}
    if timed:
        columns["occurred_at"] = rng.integers(0, 50, rows).astype(float)
    return pa.table(columns)


def clusters_of(found: Clustering) -> dict[str, str]:
    """cluster_id by node_id."""
    return dict(zip(found.nodes["node_id"].to_pylist(), found.nodes["cluster_id"].to_pylist(), strict=True))


@pytest.fixture
def made() -> SimpleNamespace:
    """The functions above, for tests that make their own graphs."""
    return SimpleNamespace(table_of=table_of, graph_of=graph_of, random_table=random_table, clusters_of=clusters_of)
