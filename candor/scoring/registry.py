"""The MLflow registry as Candor uses it: versions of one model, found by their tags.

An alias is shown to people and never relied on: anybody who can edit may move one.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from candor.errors import CandorError
from candor.scoring import artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

    from candor.settings import Settings

NAME = "offer_model"
FOLDER = "offer_model"  # where a run keeps the model's files


@dataclass(frozen=True)
class Registered:
    """One version in the registry."""

    number: int
    model_version: str
    run_id: str
    train_as_of: datetime
    promoted_for: datetime | None


def client(settings: Settings) -> MlflowClient:
    """A client of the configured store, without MLflow's telemetry and chatter."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    settings.mlflow_dir.mkdir(parents=True, exist_ok=True)
    _make_store(settings.mlflow_tracking_uri)
    return MlflowClient(tracking_uri=settings.mlflow_tracking_uri, registry_uri=settings.mlflow_tracking_uri)


def _make_store(uri: str) -> None:
    """Give MLflow's SQLite file its tables beside its place, then put it there whole.

    MLflow makes its tables one by one, and refuses a file that has some of them: a kill in between would end every later run.
    """
    from mlflow import MlflowClient

    prefix = "sqlite:///"
    path = Path(uri.removeprefix(prefix))
    if not uri.startswith(prefix) or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)  # of a killed process that had the same number
    MlflowClient(tracking_uri=f"{prefix}{beside}", registry_uri=f"{prefix}{beside}").search_experiments(max_results=1)
    try:
        os.link(beside, path)  # the first of two racing processes wins
    except FileExistsError:
        pass
    finally:
        beside.unlink()


def instant_text(instant: datetime) -> str:
    """An instant as kept in tags: UTC, ISO 8601, ends in Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def versions(mlflow_client: MlflowClient) -> list[Registered]:
    """All versions that training registered, oldest number first."""
    found = []
    token = None
    while True:
        page = mlflow_client.search_model_versions(f"name = '{NAME}'", max_results=200, page_token=token)
        for version in page:
            tags = version.tags
            # a version that somebody registered by hand has no such tags, and is no model of ours
            if "model_version" in tags and "train_as_of" in tags and "training_run_id" in tags:
                promoted = _instant(tags["promoted_for"]) if tags.get("promoted") == "true" else None
                found.append(
                    Registered(
                        int(version.version),
                        tags["model_version"],
                        tags["training_run_id"],
                        _instant(tags["train_as_of"]),
                        promoted,
                    )
                )
        token = page.token
        if not token:
            return sorted(found, key=lambda version: version.number)


def champion_before(known: list[Registered], as_of: datetime) -> Registered | None:
    """The version promoted last from a training strictly earlier than `as_of`, or None."""
    eligible = [version for version in known if version.promoted_for is not None and version.train_as_of < as_of]
    return max(eligible, key=lambda version: (version.promoted_for, version.train_as_of, version.number), default=None)


@contextmanager
def fetched(mlflow_client: MlflowClient, version: Registered) -> Iterator[artifact.Model]:
    """The version's model, its bytes checked against the registered hash."""
    with TemporaryDirectory() as folder:
        yield artifact.load(download(mlflow_client, version, Path(folder)), version=version.model_version)


def download(mlflow_client: MlflowClient, version: Registered, into: Path) -> Path:
    """The folder with the version's files. Raises CandorError when the store has lost them."""
    from mlflow.exceptions import MlflowException

    try:
        return Path(mlflow_client.download_artifacts(version.run_id, FOLDER, str(into)))
    except (MlflowException, OSError) as error:
        raise CandorError(
            f"the files of model {version.model_version[:12]} (version {version.number} of {NAME}) cannot be read: {error}",
            hint="restore the artifact store of MLflow, or train and promote again",
        ) from error
