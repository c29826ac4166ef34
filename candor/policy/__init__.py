"""The rules as data: loaded and checked as a whole, kept per run, compiled on one path to set-wise SQL."""

from candor.policy.loading import load
from candor.policy.model import Policy
from candor.policy.store import dbt_vars, explain, for_run, install, retention_of, snapshot

__all__ = ["Policy", "dbt_vars", "explain", "for_run", "install", "load", "retention_of", "snapshot"]
