"""How good and how fast the wallet graph is: `python -m benchmarks.wallet_graph [--seeds 1,2,3] [--rows 1000000]`.

Quality is measured on made-up worlds with known owners (`wallet_worlds`), whole and as a list of airdrop candidates sees them, with all columns
and with only from and to. Speed is measured against scipy's bare connected components on the same integers, plus numbering the strings.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass

import duckdb
import numpy as np

from benchmarks import wallet_worlds
from benchmarks.wallet_worlds import DEPOSIT, FARM, HUB, ORDINARY, World
from candor.identity.clusters import components
from candor.identity.wallets import Clustering, cluster_transfers, reading

COLUMNS = {
    "from, to": (),
    "and times": ("occurred_at",),
    "and amounts": ("kind", "amount"),
    "all": ("kind", "occurred_at", "amount"),
}


@dataclass(frozen=True)
class Quality:
    """Over ordinary and farm wallets: pairwise and B-cubed precision and recall, ranking of farm wallets; and hubs over all nodes."""

    pair_precision: float
    pair_recall: float
    b3_precision: float
    b3_recall: float
    auc: float
    average_precision: float
    hub_recall: float
    wallets_called_hub: int
    recall_by_pattern: dict[str, float]


def pairwise(owner: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """Precision and recall over pairs; 1 where there is no pair."""

    def pairs(labels: np.ndarray) -> int:
        number = np.unique(labels, return_counts=True)[1]
        return int((number * (number - 1) // 2).sum())

    both = pairs(np.unique(owner, return_inverse=True)[1] * (len(cluster) + 1) + np.unique(cluster, return_inverse=True)[1])
    return tuple(both / total if (total := pairs(labels)) else 1.0 for labels in (cluster, owner))  # type: ignore[return-value]


def b_cubed(owner: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """B-cubed precision and recall (Bagga and Baldwin 1998)."""
    one, other = (np.unique(labels, return_inverse=True)[1] for labels in (owner, cluster))
    _, place, number = np.unique(one * (len(other) + 1) + other, return_inverse=True, return_counts=True)
    return float((number[place] / np.bincount(other)[other]).mean()), float((number[place] / np.bincount(one)[one]).mean())


def ranking(label: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve and average precision; equal scores count half, and as late as possible."""
    if label.all() or not label.any():
        return 1.0, 1.0
    values, place, number = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(number) - (number - 1) / 2)[place]
    positives = int(label.sum())
    auc = (rank[label].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives))
    hits = np.bincount(place, weights=label, minlength=len(values))[::-1]
    precision = np.cumsum(hits) / np.cumsum(number[::-1])
    return float(auc), float((hits * precision).sum() / positives)


def measure(world: World, found: Clustering) -> Quality:
    """The quality of a clustering of (some of) the world's transfers."""
    order = np.argsort(world.ids)
    ids = np.array(found.nodes["node_id"].to_pylist())
    place = order[np.searchsorted(world.ids[order], ids)]
    role, owner, pattern = world.role[place], world.owner[place], world.pattern[place]
    cluster = np.unique(np.array(found.nodes["cluster_id"].to_pylist()), return_inverse=True)[1]
    is_hub, score = found.nodes["is_hub"].to_numpy(), found.nodes["sybil_score"].to_numpy()
    wallet = (role == ORDINARY) | (role == FARM)
    recall = {
        str(name): pairwise(owner[chosen], cluster[chosen])[1]
        for name in np.unique(pattern[role == FARM])
        for chosen in [(role == FARM) & (pattern == name)]
    }
    recall["people"] = pairwise(owner[role == ORDINARY], cluster[role == ORDINARY])[1]
    return Quality(
        *pairwise(owner[wallet], cluster[wallet]),
        *b_cubed(owner[wallet], cluster[wallet]),
        *ranking(role[wallet] == FARM, score[wallet]),
        hub_recall=float(is_hub[role == HUB].mean()),
        wallets_called_hub=int((is_hub & wallet | is_hub & (role == DEPOSIT)).sum()),
        recall_by_pattern=recall,
    )


def quality(seeds: list[int]) -> None:
    """A table of quality by view, columns and seed."""
    print(
        f"{'view':<11}{'columns':<13}{'seed':>4}  pairs P / R     B3 P / R      AUC / AP      hubs  called hub   recall by pattern"
    )
    for seed in seeds:
        world = wallet_worlds.make(seed)
        for view, seen in (("whole", world), ("candidates", world.seen_from(0.3, seed))):
            for name, columns in COLUMNS.items():
                got = measure(seen, cluster_transfers(seen.columns(*columns)))
                parts = ", ".join(f"{pattern} {value:.2f}" for pattern, value in got.recall_by_pattern.items())
                print(
                    f"{view:<11}{name:<13}{seed:>4}  {got.pair_precision:.3f} / {got.pair_recall:.3f}  {got.b3_precision:.3f} / {got.b3_recall:.3f}"
                    f"  {got.auc:.3f} / {got.average_precision:.3f}  {got.hub_recall:.2f}  {got.wallets_called_hub:>6}       {parts}"
                )


def speed(rows: int, threads: int) -> None:
    """Seconds of the whole, and of connected components on the same integers with and without numbering the strings."""
    people = max(300, rows * 105 // 1000)
    table = wallet_worlds.make(3, people=people, farms=people // 100).transfers
    for columns in ((), ("kind", "occurred_at", "amount")):
        given = table.select(["from_id", "to_id", *columns])
        seconds, _ = _timed(lambda given=given: cluster_transfers(given))
        with duckdb.connect(config={"threads": threads}) as connection:
            connection.register("given", given)
            numbering, numbered = _timed(lambda connection=connection: reading.intern(connection, "given"))
        bare, _ = _timed(lambda numbered=numbered: components(numbered.count, numbered.source, numbered.target))
        print(
            f"{table.num_rows:,} rows, {len(given.column_names)} columns: {seconds:.1f} s; numbering {numbering:.1f} s, "
            f"connected components {bare:.2f} s; ratio {seconds / (numbering + bare):.2f}; "
            f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.1f} GB with the made-up world in memory"
        )


def _timed(work):  # type: ignore[no-untyped-def]
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def main() -> None:
    """Quality, then speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    quality([int(seed) for seed in given.seeds.split(",")])
    speed(given.rows, given.threads)


if __name__ == "__main__":
    main()
