"""Runs and erasures keep each other out: a stage and an erasure are never at work together."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import UsageError

if TYPE_CHECKING:
    from candor.settings import Settings


def folder(settings: Settings) -> Path:
    """Where plans and restricted reports of erasures are."""
    return settings.restricted_dir / "erasures"


def plans(settings: Settings) -> list[Path]:
    """The erasures that were begun and not proven yet."""
    return sorted(folder(settings).glob("plan-*")) if folder(settings).is_dir() else []


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Keep runs out while an erasure is at work. Raises UsageError when one is going on."""
    with _locked(settings, fcntl.LOCK_EX):
        yield


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Keep erasures out while a run is at work. Raises UsageError while one is, or when one was killed and not gone on with."""
    with _locked(settings, fcntl.LOCK_SH):
        if plans(settings):
            raise UsageError(
                "an erasure stopped in the middle",
                hint="candor erase --as-of … goes on with it; until then nothing may be built",
            )
        yield


@contextmanager
def _locked(settings: Settings, how: int) -> Iterator[None]:
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    with (settings.tmp_dir / "run.lock").open("a") as held:
        try:
            fcntl.flock(held, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "a run is going on" if how == fcntl.LOCK_EX else "an erasure is going on"
            raise UsageError(what, hint="try again when it has ended") from error
        yield
