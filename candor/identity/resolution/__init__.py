"""Who is who among records without a common key: probabilistic linkage, learned from the records themselves, scored by Splink.

`resolve(tables)` is the library's door, `candor identity resolve` the command's (`command.py`). The rooms, in order: `columns` (what a column
means), `reading`, `standardise`, `blocking` (which pairs), `evidence` (how they compare), `learning` (what that is worth), `model` (as Splink's
own), `clustering` (persons), `persons` (all of it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


def resolve(
    tables: Mapping[str, pyarrow.Table],
    *,
    threshold: float = 0.5,
    unique_sources: Sequence[str] | None = None,
    saved: Path | None = None,
    seed: int = 1,
    threads: int = 2,
) -> pyarrow.Table:
    """source, record_id, person_id, probability: every record of every table once. See persons.resolve for what the arguments mean."""
    from candor.identity.resolution import persons

    return persons.resolve(
        tables, threshold=threshold, unique_sources=unique_sources, saved=saved, seed=seed, threads=threads
    ).table
