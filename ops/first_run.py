"""The main job end to end, through Airflow itself: `make run`.

Lands made-up (or mapped real) data when there is none, runs `daily_offers` for the day before, `train_offer_model` for it,
and `daily_offers` for the day, then prints the summary.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from candor.errors import CandorError
from candor.settings import Settings, load
from ops import airflow_env

DAY = datetime(2026, 11, 23, 15, tzinfo=UTC)


def _say(text: str) -> None:
    print(text, flush=True)


def land(data: str, settings: Settings, *, people: int, days: int, seed: int) -> None:
    """Put deliveries into the landing folder unless it has some."""
    if settings.landing_dir.is_dir() and any(settings.landing_dir.iterdir()):
        _say("landing    deliveries are there already")
        return
    started = time.monotonic()
    if data == "complete-journey":
        from examples import complete_journey

        complete_journey.land(settings.landing_dir)
    else:
        from simulation import generate

        truth = settings.state_dir / "truth"
        generate(people=people, days=days, seed=seed, landing=settings.landing_dir, truth=truth, ends_at=DAY)
    _say(f"landing    made in {time.monotonic() - started:.0f} s")


def airflow_command(dag_id: str, as_of: datetime, settings: Settings) -> list[str]:
    """The command that takes one run of a DAG through Airflow, in one process."""
    return [
        airflow_env.executable("airflow"), "dags", "test", dag_id, as_of.isoformat(),
        "-f", str(settings.dbt_project_dir.parent / "dags" / f"{dag_id}.py"),
        "-c", json.dumps({"as_of": as_of.isoformat()}),
    ]  # fmt: skip


def airflow_run(dag_id: str, as_of: datetime, settings: Settings, env: dict[str, str]) -> None:
    """One DAG run, whole, in Airflow. Exits with the run's own code when it failed, after showing its last lines."""
    started = time.monotonic()
    log = settings.state_dir / "airflow" / f"{dag_id}-{as_of:%Y-%m-%d}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = airflow_command(dag_id, as_of, settings)
    with log.open("w") as file:
        done = subprocess.run(command, env=env, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - started
    verdict = "done" if done.returncode == 0 else "FAILED"
    inside = stage_seconds(as_of, settings) if dag_id == "daily_offers" and done.returncode == 0 else None
    own = "" if inside is None else f", {seconds - inside:.0f} s of them Airflow's own"
    _say(f"airflow    {dag_id:<18} {as_of:%Y-%m-%d}  {verdict} in {seconds:.0f} s{own}")
    if done.returncode != 0:
        _say("".join(log.read_text(errors="replace").splitlines(keepends=True)[-40:]))
        raise SystemExit(done.returncode)


def stage_seconds(as_of: datetime, settings: Settings) -> float:
    """How long the stages of a finished run took, without what ran them."""
    from candor.reporting.collect import collect

    return sum(stage["seconds"] for stage in collect(as_of, settings)["stages"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.first_run", description=__doc__)
    parser.add_argument("--data", choices=["crypto", "complete-journey"], default="crypto")
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()

    settings = load()
    if chosen.data == "complete-journey":
        # A shop of its own: its own state beside the default one, its own product configuration.
        state = settings.state_dir / "complete-journey"
        os.environ.update(CANDOR_STATE_DIR=str(state), CANDOR_SHOP="retail")
        settings = load()
    land(chosen.data, settings, people=chosen.people, days=chosen.days, seed=chosen.seed)
    env = airflow_env.prepare(settings)
    airflow_run("daily_offers", DAY - timedelta(days=1), settings, env)
    airflow_run("train_offer_model", DAY - timedelta(days=1), settings, env)
    airflow_run("daily_offers", DAY, settings, env)

    from candor.reporting import print_summary

    print_summary(DAY, settings)


if __name__ == "__main__":
    try:
        main()
    except CandorError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
