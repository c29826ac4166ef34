"""A day under a real scheduler: three services on loopback, one task one process, the warehouse pool in force."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from candor.settings import PROJECT_ROOT, load
from ops import airflow_env, services
from ops.airflow_env import Ports

WAIT_SECONDS = 420
BEFORE = "2026-11-22T15:00:00Z"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Api:
    """Calls of Airflow's API as one user."""

    def __init__(self, ports: Ports, user: str, password: str) -> None:
        self.base = f"http://127.0.0.1:{ports.airflow}"
        self.token: str | None = None
        self.token = self("POST", "/auth/token", {"username": user, "password": password})["access_token"]

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        request = urllib.request.Request(
            self.base + path, method=method, headers=headers, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")


def _listening_outside_loopback(ports: Ports) -> list[str]:
    """Addresses other than 127.0.0.1 on which one of our ports, or a log server's, is open."""
    wanted = {ports.airflow, ports.mlflow, 8793, 8794}
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host, port = address.rsplit(":", 1)
            if state == "0A" and int(port, 16) in wanted and host != "0100007F":
                found.append(address)
    return found


@pytest.fixture
def scheduler(simulated: Path, tmp_path: Path):
    ports = Ports(_free_port(), _free_port())
    settings = load(
        {
            "CANDOR_STATE_DIR": str(tmp_path / "state"),
            "CANDOR_LANDING_DIR": str(simulated / "landing"),
            "CANDOR_POLICY_DIR": str(PROJECT_ROOT / "policy"),
            "CANDOR_HASH_KEY": "0" * 64,
            "CANDOR_MEMORY_LIMIT": "4GB",
        }
    )
    services.up(settings, ports, wait_seconds=120)
    try:
        yield settings, ports
    finally:
        services.down(settings)


def test_a_triggered_day_runs_to_its_report_and_nothing_listens_outside_loopback(scheduler):
    settings, ports = scheduler
    assert _listening_outside_loopback(ports) == []
    passwords = airflow_env.passwords(settings)
    assert oct((settings.state_dir / "airflow" / "passwords.json").stat().st_mode)[-3:] == "600"

    api = Api(ports, "admin", passwords["admin"])
    assert {dag["dag_id"] for dag in api("GET", "/api/v2/dags")["dags"]} == {
        "daily_offers",
        "train_offer_model",
        "apply_revocations",
        "review_decisions",
    }
    # Triggered before it is unpaused: the scheduled run that unpausing brings then waits behind this one.
    run = api("POST", "/api/v2/dags/daily_offers/dagRuns", {"logical_date": None, "conf": {"as_of": BEFORE}})
    api("PATCH", "/api/v2/dags/daily_offers", {"is_paused": False})
    path = f"/api/v2/dags/daily_offers/dagRuns/{run['dag_run_id']}"
    deadline = time.monotonic() + WAIT_SECONDS
    while (state := api("GET", path)["state"]) not in ("success", "failed") and time.monotonic() < deadline:
        time.sleep(2)
    states = {
        task["task_id"].rpartition(".")[2]: task["state"] for task in api("GET", f"{path}/taskInstances")["task_instances"]
    }
    assert state == "success", states
    assert states["gate_features"] == "success"
    assert states["champion"] == "success"
    assert states["publish"] == "skipped", "without a champion nothing may be published"
    assert states["report"] == "success"
    reported = [json.loads(path.with_name("run.json").read_text()) for path in settings.reports_dir.glob("*/index.html")]
    assert "2026-11-22T15:00:00" in [run["as_of"] for run in reported]
