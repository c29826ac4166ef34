"""A dbt project with our scaffolding and no models, and a warehouse with one run."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from candor import runs, settings, warehouse
from candor.settings import Settings

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


def scaffolding(project: Path) -> None:
    """Make the project: its settings, and those of our macros that every run needs."""
    ours = settings.PROJECT_ROOT / "dbt_project"
    (project / "macros").mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ours / name, project / name)
    for name in ("run.sql", "generate_schema_name.sql", "functions.sql", "test_key.sql"):
        shutil.copy(ours / "macros" / name, project / "macros" / name)


def pin_a_run(loaded: Settings) -> None:
    """The run of AS_OF, which knows one delivery."""
    with warehouse.connect(loaded) as connection:
        runs.prepare(connection)
        connection.execute(
            "insert into state.deliveries values "
            "('d', 's', 't', 'x', timestamp '2026-11-23', 'h', 1, 0, 0, 0, true, null, null, 'segment')"
        )
        runs.pin(connection, AS_OF, policy_version="p")
