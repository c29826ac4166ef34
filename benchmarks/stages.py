"""Time and memory of every stage at growing numbers of people: `python -m benchmarks.stages --people 10000 100000 1000000`.

Prints seconds, rows a second, the growth exponent between sizes (1 = linear), peak memory, and which share of each size is start-up
rather than work: what the same stage costs at 100 people, where there is next to nothing to do. Results are kept as JSON beside the state.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
NEXT_TO_NOTHING = 100


def _measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak GiB of one command, which must succeed."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()[-4000:]}")
    return time.monotonic() - started, usage.ru_maxrss / 1024**2


def _stage_seconds(state: Path, as_of: datetime) -> dict[str, dict[str, Any]]:
    wanted = as_of.replace(tzinfo=None).isoformat()
    for path in state.glob("reports/*/run.json"):
        if json.loads(path.read_text())["as_of"] == wanted:
            return {
                stage["stage"]: stage
                for stage in (json.loads(report.read_text()) for report in path.parent.glob("stages/*.json"))
            }
    raise SystemExit(f"no run of {wanted} in {state}")


def one_size(base: Path, people: int, *, days: int, seed: int) -> dict[str, Any]:
    """All measurements at one number of people."""
    state = base / str(people)
    env = {**os.environ, "CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": "0" * 64}
    candor = [sys.executable, "-c", "from candor.cli import main; main()"]
    sizes: dict[str, Any] = {"people": people, "commands": {}, "stages": {}}

    def step(name: str, *arguments: str) -> None:
        seconds, peak = _measured([*candor, *arguments], env)
        sizes["commands"][name] = {"seconds": round(seconds, 1), "peak_gib": round(peak, 2)}
        print(f"  {people:>9,} people  {name:<12} {seconds:8.1f} s  {peak:6.2f} GiB", flush=True)

    if not (state / "landing").is_dir():
        step("simulate", "simulate", "--people", str(people), "--days", str(days), "--seed", str(seed),
             "--landing", str(state / "landing"), "--truth", str(base / f"{people}-truth"))  # fmt: skip
    before = DAY - timedelta(days=1)
    step("day before", "run", "--as-of", before.isoformat())
    step("train", "train", "--as-of", before.isoformat())
    step("day", "run", "--as-of", DAY.isoformat())
    sizes["stages"] = {name: stage["seconds"] for name, stage in _stage_seconds(state, DAY).items()}
    first = _stage_seconds(state, before)["ingest"]
    sizes["rows_landed"] = first["result"].get("rows_read", 0)
    sizes["stages"]["ingest of everything"] = first["seconds"]
    return sizes


def report(results: list[dict[str, Any]]) -> str:
    """The table of stages by size, with exponents and start-up shares."""
    smallest, *measured = results
    lines = [f"{'stage':<22}" + "".join(f"{size['people']:>16,}" for size in measured) + f"{'growth':>9}{'start-up':>10}"]
    for stage in measured[-1]["stages"]:
        seconds = [size["stages"].get(stage, float("nan")) for size in measured]
        growth = ""
        if len(measured) > 1 and seconds[-2] > 0:
            ratio = measured[-1]["people"] / measured[-2]["people"]
            growth = f"{math.log(seconds[-1] / seconds[-2]) / math.log(ratio):.2f}"
        share = f"{min(1.0, smallest['stages'].get(stage, 0.0) / seconds[-1]):.0%}" if seconds[-1] else ""
        lines.append(f"{stage:<22}" + "".join(f"{value:>14.1f} s" for value in seconds) + f"{growth:>9}{share:>10}")
    for name in measured[-1]["commands"]:
        cells = [size["commands"].get(name) for size in measured]
        told = "".join(f"{cell['seconds']:>8.0f} s {cell['peak_gib']:4.1f}G" if cell else f"{'-':>16}" for cell in cells)
        lines.append(f"{name:<22}{told}")
    rows = [size["rows_landed"] / size["stages"]["ingest of everything"] for size in measured]
    lines.append(f"{'rows a second, ingest':<22}" + "".join(f"{value:>16,.0f}" for value in rows))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base", type=Path, default=Path("var/bench"))
    chosen = parser.parse_args()
    base = chosen.base.resolve()
    base.mkdir(parents=True, exist_ok=True)
    results = [one_size(base, people, days=chosen.days, seed=chosen.seed) for people in (NEXT_TO_NOTHING, *chosen.people)]
    (base / "results.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    print(report(results))


if __name__ == "__main__":
    main()
