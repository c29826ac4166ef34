"""Made-up worlds with known owners: farms are found, strangers are not glued, with whatever columns there are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import wallet_worlds
from benchmarks.wallet_graph import COLUMNS, measure
from candor.identity.wallets import cluster_transfers

SEEDS = (21, 22)


def ids(numbers: np.ndarray) -> list[str]:
    return [f"n{number:06}" for number in numbers]


def hubs_of(found) -> set[str]:
    return {
        node
        for node, is_hub in zip(found.nodes["node_id"].to_pylist(), found.nodes["is_hub"].to_pylist(), strict=True)
        if is_hub
    }


@pytest.fixture(scope="module", params=SEEDS, ids=[f"seed_{seed}" for seed in SEEDS])
def world(request):
    return request.param, wallet_worlds.make(request.param, people=1500, farms=16)


@pytest.mark.parametrize("view", ["whole", "candidates"])
@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_farms_are_found_and_hubs_are_hubs_with_any_columns(world, columns, view):
    seed, made = world
    seen = made if view == "whole" else made.seen_from(0.3, seed)
    got = measure(seen, cluster_transfers(seen.columns(*columns)))
    assert got.pair_precision >= 0.9
    assert got.b3_precision >= 0.97
    assert got.pair_recall >= 0.6
    assert got.auc >= 0.9
    assert got.hub_recall == 1.0
    assert got.wallets_called_hub <= 0.01 * len(made.ids)


def test_times_and_amounts_help(world):
    _, made = world
    bare, full = (measure(made, cluster_transfers(made.columns(*COLUMNS[name]))) for name in ("from, to", "all"))
    assert full.pair_recall >= bare.pair_recall


@pytest.mark.parametrize("timed", [False, True], ids=["from_to", "timed"])
@pytest.mark.parametrize("seed", range(3))
def test_the_customers_of_one_exchange_are_not_one_person(made, seed, timed):
    """Nobody here knows anybody: every wallet was funded by the exchange, some use a few contracts."""
    rng = np.random.default_rng(seed)
    customers = np.arange(100, 1100)
    uses = np.repeat(customers, rng.integers(0, 4, len(customers)))
    source = np.concatenate([np.zeros(len(customers), dtype=int), uses])
    target = np.concatenate([customers, 1 + np.minimum(rng.zipf(1.5, len(uses)), 10)])
    table = pa.table({"from_id": ids(source), "to_id": ids(target)})
    if timed:
        table = table.append_column("occurred_at", pa.array(rng.uniform(0, 1e5, len(source)) + (source > 0) * 1e5))
        table = table.append_column("amount", pa.array(np.where(source > 0, rng.lognormal(0, 1, len(source)), 0.1)))
    found = cluster_transfers(table)
    assert "n000000" in hubs_of(found)
    assert found.counts["largest_cluster"] == 1
    assert found.counts["score_above_half"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_one_exchange_and_one_contract_are_not_a_farm_whatever_times_and_amounts_say(seed):
    """The hardest case: nobody does anything but withdraw the same amount on one day and use the same contract."""
    rng = np.random.default_rng(seed)
    customers = np.arange(100, 700)
    others = np.arange(1000, 1100)
    parts = [(np.zeros(600, dtype=int), customers), (customers, np.ones(600, dtype=int)), (others, rng.permutation(others))]
    one, other = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    when = np.concatenate([rng.uniform(0, 86_400, 600), rng.uniform(86_400, 2e7, 700)])
    found = cluster_transfers(
        pa.table(
            {
                "from_id": ids(one),
                "to_id": ids(other),
                "occurred_at": when,
                "amount": np.where(one == 0, 0.1, 1 + rng.random(1300)),
            }
        )
    )
    assert {"n000000", "n000001"} <= hubs_of(found)
    assert found.counts["wallets_in_clusters"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_an_airdrop_to_strangers_joins_nobody(made, seed):
    """Equal amounts within an hour, to wallets with lives of their own."""
    rng = np.random.default_rng(seed)
    weight = np.arange(1, 4001) ** -0.7
    one, other = (rng.choice(4000, 12_000, p=rng.permutation(weight / weight.sum())) for _ in range(2))
    lucky = rng.choice(4000, 400, replace=False)
    table = pa.table(
        {
            "from_id": ids(np.concatenate([one, np.full(400, 9999)])),
            "to_id": ids(np.concatenate([other, lucky])),
            "occurred_at": np.concatenate([rng.uniform(0, 1e7, 12_000), rng.uniform(9e6, 9e6 + 3600, 400)]),
            "amount": np.concatenate([rng.lognormal(0, 1, 12_000), np.full(400, 100.0)]),
        }
    )
    found = cluster_transfers(table)
    assert "n009999" in hubs_of(found)
    assert found.counts["largest_cluster"] <= 5
    assert found.counts["wallets_in_clusters"] <= 0.01 * found.nodes.num_rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", ["random", "tree"])
def test_where_there_is_only_chance_hardly_anybody_is_joined(seed, shape):
    rng = np.random.default_rng(seed)
    if shape == "random":
        one, other = rng.integers(0, 6000, (2, 5500))
    else:  # everybody was sent something by somebody who was there before
        other = np.arange(1, 4000)
        one = np.floor(rng.random(3999) * other).astype(int)
    found = cluster_transfers(pa.table({"from_id": ids(one), "to_id": ids(other)}))
    assert found.counts["wallets_in_clusters"] <= 0.002 * found.nodes.num_rows


def test_a_farm_whose_funder_has_more_counterparties_than_an_exchange_is_no_hub(made):
    """The largest node of this graph is a farm's funder; the exchange is known by its customers' lives."""
    rng = np.random.default_rng(5)
    farm = np.arange(2000, 2150)
    people = np.arange(3000, 3120)
    friends = rng.choice(people, (300, 2))
    routine = np.array([10, 11, 12])
    others = np.arange(4000, 4600)
    parts = [
        (np.full(len(farm), 1), farm),
        (np.repeat(farm, 3), np.tile(routine, len(farm))),
        (farm, np.full(len(farm), 5)),
        (np.full(len(people), 2), people),
        (friends[:, 0], friends[:, 1]),
        (np.repeat(others, 2), 10 + rng.integers(0, 30, 1200)),
        (others, rng.permutation(others)),
    ]
    found = cluster_transfers(
        pa.table(
            {"from_id": ids(np.concatenate([one for one, _ in parts])), "to_id": ids(np.concatenate([two for _, two in parts]))}
        )
    )
    hubs = hubs_of(found)
    assert "n000002" in hubs
    assert "n000001" not in hubs
    clusters = made.clusters_of(found)
    assert len({clusters[name] for name in ids(farm)}) == 1
    assert clusters["n000001"] == clusters["n000005"] == clusters["n002000"]
    score = dict(zip(found.nodes["node_id"].to_pylist(), found.nodes["sybil_score"].to_pylist(), strict=True))
    assert min(score[name] for name in ids(farm)) > max(score[name] for name in ids(others))


def test_scores_of_farms_are_higher_the_larger_they_are():
    rng = np.random.default_rng(8)
    people = np.arange(5000, 6000)
    parts = [
        (people, rng.permutation(people)),
        (people, rng.permutation(people)),
        (np.repeat(people, 2), rng.integers(10, 40, 2000)),
    ]
    for number, size in enumerate((3, 12, 60)):
        farm = np.arange(1000 * (number + 1), 1000 * (number + 1) + size)
        parts += [(np.full(size, 100 + number), farm), (farm, np.full(size, 200 + number)), (farm, np.full(size, 10 + number))]
    table = pa.table(
        {"from_id": ids(np.concatenate([a for a, _ in parts])), "to_id": ids(np.concatenate([b for _, b in parts]))}
    )
    nodes = cluster_transfers(table).nodes
    score = dict(zip(nodes["node_id"].to_pylist(), nodes["sybil_score"].to_pylist(), strict=True))
    assert 0 < score["n001000"] < score["n002000"] < score["n003000"] <= 1
