"""The only reader of environment variables.

`load()` gives a frozen `Settings`, or raises one `SettingsError` that lists every problem at once.
`.env.example` documents every variable; a `.env` file beside it is read too (the environment wins).
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from candor.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Where things are and how much of the machine may be used. Every path is absolute."""

    state_dir: Path
    landing_dir: Path
    policy_dir: Path
    serving_url: str = field(repr=False)  # may hold a password
    mlflow_tracking_uri: str
    hash_key: str = field(repr=False)
    threads: int
    memory_limit: str
    shop: str

    @property
    def serving_place(self) -> str:
        """The serving store, to be shown: without its password."""
        return without_password(self.serving_url)

    @property
    def raw_dir(self) -> Path:
        return self.state_dir / "raw"

    @property
    def restricted_dir(self) -> Path:
        return self.state_dir / "restricted"

    @property
    def restricted_raw_dir(self) -> Path:
        return self.restricted_dir / "raw"

    @property
    def quarantine_dir(self) -> Path:
        return self.state_dir / "quarantine"

    @property
    def restricted_quarantine_dir(self) -> Path:
        return self.restricted_dir / "quarantine"

    @property
    def warehouse_path(self) -> Path:
        return self.state_dir / "warehouse" / "candor.duckdb"

    @property
    def vault_path(self) -> Path:
        return self.restricted_dir / "warehouse" / "compliance.duckdb"

    @property
    def published_dir(self) -> Path:
        return self.state_dir / "published"

    @property
    def restricted_published_dir(self) -> Path:
        return self.restricted_dir / "published"

    @property
    def reports_dir(self) -> Path:
        return self.state_dir / "reports"

    @property
    def mlflow_dir(self) -> Path:
        return self.state_dir / "mlflow"

    @property
    def dbt_dir(self) -> Path:
        return self.state_dir / "dbt"

    @property
    def tmp_dir(self) -> Path:
        return self.state_dir / "tmp"

    @property
    def mint_key(self) -> str:
        """The key that new person_ids are made with: the hash key until somebody is erased, from then on one drawn anew each time.

        A person_id made with a key that is gone cannot be worked out from an identifier again.
        """
        path = self._mint_key_path
        return path.read_text(encoding="ascii").strip() if path.is_file() else self.hash_key

    def draw_mint_key(self) -> None:
        """Replace the key that person_ids are made with; the old one is gone."""
        path = self._mint_key_path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(32), encoding="ascii")
        os.replace(fresh, path)

    @property
    def _mint_key_path(self) -> Path:
        return self.state_dir / "secrets" / "mint_key"

    @property
    def dbt_project_dir(self) -> Path:
        return PROJECT_ROOT / "dbt_project"


# Variable -> what it is for. `.env.example` is checked against this by a test.
VARIABLES = {
    "CANDOR_STATE_DIR": "folder of everything generated; default: var/ in the project",
    "CANDOR_LANDING_DIR": "folder that sources deliver into; default: <state>/landing",
    "CANDOR_POLICY_DIR": "folder of the rules as data; default: policy/ in the project",
    "CANDOR_SERVING_URL": "serving store: sqlite:///<absolute path> or postgresql://user@host/database; default: <state>/serving/offers.sqlite",
    "CANDOR_MLFLOW_URI": "MLflow tracking and registry; default: sqlite:///<state>/mlflow/mlflow.db",
    "CANDOR_HASH_KEY": "key under which e-mails and phones are hashed for lookups; default: made once, kept in <state>/secrets (0600)",
    "CANDOR_THREADS": "threads of DuckDB and LightGBM; default 2",
    "CANDOR_MEMORY_LIMIT": "DuckDB's memory limit; default 14GB",
    "CANDOR_SHOP": "which product configuration of the policy folder applies; default: crypto",
}


def without_password(url: str) -> str:
    """`url` with any password in it, before the host or among the parameters, as three stars."""
    scheme, separator, rest = url.partition("://")
    authority = re.sub(r"^([^:@/?]*):.*@", r"\1:***@", rest, flags=re.DOTALL)
    return scheme + separator + re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", authority)


def _serving_problem(url: str) -> str | None:
    """What makes a serving URL one that nobody can use; None for one that may be tried."""
    shown = without_password(url)
    if url.startswith("sqlite:////"):
        return None
    if not url.startswith("postgresql://"):
        return f"CANDOR_SERVING_URL must start with sqlite:/// and an absolute path, or postgresql://: {shown}"
    database = url.removeprefix("postgresql://").partition("?")[0].partition("/")[2]
    if not database or re.search(r"\s", url):
        return (
            "CANDOR_SERVING_URL must name a database and have no blanks (in a password: %20), "
            f"as postgresql://user:password@host:5432/database: {shown}"
        )
    return None


def _dotenv(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if line and not line.startswith("#") and "=" in line:
            name, _, value = line.partition("=")
            values[name.strip()] = value.strip().strip('"')
    return values


def _kept_secret(path: Path) -> str:
    """The secret in `path`, made on first use; readable by the owner only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(fresh, path)  # the first of two racing processes wins; both then read the same key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="ascii").strip()


def load(env: dict[str, str] | None = None) -> Settings:
    """Settings from `env` (default: the process environment over `.env`).

    Raises SettingsError naming every bad variable, not only the first.
    """
    given = {**_dotenv(PROJECT_ROOT / ".env"), **os.environ} if env is None else dict(env)
    problems: list[str] = []

    unknown = sorted(name for name in given if name.startswith("CANDOR_") and name not in VARIABLES)
    problems += [f"{name} is not a variable of Candor (known: {', '.join(VARIABLES)})" for name in unknown]

    def folder(name: str, default: Path) -> Path:
        raw = given.get(name)
        if not raw:
            return default
        if not Path(raw).is_absolute():
            problems.append(f"{name} must be an absolute path: {raw}")
        return Path(raw)

    state_dir = folder("CANDOR_STATE_DIR", PROJECT_ROOT / "var")
    landing_dir = folder("CANDOR_LANDING_DIR", state_dir / "landing")
    policy_dir = folder("CANDOR_POLICY_DIR", PROJECT_ROOT / "policy")

    threads_text = given.get("CANDOR_THREADS") or "2"
    threads = 2
    if threads_text.isdecimal() and int(threads_text) > 0:
        threads = int(threads_text)
    else:
        problems.append(f"CANDOR_THREADS must be a whole number above 0: {threads_text}")

    serving_url = given.get("CANDOR_SERVING_URL") or f"sqlite:///{state_dir / 'serving' / 'offers.sqlite'}"
    if problem := _serving_problem(serving_url):
        problems.append(problem)
    mlflow_uri = given.get("CANDOR_MLFLOW_URI") or f"sqlite:///{state_dir / 'mlflow' / 'mlflow.db'}"

    shop = given.get("CANDOR_SHOP") or "crypto"
    if not (policy_dir / "shops" / f"{shop}.yml").is_file():
        problems.append(f"CANDOR_SHOP {shop!r} has no configuration at {policy_dir / 'shops' / f'{shop}.yml'}")

    if problems:
        raise SettingsError("\n".join(problems), hint="see .env.example")
    if not given.get("CANDOR_HASH_KEY") and not (state_dir / "secrets" / "hash_key").is_file():
        _kept_secret(state_dir / "secrets" / "mint_key")  # a new installation: no person_id can be worked out from the hash key
    return Settings(
        state_dir=state_dir,
        landing_dir=landing_dir,
        policy_dir=policy_dir,
        serving_url=serving_url,
        mlflow_tracking_uri=mlflow_uri,
        hash_key=given.get("CANDOR_HASH_KEY") or _kept_secret(state_dir / "secrets" / "hash_key"),
        threads=threads,
        memory_limit=given.get("CANDOR_MEMORY_LIMIT") or "14GB",
        shop=shop,
    )


def as_variables(settings: Settings) -> dict[str, str]:
    """The variables under which another process loads the very same settings."""
    return {
        "CANDOR_STATE_DIR": str(settings.state_dir),
        "CANDOR_LANDING_DIR": str(settings.landing_dir),
        "CANDOR_POLICY_DIR": str(settings.policy_dir),
        "CANDOR_SERVING_URL": settings.serving_url,
        "CANDOR_MLFLOW_URI": settings.mlflow_tracking_uri,
        "CANDOR_HASH_KEY": settings.hash_key,
        "CANDOR_THREADS": str(settings.threads),
        "CANDOR_MEMORY_LIMIT": settings.memory_limit,
        "CANDOR_SHOP": settings.shop,
    }
