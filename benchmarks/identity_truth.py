"""Identity and noise against the planted truth: `python -m benchmarks.identity_truth --people 5000 --seeds 101 102 103`.

Either measures a run that stands (`--state FOLDER --truth FOLDER`, up to `core`), or makes up one new shop per seed, runs the stages up to
`core` in processes of their own, and measures each. Prints every measure beside its target; ends with 1 when one is missed.

Words: an item is an identifier that belongs to one true person (`benchmarks/planted.py`). *Joined* pairs are pairs of items of one person
that a chain of planted links, each between two items, joins; nothing deterministic can find the other pairs of a person whom no
identifier joins. A machine is removed when half of its events are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import partitions, planted, planted_noise
from benchmarks.stages import StageFailed, measured
from candor.errors import CandorError, UsageError
from candor.pipeline import NAMES

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
STAGES = NAMES[: NAMES.index("core") + 1]
# Reference data repeats nothing by nature; planted noise is counted over what is about people, and over everything beside it.
REFERENCE = ("catalogue", "market")


@dataclass(frozen=True)
class Measure:
    """One line: what, how much, and (unless it is only told) the least or the most that is good enough."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None
    told: str = ""

    @property
    def is_missed(self) -> bool:
        return (self.least is not None and self.value < self.least) or (self.most is not None and self.value > self.most)


def identity(state: Path, truth: Path) -> list[Measure]:
    """The measures of who is who for one run. Raises UsageError when the state or truth folder does not have what it takes."""
    connection = planted.open_run(state, restricted=True)
    try:
        labels = planted.labels(connection, truth)
        sizes = planted.largest(connection)
        disagreeing, several = planted.kyc_disagreements(connection)
        bridges = planted.pure_by_bridge(connection)
    finally:
        connection.close()
    by_person = partitions.pairwise(labels.deterministic, labels.person)
    by_chain = partitions.pairwise(labels.deterministic, labels.chain)
    overall = partitions.bcubed(labels.overall, labels.person)
    everybody = partitions.pairwise(labels.overall, labels.person)
    reachable = partitions.bcubed(labels.chain, labels.person)
    measures = [
        Measure("pairwise precision, deterministic", by_person.precision, least=0.999,
                told=f"{by_person.predicted - by_person.common:,} of {by_person.predicted:,} pairs wrong"),
        Measure("pairwise recall, deterministic, of joined pairs", by_chain.recall, least=0.97,
                told=f"{by_chain.true - by_chain.common:,} of {by_chain.true:,} pairs missed"),
        Measure("pairwise precision, all links", everybody.precision),
        Measure("pairwise recall, all links, of all true pairs", everybody.recall),
        Measure("B-cubed precision", overall.precision),
        Measure("B-cubed recall", overall.recall),
        Measure("B-cubed F1", overall.f1, least=0.96,
                told=f"aim 0.98; {overall.items:,} items; joining every chain and nothing else gives {reachable.f1:.4f}"),
        Measure("largest component, identifiers", sizes[0], told=f"largest true person: {sizes[1]}"),
        Measure("components with disagreeing verified KYC", disagreeing, most=0, told=f"{several:,} hold several verified records"),
    ]  # fmt: skip
    # Under a few hundred persons a share says nothing about one in a thousand.
    measures += [
        Measure(f"one human, weakest bridge {evidence}", share, least=claimed if persons >= 1000 else None,
                told=f"of {persons:,} persons; the class says {claimed}")
        for evidence, persons, share, claimed in bridges
    ]  # fmt: skip
    silos = planted.silos(labels.kind)
    over = partitions.pairs_between(labels.overall, labels.person, silos)
    under = partitions.pairs_between(labels.overall, labels.chain, silos)
    for (one, other), pairs in over.items():
        joined = under[one, other]
        if pairs.predicted or joined.true:
            told = (
                f"{1 - joined.recall:.4f} of {joined.true:,} joined pairs apart; {1 - pairs.recall:.4f} of all {pairs.true:,}"
            )
            measures.append(
                Measure(f"over-merge {one} x {other}", 1 - pairs.precision, told=f"of {pairs.predicted:,} pairs; {told}")
            )
    return measures


def noise(state: Path, truth: Path) -> list[Measure]:
    """The measures of machines, wash trades, tests, dead sessions, duplicates and outdated rows for one run."""
    connection = planted.open_run(state, restricted=True)
    try:
        kinds = {row.kind: row for row in planted_noise.machines(connection, truth)}
        reasons = planted_noise.rows_by_reason(connection, truth)
        rows = planted_noise.duplicated_or_outdated(connection, truth)
    finally:
        connection.close()
    human = kinds.pop("human", planted_noise.Machines("human", 0, 0, 0, 0))
    measures = []
    for said, one, all_of in (("actors", "actors_removed", "actors"), ("events", "events_removed", "events")):
        total = sum(getattr(row, all_of) for row in kinds.values())
        found = sum(getattr(row, one) for row in kinds.values())
        split = ", ".join(f"{row.kind} {_share(getattr(row, one), getattr(row, all_of)):.3f}" for row in kinds.values())
        measures.append(Measure(f"bots found, {said}", _share(found, total), least=0.95, told=f"of {total:,}: {split}"))
        lost = getattr(human, one)
        measures.append(
            Measure(f"humans lost, {said}", lost / max(1, getattr(human, all_of)), most=0.005, told=f"{lost:,} of {getattr(human, all_of):,}")
        )  # fmt: skip
    for name, found in reasons.items():
        measures.append(Measure(f"{name}: recall", found.recall, told=f"{found.found:,} of {found.planted:,}"))
        measures.append(Measure(f"{name}: precision", found.precision, told=f"{found.wrong:,} others called so"))
    about_people = [row for row in rows if row.source not in REFERENCE]
    groups = {"all rows": rows, "about people": about_people, "tables that can": [row for row in rows if row.planted]}
    sources = sorted({row.source for row in about_people})
    groups |= {source: [row for row in rows if row.source == source] for source in sources}
    for name, chosen in groups.items():
        total = sum(row.rows for row in chosen)
        there, called = (_share(sum(getattr(row, one) for row in chosen), total) for one in ("planted", "found"))
        told = f"planted {there:.4f}, found {called:.4f} of {total:,}"
        off = abs(called - there) * 100
        measures.append(Measure(f"duplicated or outdated, {name}: points off", off, most=1.0, told=told))
    return measures


def _share(part: int, whole: int) -> float:
    """A part of something; all of nothing is found."""
    return part / whole if whole else 1.0


def make(base: Path, people: int, days: int, seed: int) -> tuple[Path, Path]:
    """State and truth folder of a new shop whose run stands up to `core`. Raises StageFailed."""
    state, truth = base / f"{people}-seed-{seed}", base / f"{people}-seed-{seed}-truth"
    state.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": "0" * 64}
    env.setdefault("CANDOR_MEMORY_LIMIT", planted.MEMORY)
    stage = [sys.executable, "-c", "import sys; from candor.pipeline import run_stage; run_stage(sys.argv[1], sys.argv[2])"]
    commands = [(name, [*stage, name, DAY.isoformat()]) for name in STAGES]
    if not (truth / "planted.json").is_file():
        shop = [
            "--people",
            str(people),
            "--days",
            str(days),
            "--seed",
            str(seed),
            "--landing",
            str(state / "landing"),
            "--truth",
            str(truth),
        ]
        commands.insert(0, ("simulate", [sys.executable, "-m", "simulation", *shop]))
    for name, command in commands:
        spent = measured(command, env, state / "bench-logs" / f"{name}.log")
        print(
            f"  seed {seed}  {name:<14} {spent['seconds']:>7.1f} s  {spent['peak_gib']:>5.2f} GiB", file=sys.stderr, flush=True
        )
    return state, truth


def table(measures: list[Measure]) -> str:
    """The measures beside their targets."""
    lines = [f"{'measure':<56}{'measured':>10}  {'target':<10}"]
    for measure in measures:
        wanted = (
            f">= {measure.least}" if measure.least is not None else f"<= {measure.most}" if measure.most is not None else ""
        )
        value = f"{measure.value:,.0f}" if measure.value > 1 and measure.value == int(measure.value) else f"{measure.value:.4f}"
        missed = "MISSED" if measure.is_missed else ""
        lines.append(f"{measure.name:<56}{value:>10}  {wanted:<10}{missed:<8}{measure.told}".rstrip())
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """0 when every target is met on every shop, 1 when one is missed, 2 for wrong use, 3 when a stage fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identity_truth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, help="state folder of a run that stands up to core")
    parser.add_argument("--truth", type=Path, help="truth folder of the shop that the run is about")
    parser.add_argument("--people", type=int, help="make a shop of this many people instead")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101], help="one new shop for each (default 101)")
    parser.add_argument("--base", type=Path, default=Path("var/bench-truth"), help="where made shops and their state stay")
    parser.add_argument("--json", type=Path, help="also write all measures here")
    chosen = parser.parse_args(arguments)
    try:
        shops = _shops(chosen)
        missed, kept = 0, {}
        for name, state, truth in shops:
            began = time.monotonic()
            found = [*identity(state, truth), *noise(state, truth)]
            print(f"\n{name}\n{table(found)}\nmeasured in {time.monotonic() - began:.1f} s", flush=True)
            missed += sum(measure.is_missed for measure in found)
            kept[name] = [asdict(measure) | {"is_missed": measure.is_missed} for measure in found]
    except StageFailed as failure:
        print(failure, file=sys.stderr)
        return 3
    except CandorError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(f"\n{missed} targets missed on {len(kept)} shops" if missed else f"\nevery target met on {len(kept)} shops")
    return 1 if missed else 0


def _shops(chosen: argparse.Namespace) -> list[tuple[str, Path, Path]]:
    """Name, state and truth folder of the shops to measure; those that are asked for by people are made."""
    if (chosen.people is None) == (chosen.state is None):
        raise UsageError("give either --people or --state", hint="--people 5000 --seeds 101 102 103, or --state S --truth T")
    if chosen.state is not None:
        if chosen.truth is None or not chosen.truth.is_dir():
            raise UsageError(f"--truth must be the truth folder of the shop, not {chosen.truth}")
        return [(str(chosen.state), chosen.state.resolve(), chosen.truth.resolve())]
    base = chosen.base.resolve()
    return [
        (f"{chosen.people:,} people, {chosen.days} days, seed {seed}", *make(base, chosen.people, chosen.days, seed))
        for seed in chosen.seeds
    ]


if __name__ == "__main__":
    sys.exit(main())
