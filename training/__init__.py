"""How a model is made: examples, fit, evaluate, register as candidate; `training.promote` decides."""

from __future__ import annotations

from training.train import run

__all__ = ["run"]
