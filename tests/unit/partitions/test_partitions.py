"""Pair and B-cubed counts from sizes of clusters equal what counting pair by pair and item by item gives."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmarks.partitions import BCubed, Pairs, bcubed, pairs_between, pairwise

SEEDS = range(12)


def random_partitions(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two labelings of up to 60 items, the second a disturbed copy of the first, and a kind for each item."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    truth = rng.integers(0, max(1, count // int(rng.integers(1, 6))), count)
    predicted = np.where(rng.random(count) < 0.3, rng.integers(0, count, count), truth) * 7 - 3  # labels need not be dense
    return predicted, truth, np.array(["account", "contact", "cookie"])[rng.integers(0, 3, count)]


def pairs_one_by_one(predicted: np.ndarray, truth: np.ndarray, chosen=lambda one, other: True) -> Pairs:
    counts = {"predicted": 0, "true": 0, "common": 0}
    for one, other in combinations(range(len(truth)), 2):
        if chosen(one, other):
            counts["predicted"] += bool(predicted[one] == predicted[other])
            counts["true"] += bool(truth[one] == truth[other])
            counts["common"] += bool(predicted[one] == predicted[other] and truth[one] == truth[other])
    return Pairs(**counts)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_from_sizes_are_the_pairs_counted_one_by_one(seed: int) -> None:
    predicted, truth, _ = random_partitions(seed)
    assert pairwise(predicted, truth) == pairs_one_by_one(predicted, truth)


@pytest.mark.parametrize("seed", SEEDS)
def test_b_cubed_is_the_mean_over_items_of_shared_members(seed: int) -> None:
    predicted, truth, _ = random_partitions(seed)
    precision, recall = [], []
    for item in range(len(truth)):
        cluster, group = predicted == predicted[item], truth == truth[item]
        precision.append((cluster & group).sum() / cluster.sum())
        recall.append((cluster & group).sum() / group.sum())
    found = bcubed(predicted, truth)
    assert found.precision == pytest.approx(np.mean(precision), abs=1e-12)
    assert found.recall == pytest.approx(np.mean(recall), abs=1e-12)
    assert found.items == len(truth)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_by_kind_are_those_counted_one_by_one_and_add_up_to_all(seed: int) -> None:
    predicted, truth, kind = random_partitions(seed)
    found = pairs_between(predicted, truth, kind)
    for (first, second), pairs in found.items():
        wanted = {first, second}
        assert pairs == pairs_one_by_one(
            predicted,
            truth,
            lambda one, other, wanted=wanted: (
                {kind[one], kind[other]} == wanted  # of one kind, or one of each
            ),
        ), (first, second)
    whole = pairwise(predicted, truth)
    assert sum(pairs.common for pairs in found.values()) == whole.common
    assert sum(pairs.predicted for pairs in found.values()) == whole.predicted


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_items_and_the_names_of_the_labels_change_no_digit(seed: int) -> None:
    predicted, truth, _ = random_partitions(seed)
    shuffled = np.random.default_rng(seed + 1000).permutation(len(truth))
    assert bcubed(predicted[shuffled] + 5, truth[shuffled] * 3) == bcubed(predicted, truth)
    assert pairwise(predicted[shuffled] + 5, truth[shuffled] * 3) == pairwise(predicted, truth)


def test_everything_in_one_cluster_has_full_recall_and_everything_alone_full_precision() -> None:
    truth = np.array([0, 0, 0, 1, 1])
    together, alone = np.zeros(5, dtype=int), np.arange(5)
    assert pairwise(together, truth) == Pairs(predicted=10, true=4, common=4)
    assert pairwise(together, truth).recall == 1.0
    assert bcubed(together, truth) == BCubed(items=5, precision=pytest.approx((9 + 4) / 25), recall=1.0)
    assert pairwise(alone, truth).precision == 1.0
    assert pairwise(alone, truth).recall == 0.0
    assert bcubed(alone, truth).precision == 1.0


def test_no_items_say_nothing_wrong() -> None:
    nothing = np.zeros(0, dtype=int)
    assert pairwise(nothing, nothing).f1 == 1.0
    assert bcubed(nothing, nothing).f1 == 1.0


def test_labelings_of_different_lengths_are_refused_with_both_lengths() -> None:
    with pytest.raises(ValueError, match="not 2 and 3"):
        pairwise(np.zeros(2, dtype=int), np.zeros(3, dtype=int))


def test_a_hub_of_a_million_items_is_counted_without_its_pairs() -> None:
    one_cluster = np.zeros(1_000_000, dtype=np.int32)
    assert pairwise(one_cluster, np.arange(1_000_000)) == Pairs(predicted=499_999_500_000, true=0, common=0)
