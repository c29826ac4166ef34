"""Publishing: what was decided and audited becomes what channels read, whole or not at all.

The only code that writes offers to the serving store. `run` may be killed anywhere and called again.
"""

from candor.hashing import keyed_hash
from candor.publishing.publish import KEPT_RUNS, run
from candor.publishing.staged import staged_hash
from candor.publishing.store import list_runs

__all__ = ["KEPT_RUNS", "keyed_hash", "list_runs", "run", "staged_hash"]
