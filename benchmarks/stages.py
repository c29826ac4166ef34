"""Time and memory of every stage at growing numbers of people: `python -m benchmarks.stages --people 10000 100000 1000000`.

Every stage runs in a process of its own, so that its peak memory is its own too. Prints seconds, rows a second, the growth exponent
between sizes (1 = linear), peak memory, and which share of each size is start-up rather than work: what the same stage costs at 1,000
people, where there is next to nothing to do (fewer have too few outcomes to train on). What Airflow adds to a day is measured at that
size too: the day once more through `daily_offers`, less what its stages took. Results are kept as JSON beside the state after
every size; a stage that fails ends its size, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from candor.pipeline import BEFORE_TRAINING, NAMES

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)
NEXT_TO_NOTHING = 1_000
EVERYTHING = "ingest of all days"


class StageFailed(Exception):
    """A command did not succeed; the message has what it printed last."""


def measured(command: list[str], env: dict[str, str], log: Path) -> dict[str, float]:
    """Seconds from start to end, processor seconds and peak GiB of one command. Raises StageFailed with the end of what it printed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise StageFailed(
            f"{' '.join(command[3:])} ended with {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}"
        )
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gib": round(usage.ru_maxrss / 1024**2, 2),
    }


def _rows_landed(state: Path, as_of: datetime) -> int:
    wanted = as_of.replace(tzinfo=None).isoformat()
    for path in state.glob("reports/*/run.json"):
        if json.loads(path.read_text())["as_of"] == wanted:
            return json.loads((path.parent / "stages" / "ingest.json").read_text())["result"]["rows_read"]
    raise StageFailed(f"no run of {wanted} in {state}")


def one_size(base: Path, people: int, *, days: int, seed: int, champion_of: int | None = None) -> dict[str, Any]:
    """All measurements at one number of people: {people, rows_landed, stages: {name: {seconds, cpu_seconds, peak_gib}}, failed}.

    With `champion_of` the day before is left out: the day is run once, from nothing, with the model trained at that other size.
    """
    state = base / str(people)
    registry = state if champion_of is None else base / str(champion_of)
    env = {
        **os.environ,
        "CANDOR_STATE_DIR": str(state),
        "CANDOR_HASH_KEY": "0" * 64,
        "CANDOR_MLFLOW_URI": f"sqlite:///{registry / 'mlflow' / 'mlflow.db'}",
    }
    candor = [sys.executable, "-c", "from candor.cli import main; main()"]
    size: dict[str, Any] = {"people": people, "rows_landed": 0, "stages": {}, "failed": None}

    def step(name: str, *arguments: str) -> None:
        found = measured([*candor, *arguments], env, state / "bench-logs" / f"{name.replace(' ', '-')}.log")
        size["stages"][name] = found
        print(
            f"  {people:>9,} people  {name:<20} {found['seconds']:>8.1f} s  {found['cpu_seconds']:>8.1f} s of processor"
            f"  {found['peak_gib']:>6.2f} GiB",
            flush=True,
        )

    def stages(day: datetime, names: tuple[str, ...], said: str = "") -> None:
        for name in names:
            step(said.format(name) or name, name.replace("_", "-"), "--as-of", day.isoformat())

    state.mkdir(parents=True, exist_ok=True)
    try:
        if not (state / "landing").is_dir():
            step("simulate", "simulate", "--people", str(people), "--days", str(days), "--seed", str(seed),
                 "--landing", str(state / "landing"), "--truth", str(base / f"{people}-truth"))  # fmt: skip
        if champion_of is None:
            before = DAY - timedelta(days=1)
            step(EVERYTHING, "ingest", "--as-of", before.isoformat())
            size["rows_landed"] = _rows_landed(state, before)
            stages(before, BEFORE_TRAINING[1:], "day before: {}")
            step("train", "train", "--as-of", before.isoformat())
            stages(DAY, NAMES)
        else:
            step(EVERYTHING, "ingest", "--as-of", DAY.isoformat())
            size["rows_landed"] = _rows_landed(state, DAY)
            stages(DAY, NAMES[1:])
    except StageFailed as failure:
        size["failed"] = str(failure)
        print(f"  {people:>9,} people  failed: {failure}", file=sys.stderr, flush=True)
    return size


def airflow_seconds(base: Path) -> dict[str, float]:
    """What Airflow itself adds to a day: {seconds, tasks}. Runs the day of the smallest size once more, through `daily_offers`."""
    from candor.settings import load
    from ops import airflow_env
    from ops.first_run import airflow_command, stage_seconds

    state = base / str(NEXT_TO_NOTHING)
    settings = load({"CANDOR_STATE_DIR": str(state), "CANDOR_HASH_KEY": "0" * 64})
    env = airflow_env.prepare(settings)
    whole = measured(airflow_command("daily_offers", DAY, settings), env, state / "bench-logs" / "airflow.log")
    inside = stage_seconds(DAY, settings)
    print(
        f"  {NEXT_TO_NOTHING:>9,} people  the day in Airflow   {whole['seconds']:>8.1f} s, {inside:.1f} s of them in stages",
        flush=True,
    )
    return {"seconds": round(whole["seconds"] - inside, 1), "tasks": len(NAMES) + 1}


def _measured_before(base: Path) -> dict[int, dict[str, Any]]:
    """The sizes that an earlier call measured to the end, by people."""
    kept = base / "results.json"
    sizes = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    return {size["people"]: size for size in sizes if not size["failed"]}


def report(results: list[dict[str, Any]]) -> str:
    """The table of stages by size, with exponents and start-up shares."""
    smallest, *sizes = results
    lines = [f"{'':<22}" + "".join(f"{size['people']:>12,} people" for size in sizes) + f"{'growth':>9}{'start-up':>10}"]
    names = [EVERYTHING, *NAMES, "train"]
    for name in [name for name in names if any(name in size["stages"] for size in sizes)]:
        cells = [size["stages"].get(name) for size in sizes]
        told = "".join(f"{cell['seconds']:>11.1f} s {cell['peak_gib']:>4.1f}G" if cell else f"{'-':>19}" for cell in cells)
        lines.append(f"{name:<22}{told}{_growth(sizes, name):>9}{_start_up(smallest, sizes, name):>10}")
    rows = [(size["rows_landed"], size["stages"].get(EVERYTHING)) for size in sizes]
    told = "".join(f"{count / cell['seconds']:>19,.0f}" if cell else f"{'-':>19}" for count, cell in rows)
    lines.append(f"{'rows a second, ingest':<22}{told}")
    totals = [sum(size["stages"][name]["seconds"] for name in NAMES if name in size["stages"]) for size in sizes]
    lines.append(f"{'the day, all stages':<22}" + "".join(f"{total:>17.0f} s" for total in totals))
    lines.append(f"{'rows landed':<22}" + "".join(f"{size['rows_landed']:>19,}" for size in sizes))
    if airflow := smallest.get("airflow"):
        shares = [airflow["seconds"] / (airflow["seconds"] + total) if total else 0.0 for total in totals]
        lines.append(f"{'Airflow, of the day':<22}" + "".join(f"{share:>19.1%}" for share in shares))
        lines.append(
            f"Airflow adds {airflow['seconds']:.0f} s to a day: one process (`airflow dags test`), {airflow['tasks']} tasks"
        )
    lines += [f"{size['people']:,} people: {size['failed'].splitlines()[0]}" for size in sizes if size["failed"]]
    return "\n".join(lines)


def _growth(sizes: list[dict[str, Any]], name: str) -> str:
    """How processor time grows with people between the two largest sizes that have the stage; the machine's other work is not in it."""
    had = [(size["people"], size["stages"][name]["cpu_seconds"]) for size in sizes if name in size["stages"]]
    if len(had) < 2 or had[-2][1] <= 0:
        return ""
    (fewer, first), (more, second) = had[-2:]
    return f"{math.log(second / first) / math.log(more / fewer):.2f}"


def _start_up(smallest: dict[str, Any], sizes: list[dict[str, Any]], name: str) -> str:
    """Which share of the largest size's processor time the stage also needs for next to nothing."""
    had = [size["stages"][name]["cpu_seconds"] for size in sizes if name in size["stages"]]
    least = smallest["stages"].get(name)
    return f"{min(1.0, least['cpu_seconds'] / had[-1]):.0%}" if least and had and had[-1] else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base", type=Path, default=Path("var/bench"))
    parser.add_argument(
        "--one-day-from",
        type=int,
        metavar="PEOPLE",
        help="from this many people on, run the day once, from nothing, with the champion trained at the size before",
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the sizes that an earlier call in the same --base measured to the end"
    )
    chosen = parser.parse_args()
    base = chosen.base.resolve()
    base.mkdir(parents=True, exist_ok=True)
    kept = _measured_before(base) if chosen.resume else {}
    results: list[dict[str, Any]] = []
    for people in (NEXT_TO_NOTHING, *chosen.people):
        champion_of = results[-1]["people"] if results and chosen.one_day_from and people >= chosen.one_day_from else None
        size = kept.get(people) or one_size(base, people, days=chosen.days, seed=chosen.seed, champion_of=champion_of)
        if people == NEXT_TO_NOTHING and not size["failed"] and "airflow" not in size:
            size["airflow"] = airflow_seconds(base)
        results.append(size)
        kept[people] = size
        (base / "results.json").write_text(json.dumps(list(kept.values()), indent=2), encoding="utf-8")
    print(report(results))
    if any(size["failed"] for size in results):
        raise SystemExit(3)


if __name__ == "__main__":
    main()
