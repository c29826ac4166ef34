"""Ingest: what sources delivered becomes raw rows, each delivery and content once, every row counted.

`run` is the stage. `read_delivery` parses one folder without the warehouse; `trace` resolves a row hash to file and line.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor.ingest.delivery import Delivery, read_delivery
from candor.ingest.landing import land
from candor.ingest.tracing import Trace, trace
from candor.ingest.views import install_views

if TYPE_CHECKING:
    from candor.settings import Settings

__all__ = ["Delivery", "Trace", "install_views", "land", "read_delivery", "run", "trace"]


def run(as_of: datetime, settings: Settings | None = None, *, full_refresh: bool = False) -> dict[str, Any]:
    """Counts of what the run of `as_of` is built from, after landing what is new and pinning it.

    `full_refresh` reads the files of every delivery again instead of trusting their size and time. What was pinned to
    `as_of` before stays pinned.
    """
    from candor import policy, runs, silos, warehouse
    from candor import settings as settings_module
    from candor.ingest.report import report

    settings = settings or settings_module.load()
    with warehouse.connect(settings, restricted=True) as connection:
        landed = land(connection, settings, as_of, full_refresh=full_refresh)
        policy_version = policy.snapshot(settings)
        this_run = runs.pin(connection, as_of, policy_version=policy_version)
        install_views(connection, settings, this_run)
        policy.install(connection, settings, this_run)
        silos.write(connection, this_run)
        return {**report(connection, settings, this_run, landed), "silos_behind": silos.behind(connection)}
