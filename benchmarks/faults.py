"""Kill the daily run at random instants, run it again, and compare the bytes with an undisturbed run.

`python -m benchmarks.faults --kills 30` prints each kill with the stage it hit, whether the bytes agree, and how often four readers
polling the serving store all the while saw a whole run. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
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
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty
from typing import Any

from benchmarks import fingerprint

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _command(state: Path, *arguments: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": "0" * 64}
    return subprocess.Popen(
        [sys.executable, "-c", "from candor.cli import main; main()", *arguments],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def _whole(state: Path, *arguments: str) -> float:
    """Seconds of a command that must succeed."""
    started = time.monotonic()
    process = _command(state, *arguments)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"candor {' '.join(arguments)} failed with {process.returncode}:\n{output.decode()[-4000:]}")
    return time.monotonic() - started


def prepare(base: Path, *, people: int, days: int, seed: int) -> Path:
    """A state folder that stands before the day's run: data landed, the day before run, a champion trained."""
    from simulation import generate

    state = base / "before"
    if not (state / "ready").exists():
        shutil.rmtree(state, ignore_errors=True)
        generate(people=people, days=days, seed=seed, landing=state / "landing", truth=base / "truth", ends_at=DAY)
        before = (DAY - timedelta(days=1)).isoformat()
        _whole(state, "run", "--as-of", before)
        _whole(state, "train", "--as-of", before)
        (state / "ready").touch()
    return state


def _poll(store: str, stop: Event, results: Any) -> None:
    """Read the store over and over: every current run must have exactly the rows that its `runs` row says."""
    reads, torn, errors = 0, 0, Counter[str]()
    while not stop.is_set():
        if not Path(store).exists():
            time.sleep(0.01)
            continue
        try:
            with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5)) as connection:
                connection.execute("begin")
                runs = connection.execute("select run_id, offers from runs where is_current = 1").fetchall()
                if len(runs) > 1:
                    torn += 1
                for run_id, offers in runs:
                    seen = connection.execute("select count(*) from offers where run_id = ?", [run_id]).fetchone()[0]
                    torn += seen != offers
                reads += 1
        except sqlite3.OperationalError as error:
            # before the first publish there is no schema; anything else is reported, not hidden
            errors[str(error)] += 1
        time.sleep(0.002)
    results.put((reads, torn, dict(errors)))


def disturb(base: Path, before: Path, *, kills: int, seed: int, arguments: tuple[str, ...] = ()) -> dict[str, Any]:
    """Kill `candor run` of the day `kills` times at random instants; gives the reads, the kills by stage and what differs."""
    day = DAY.isoformat()
    calm = base / "calm"
    shutil.rmtree(calm, ignore_errors=True)
    shutil.copytree(before, calm)
    seconds = _whole(calm, "run", "--as-of", day)
    expected = fingerprint.of_state(calm)

    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    chance = random.Random(seed)
    hit: Counter[str] = Counter()
    differing: list[str] = []
    reads = torn = 0
    done = 0
    while done < kills:
        state = base / "disturbed"
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(before, state)
        stop.clear()
        readers = [
            multiprocessing.Process(target=_poll, args=(str(state / "serving" / "offers.sqlite"), stop, results))
            for _ in range(4)
        ]
        for reader in readers:
            reader.start()
        for _ in range(min(5, kills - done)):  # several kills of one run, then it must still end well
            process = _command(state, "run", "--as-of", day)
            try:
                process.communicate(timeout=chance.uniform(0.5, seconds))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                stage = _last_stage(state)
                hit[stage] += 1
                done += 1
                print(f"kill {done:>3}  after {stage}", flush=True)
        _whole(state, "run", "--as-of", day)
        stop.set()
        for _ in readers:
            try:
                one_reads, one_torn, _ = results.get(timeout=20)
            except Empty:
                differing.append("a reader did not answer")
                continue
            reads, torn = reads + one_reads, torn + one_torn
        for reader in readers:
            reader.join()
        found = fingerprint.of_state(state)
        differing += [name for name in sorted(expected.keys() | found.keys()) if expected.get(name) != found.get(name)]
    return {
        "kills": done,
        "by_stage": dict(hit),
        "reads": reads,
        "torn_reads": torn,
        "differing": differing,
        "compared": len(expected),
    }


def _last_stage(state: Path) -> str:
    """The last stage that had ended when the process died, from the newest stage report."""
    reports = sorted((state / "reports").glob("*/stages/*.json"), key=lambda path: path.stat().st_mtime)
    return reports[-1].stem if reports else "nothing"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base", type=Path, default=Path("var/bench-faults"))
    chosen = parser.parse_args()
    base = chosen.base.resolve()
    before = prepare(base, people=chosen.people, days=chosen.days, seed=chosen.seed)
    result = disturb(base, before, kills=chosen.kills, seed=chosen.seed)
    print(f"{result['kills']} kills ({', '.join(f'{stage} {n}' for stage, n in sorted(result['by_stage'].items()))})")
    print(f"{result['reads']:,} reads by four readers, {result['torn_reads']} of them of half a run")
    print(
        f"{result['compared']} files and tables compared each time: {'all the same' if not result['differing'] else result['differing']}"
    )
    return 1 if result["differing"] or result["torn_reads"] else 0


if __name__ == "__main__":
    sys.exit(main())
