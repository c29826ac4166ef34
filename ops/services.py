"""Airflow and MLflow on 127.0.0.1: `python -m ops.services up | down`.

Three Airflow services without log servers, each in a process group of its own, and one MLflow server.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from candor.settings import Settings, load
from ops import airflow_env
from ops.airflow_env import Ports


def commands(settings: Settings, ports: Ports = Ports()) -> dict[str, list[str]]:
    """What is started, by name."""
    airflow, mlflow = airflow_env.executable("airflow"), airflow_env.executable("mlflow")
    return {
        "airflow-api": [airflow, "api-server"],
        "airflow-scheduler": [airflow, "scheduler", "--skip-serve-logs"],
        "airflow-dag-processor": [airflow, "dag-processor"],
        "mlflow": [
            mlflow, "server", "--host", "127.0.0.1", "--port", str(ports.mlflow), "--workers", "1",
            "--backend-store-uri", settings.mlflow_tracking_uri,
            "--artifacts-destination", (settings.mlflow_dir / "artifacts").as_uri(),
        ],
    }  # fmt: skip


def _pid_file(settings: Settings, name: str) -> Path:
    return settings.state_dir / "services" / f"{name}.pid"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return None  # not listening yet; the caller tries again until its deadline


def healthy(ports: Ports = Ports()) -> dict[str, bool]:
    """Which services answer."""
    text = _get(f"http://127.0.0.1:{ports.airflow}/api/v2/monitor/health")
    health = json.loads(text) if text else {}
    return {
        "airflow-api": text is not None,
        "airflow-scheduler": health.get("scheduler", {}).get("status") == "healthy",
        "airflow-dag-processor": health.get("dag_processor", {}).get("status") == "healthy",
        "mlflow": _get(f"http://127.0.0.1:{ports.mlflow}/health") is not None,
    }


def up(settings: Settings, ports: Ports = Ports(), *, wait_seconds: int = 90) -> None:
    """Start what is not running, wait until all answer, print addresses and, the first time, the login."""
    env = airflow_env.prepare(settings, ports)
    folder = settings.state_dir / "services"
    folder.mkdir(parents=True, exist_ok=True)
    settings.mlflow_dir.mkdir(parents=True, exist_ok=True)
    for name, command in commands(settings, ports).items():
        pid_file = _pid_file(settings, name)
        if pid_file.exists() and _alive(int(pid_file.read_text())):
            continue
        with (folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=folder
            )
        pid_file.write_text(str(process.pid))
    deadline = time.monotonic() + wait_seconds
    while not all((state := healthy(ports)).values()):
        if time.monotonic() > deadline:
            missing = ", ".join(name for name, ok in state.items() if not ok)
            raise SystemExit(f"not healthy after {wait_seconds} s: {missing}\n\nhint: read the logs in {folder}")
        time.sleep(1)
    print(f"Airflow  http://127.0.0.1:{ports.airflow}      DAGs, their docs, runs, approvals")
    print(f"MLflow   http://127.0.0.1:{ports.mlflow}      models, metrics, plots")
    told = folder / ".login-told"
    if told.exists():
        print("Login    printed when first started; kept in airflow/passwords.json of the state folder (mode 0600)")
    else:
        for user, password in airflow_env.passwords(settings).items():
            print(f"Login    {user} / {password}   ({airflow_env.USERS[user]})")
        told.touch()
    print("Stop     make down")


def down(settings: Settings) -> None:
    """Stop every service that was started here, and say which."""
    stopped = []
    for name in commands(settings):
        pid_file = _pid_file(settings, name)
        if not pid_file.exists():
            continue
        pid = int(pid_file.read_text())
        if _alive(pid):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + 15
            while _alive(pid) and time.monotonic() < deadline:
                _reap(pid)
                time.sleep(0.2)
            if _alive(pid):
                os.killpg(pid, signal.SIGKILL)
            stopped.append(name)
        pid_file.unlink()
    print(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def _reap(pid: int) -> None:
    """Collect a child that has ended, when it is ours: a zombie still looks alive."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.services", description=__doc__)
    parser.add_argument("action", choices=["up", "down"])
    action = parser.parse_args().action
    (up if action == "up" else down)(load())


if __name__ == "__main__":
    sys.exit(main())
