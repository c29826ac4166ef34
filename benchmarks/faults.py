"""Kill the pipeline at random instants, run it again, and compare the bytes with an undisturbed run.

`python -m benchmarks.faults --kills 30` kills ingest of everything, the training, and every stage of a day's run, each with SIGKILL to
its whole process group, while four readers poll the serving store. It prints each kill with the stage it hit, whether the bytes
agree, and how often the readers saw a whole run. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from benchmarks import channel, fingerprint
from candor.pipeline import NAMES

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
KEY = "0" * 64
READERS = 4
KILLS_PER_RUN = 5
# What Airflow does after a task died: that task again and those after it, in a fresh process.
REMAINING = """
import sys
from candor import pipeline
for name in pipeline.NAMES[pipeline.NAMES.index(sys.argv[1]):]:
    pipeline.run_stage(name, sys.argv[2])
"""
CANDOR = "from candor.cli import main; main()"


def _start(state: Path, code: str, *arguments: str, landing: Path | None = None) -> subprocess.Popen[bytes]:
    env = {**os.environ, "CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": KEY}
    if landing is not None:
        env["CANDOR_LANDING_DIR"] = str(landing)
    output = (state.parent / f"{state.name}.log").open("wb")
    with output:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )


def _finish(process: subprocess.Popen[bytes], state: Path) -> None:
    """Wait for a command that must succeed."""
    if process.wait() != 0:
        said = (state.parent / f"{state.name}.log").read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{process.args!r} failed with {process.returncode}:\n{said[-4000:]}")


def whole(state: Path, *arguments: str, landing: Path | None = None) -> float:
    """Seconds of a `candor` command that must succeed."""
    started = time.monotonic()
    _finish(_start(state, CANDOR, *arguments, landing=landing), state)
    return time.monotonic() - started


def kill(process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL to the process and its children; False when it had already ended."""
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


# --- Readers ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the readers saw: reads of a whole run by run, reads before anything was published, of half a run, and errors."""

    whole: Counter[str] = field(default_factory=Counter)
    nothing: int = 0
    torn: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Seen) -> None:
        self.whole += other.whole
        self.nothing += other.nothing
        self.torn += other.torn
        self.errors += other.errors

    @property
    def reads(self) -> int:
        return self.whole.total()

    def __str__(self) -> str:
        runs = ", ".join(f"{run_id} {reads:,}" for run_id, reads in self.whole.most_common()) or "none"
        return (
            f"{self.reads:,} reads of a whole run by {READERS} readers ({runs}), {self.nothing:,} before anything was published, "
            f"{len(self.torn)} of half a run, {self.errors.total()} errors"
        )


def read_once(reader: channel.Channel, seen: Seen) -> None:
    """One transaction: the current run has exactly the rows that it says, and the view shows no other run's."""
    reader.begin()
    try:
        if not reader.has_live_offers():
            seen.nothing += 1
            return
        runs = reader.rows("select run_id, rows, people from runs where is_current = 1")
        if not runs:
            seen.nothing += 1
            return
        (run_id, rows, people), *others = runs
        counted = reader.rows(
            "select count(*), count(distinct person_id), count(distinct decision_id) from offers where run_id = ?", run_id
        )[0]
        live = reader.rows("select run_id from live_offers limit 1")
        if others or counted != (rows, people, rows) or live not in ([], [(run_id,)]):
            seen.torn.append(f"{run_id}: {rows} rows promised, {counted} read, live {live}, {len(others)} other current runs")
        else:
            seen.whole[run_id] += 1
    finally:
        reader.end()


def _poll(store: str, stop: Event, results: Any) -> None:
    seen = Seen()
    while not stop.is_set():
        if channel.is_there(store):
            try:
                with channel.read(store) as reader:
                    read_once(reader, seen)
            except channel.Errors as error:
                seen.errors[str(error)] += 1
        else:
            seen.nothing += 1
        time.sleep(0.05)  # four readers share two cores with the run they watch
    results.put(seen)


class Readers:
    """Four processes that poll a serving store until the block ends; `seen` then has what they saw."""

    def __init__(self, store: Path | str) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with DuckDB's threads may hang
        self.seen = Seen()
        self._stop, self._results = context.Event(), context.Queue()
        self._processes = [
            context.Process(target=_poll, args=(str(store), self._stop, self._results), daemon=True) for _ in range(READERS)
        ]

    def __enter__(self) -> Readers:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for _ in self._processes:
            self.seen.add(self._results.get(timeout=60))
        for process in self._processes:
            process.join()


# --- Kills -----------------------------------------------------------------------------------------------------------


def stage_seconds(state: Path, as_of: datetime) -> dict[str, float]:
    """How long each stage of a finished run took."""
    return {stage["stage"]: stage["seconds"] for stage in _stage_reports(state, as_of)}


def _stage_reports(state: Path, as_of: datetime) -> list[dict[str, Any]]:
    wanted = as_of.replace(tzinfo=None).isoformat()
    for path in (state / "reports").glob("*/run.json"):
        if json.loads(path.read_text(encoding="utf-8"))["as_of"] == wanted:
            found = [json.loads(report.read_text(encoding="utf-8")) for report in path.parent.glob("stages/*.json")]
            return sorted(found, key=lambda stage: NAMES.index(stage["stage"]))
    return []


def _under_way(state: Path, as_of: datetime, begun: str) -> str:
    """The stage after the last one that has ended, from `begun` on."""
    ended = {stage["stage"] for stage in _stage_reports(state, as_of) if stage["status"] in ("done", "no champion")}
    return next((name for name in NAMES[NAMES.index(begun) :] if name not in ended), NAMES[-1])


def disturb_day(
    state: Path,
    as_of: datetime,
    seconds: dict[str, float],
    *,
    stages: list[str],
    chance: random.Random,
    told: Callable[[str], None],
    again: float,
) -> Counter[str]:
    """Kill the run of `as_of` in `state` once in each of `stages`, then let it end; gives the kills by stage.

    The instant is drawn within the stage. After a kill the run starts from the beginning with probability `again`, else with the
    stage that died.
    """
    hit: Counter[str] = Counter()
    first = NAMES[0]
    targets = sorted((NAMES.index(name), chance.random()) for name in stages)
    text = as_of.isoformat()
    for place, fraction in targets:
        process = _start(state, REMAINING, first, text) if first != NAMES[0] else _start(state, CANDOR, "run", "--as-of", text)
        started = time.monotonic()
        while process.poll() is None and NAMES.index(_under_way(state, as_of, first)) < place:
            time.sleep(0.05)
            if time.monotonic() - started > 1800:
                raise SystemExit(f"the run of {text} did not reach {NAMES[place]} in half an hour")
        # the first stage of a process also waits for Python and its imports
        time.sleep(fraction * (max(0.05, seconds.get(NAMES[place], 0.1)) + (2.0 if NAMES[place] == first else 0.0)))
        if not kill(process):
            _finish(process, state)  # it had ended: then it must have ended well
            told(f"  it ended before it could be killed in {NAMES[place]}")
            break
        stage = _under_way(state, as_of, first)
        hit[stage] += 1
        first = NAMES[0] if chance.random() < again else stage
        told(f"  killed in {stage:<14} then again from {first}")
    _finish(_start(state, REMAINING, first, text), state)
    return hit


def drawn_stages(kills: int, chance: random.Random) -> list[str]:
    """Stages to be killed in: each once, in a random order, before any comes again.

    Drawn over time, the short ones, publishing among them, would hardly ever be hit.
    """
    drawn: list[str] = []
    while len(drawn) < kills:
        drawn += chance.sample(NAMES, len(NAMES))
    return drawn[:kills]


def publish_again(state: Path, as_of: datetime) -> None:
    """Publish a run that is published: it changes nothing, and gives readers of a short run time to see it."""
    whole(state, "publish", "--as-of", as_of.isoformat())


def disturb_training(
    state: Path, as_of: datetime, seconds: float, *, kills: int, chance: random.Random, told: Callable[[str], None]
) -> int:
    """Kill `candor train` of `as_of` `kills` times at random instants, then let it end; gives the number of kills.

    Every second instant is drawn from the seconds after the first write to MLflow's store: registering is short beside the start-up.
    """
    done = 0
    store = state / "mlflow" / "mlflow.db"
    for number in range(kills):
        began = time.time()
        process = _start(state, CANDOR, "train", "--as-of", as_of.isoformat())
        if number % 2 == 0:
            while process.poll() is None and not (store.exists() and store.stat().st_mtime > began):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, seconds / 3))
            at = "while registering"
        else:
            time.sleep(chance.uniform(0.3, seconds))
            at = "in training"
        if kill(process):
            done += 1
            told(f"  killed {at}, {len(registered(state))} registered")
    whole(state, "train", "--as-of", as_of.isoformat())
    return done


def registered(state: Path) -> list[tuple[str, str, bool]]:
    """(model version, trained as of, promoted) of every registered version, oldest first."""
    path = state / "mlflow" / "mlflow.db"
    if not path.exists():
        return []
    # Not read-only: whoever reads first after a kill has to roll the unfinished transaction back.
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5)) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'model_version_tags'").fetchall():
            return []
        tags: dict[int, dict[str, str]] = {}
        for version, key, value in connection.execute("select version, key, value from model_version_tags order by version"):
            tags.setdefault(version, {})[key] = value
    return [
        (found.get("model_version", ""), found.get("train_as_of", ""), found.get("promoted") == "true")
        for found in tags.values()
    ]


def disturb_ingest(
    state: Path,
    landing: Path,
    as_of: datetime,
    seconds: float,
    *,
    kills: int,
    chance: random.Random,
    told: Callable[[str], None],
) -> int:
    """Kill `candor ingest` of everything `kills` times at random instants, then let it end; gives the number of kills."""
    done = 0
    for _ in range(kills):
        process = _start(state, CANDOR, "ingest", "--as-of", as_of.isoformat(), landing=landing)
        time.sleep(chance.uniform(0.3, seconds))
        if kill(process):
            done += 1
            told("  killed in ingest")
    whole(state, "ingest", "--as-of", as_of.isoformat(), landing=landing)
    return done


# --- The benchmark ---------------------------------------------------------------------------------------------------


def _fresh(path: Path, like: Path | None = None) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    if like is None:
        path.mkdir(parents=True)
    else:
        shutil.copytree(like, path)
    return path


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """The names whose hashes are not the same on both sides."""
    return [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]


def bench(base: Path, *, kills: int, people: int, days: int, seed: int, told: Callable[[str], None]) -> bool:
    """Whether every byte agreed and no reader saw half a run."""
    from simulation import generate, respond

    chance = random.Random(seed)
    landing, truth = base / "landing", base / "truth"
    shutil.rmtree(base, ignore_errors=True)
    told(f"preparing {people:,} people x {days} days, the day before, a training, the day")
    generate(people=people, days=days, seed=seed, landing=landing, truth=truth, ends_at=DAY)
    before, after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    os.environ["CANDOR_LANDING_DIR"] = str(landing)
    ok = True
    wrong: list[str] = []

    ingests, trains = max(1, kills // 7), max(1, kills // 6)
    calm = _fresh(base / "calm")
    seconds = whole(calm, "ingest", "--as-of", before.isoformat())
    expected = fingerprint.raw(calm)
    disturbed = _fresh(base / "disturbed")
    told(f"ingest of everything ({seconds:.1f} s undisturbed):")
    done = disturb_ingest(disturbed, landing, before, seconds, kills=ingests, chance=chance, told=told)
    wrong += differing(expected, fingerprint.raw(disturbed))
    told(f"  {done} kills; {len(expected)} raw tables compared: {wrong or 'all the same'}")
    total = done

    # The training is killed where nothing of MLflow exists yet, its database among it.
    whole(calm, "run", "--as-of", before.isoformat(), "--until", "gate_features")
    disturbed = _fresh(base / "disturbed", calm)
    seconds = whole(calm, "train", "--as-of", before.isoformat())
    told(f"training ({seconds:.1f} s undisturbed):")
    done = disturb_training(disturbed, before, seconds, kills=trains, chance=chance, told=told)
    if registered(disturbed) != registered(calm) or len(registered(calm)) != 1:
        wrong.append(f"registered {registered(disturbed)} instead of {registered(calm)}")
    told(f"  {done} kills; registered {registered(disturbed)}")
    total += done

    # Yesterday's offers are live while the next day is killed over and over.
    whole(calm, "run", "--as-of", before.isoformat())
    whole(calm, "run", "--as-of", DAY.isoformat())
    published = max((calm / "published").glob("r*"), key=lambda path: path.stat().st_mtime)
    respond(published=published, landing=landing, truth=truth, as_of=DAY, seed=seed)
    standing = _fresh(base / "standing", calm)
    whole(calm, "run", "--as-of", after.isoformat())
    expected = fingerprint.of_state(calm)
    by_stage = stage_seconds(calm, after)
    told(f"the run of {after:%Y-%m-%d} ({sum(by_stage.values()):.1f} s undisturbed), yesterday's offers live:")
    hit: Counter[str] = Counter()
    seen = Seen()
    waiting = drawn_stages(kills - total, chance)
    while waiting:
        stages, waiting = waiting[:KILLS_PER_RUN], waiting[KILLS_PER_RUN:]
        disturbed = _fresh(base / "disturbed", standing)
        with Readers(disturbed / "serving" / "offers.sqlite") as readers:
            this = disturb_day(disturbed, after, by_stage, stages=stages, chance=chance, told=told, again=0.2)
        total, hit = total + this.total(), hit + this
        seen.add(readers.seen)
        wrong += differing(expected, fingerprint.of_state(disturbed))
        told(f"  {total} kills so far; {len(expected)} files and tables compared: {wrong or 'all the same'}")
    ok = not wrong and not seen.torn and not seen.errors
    told(
        f"{total} kills: ingest of everything {ingests}, training {trains}, the day's "
        + ", ".join(f"{name} {hit[name]}" for name in NAMES if hit[name])
    )
    told(str(seen))
    for line in [*seen.torn[:5], *(f"{error}: {count}" for error, count in seen.errors.most_common(5))]:
        told(f"  {line}")
    told("all the same" if ok else f"NOT the same: {wrong}")
    return ok


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--people", type=int, default=2500)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base", type=Path, default=Path("var/bench-faults"))
    chosen = parser.parse_args()
    good = bench(
        chosen.base.resolve(),
        kills=chosen.kills,
        people=chosen.people,
        days=chosen.days,
        seed=chosen.seed,
        told=lambda text: print(text, flush=True),
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
