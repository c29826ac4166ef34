"""Edges that mean identity: plain union-find, but for nodes that join too many strangers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from candor.identity.wallets import cluster_transfers


def union_find(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Each name's smallest companion, the obvious way."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return {name: root(name) for name in parent}


@pytest.mark.parametrize("seed", range(12))
def test_without_hubs_the_clusters_are_those_of_union_find(made, seed):
    rng = np.random.default_rng(seed)
    pairs = [(f"n{one:03}", f"n{other:03}") for one, other in rng.integers(0, 150, (90, 2)).tolist()]
    table = pa.table({"from_id": [one for one, _ in pairs], "to_id": [other for _, other in pairs]})
    assert made.clusters_of(cluster_transfers(table, same_person=True)) == union_find(pairs)


@pytest.mark.parametrize("seed", range(6))
def test_a_hub_that_joins_strangers_is_cut_and_its_people_stay_as_they_were(made, seed):
    rng = np.random.default_rng(seed)
    people = [[f"p{person:03}-{part}" for part in range(rng.integers(2, 5))] for person in range(200)]
    own = [(person[0], other) for person in people for other in person[1:]]
    shared = [("public-library", person[int(rng.integers(0, len(person)))]) for person in people[:80]]
    pairs = own + shared
    found = cluster_transfers(
        pa.table({"from_id": [one for one, _ in pairs], "to_id": [other for _, other in pairs]}), same_person=True
    )
    clusters = made.clusters_of(found)
    assert clusters.pop("public-library") == "public-library"
    assert clusters == union_find(own)
    assert found.cut.num_rows == 80
    assert set(found.cut["reason"].to_pylist()) == {"hub_joins_strangers"}
    hubs = [
        node for node, is_hub in zip(*found.nodes.select(["node_id", "is_hub"]).to_pydict().values(), strict=True) if is_hub
    ]
    assert hubs == ["public-library"]


def test_somebody_with_many_devices_that_know_each_other_is_no_hub(made):
    devices = [f"d{n:02}" for n in range(30)]
    pairs = [("account", device) for device in devices] + [(one, devices[n - 1]) for n, one in enumerate(devices)]
    pairs += [(f"x{n}", f"y{n}") for n in range(200)]
    table = pa.table({"from_id": [one for one, _ in pairs], "to_id": [other for _, other in pairs]})
    clusters = made.clusters_of(cluster_transfers(table, same_person=True))
    assert {clusters[device] for device in devices} == {"account"}
