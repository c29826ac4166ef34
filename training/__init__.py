"""How a model is made: examples, fit, evaluate, register as candidate; `training.promote` decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from candor.settings import Settings

__all__ = ["run"]


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """See `training.train.run`, which is imported only when something is trained: the registry of features is read more often."""
    from training import train

    return train.run(as_of, settings)
