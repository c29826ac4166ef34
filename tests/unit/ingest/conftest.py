"""A landing folder of one test, and a way to run ingest on it without a policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from candor import ingest, runs, settings, warehouse
from candor.ingest.report import report

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
DELIVERY = "2026-11-23T143000Z"


@dataclass
class Shop:
    """The state folder of a test and what the last ingest found."""

    settings: settings.Settings
    found: dict[str, Any] = field(default_factory=dict)

    def deliver(self, table: str, name: str = DELIVERY, *, manifest: Any = None, **files: Any) -> Path:
        """Write a delivery; `files` are named like `part_csv`, texts or bytes or a function that writes to a path."""
        source, table_name = table.split(".")
        folder = self.settings.landing_dir / source / table_name / name
        folder.mkdir(parents=True, exist_ok=True)
        for key, content in files.items():
            stem, _, suffix = key.rpartition("_")
            path = folder / f"{stem}.{suffix}"
            if callable(content):
                content(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if manifest is not None:
            (folder / "_manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
        return folder

    def ingest(self, as_of: datetime = AS_OF, look: Callable[[Any], Any] | None = None, **options: Any) -> Any:
        """Land, pin and install the views; the report, or what `look(connection)` gives."""
        with warehouse.connect(self.settings, restricted=True) as connection:
            landed = ingest.land(connection, self.settings, as_of, **options)
            run = runs.pin(connection, as_of, policy_version="p1")
            ingest.install_views(connection, self.settings, run)
            self.found = report(connection, self.settings, run, landed)
            return self.found if look is None else look(connection)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What the warehouse holds, without another ingest."""
        with warehouse.connect(self.settings, restricted=True) as connection:
            return connection.execute(sql).fetchall()

    def rows(self, sql: str, as_of: datetime = AS_OF) -> list[tuple[Any, ...]]:
        """What the warehouse holds after an ingest."""
        return self.ingest(as_of, lambda connection: connection.execute(sql).fetchall())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(settings.load({"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_MEMORY_LIMIT": "1GB"}))
