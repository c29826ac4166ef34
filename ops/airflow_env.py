"""Airflow's environment for this checkout: loopback only, its state under the state folder."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from candor.settings import PROJECT_ROOT, Settings, as_variables


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen, on 127.0.0.1."""

    airflow: int = 18080
    mlflow: int = 15000


USERS = {"admin": "admin", "compliance": "user", "looker": "viewer"}


def executable(name: str) -> str:
    """The path of a command of this virtual environment."""
    return str(Path(sys.executable).parent / name)


def kept(path: Path, make: Callable[[], str]) -> str:
    """The text of `path`, written once by `make()` with mode 0600."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(make())
    return path.read_text(encoding="utf-8")


def passwords(settings: Settings) -> dict[str, str]:
    """The logins of the Airflow UI, made once."""
    text = kept(
        settings.state_dir / "airflow" / "passwords.json",
        lambda: json.dumps({name: secrets.token_urlsafe(12) for name in USERS}),
    )
    return json.loads(text)


def environment(settings: Settings, ports: Ports = Ports()) -> dict[str, str]:
    """What every Airflow process needs, over the present environment."""
    home = settings.state_dir / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    secret_dir = settings.state_dir / "secrets"
    passwords(settings)
    url = f"http://127.0.0.1:{ports.airflow}"
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "true",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": kept(secret_dir / "airflow_api", lambda: secrets.token_hex(32)),
        "AIRFLOW__API_AUTH__JWT_SECRET": kept(secret_dir / "airflow_jwt", lambda: secrets.token_hex(64)),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "30",
        **as_variables(settings),
        "DBT_USE_COLORS": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONPATH": str(PROJECT_ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def prepare(settings: Settings, ports: Ports = Ports()) -> dict[str, str]:
    """Airflow's database and the one-slot pool, made if missing; gives the environment."""
    env = environment(settings, ports)
    marker = settings.state_dir / "airflow" / ".prepared"
    if not marker.exists():
        for command in (
            ["db", "migrate"],
            ["pools", "set", "warehouse", "1", "one process at a time may hold the DuckDB files"],
        ):
            done = subprocess.run([executable("airflow"), *command], env=env, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise SystemExit(f"airflow {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        marker.touch()
    return env
