"""Which person_ids were erased: all that is still known of those people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candor.settings import Settings


def path(settings: Settings) -> Path:
    """Where the list is."""
    return settings.state_dir / "erasures" / "erased.json"


def erased_people(settings: Settings) -> dict[str, str]:
    """{person_id: since when it is nobody's}."""
    file = path(settings)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
