"""What config.yml and features.yml say, read once and checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from candor.errors import UsageError

HERE = Path(__file__).resolve().parent
STATUSES = ("allowed", "derived_only", "forbidden", "bookkeeping")


@dataclass(frozen=True)
class Column:
    """One entry of the registry."""

    name: str
    status: str
    source: str | None
    kind: str
    sensitivity: int
    absent: float | None


@dataclass(frozen=True)
class Registry:
    """Which columns a model may read."""

    columns: dict[str, Column]
    forbidden_words: tuple[str, ...]

    @property
    def allowed(self) -> list[Column]:
        """The features, in the registry's order, which is the order of the model's inputs."""
        return [column for column in self.columns.values() if column.status == "allowed"]

    def why_refused(self, name: str) -> str | None:
        """Why `name` may not be a feature, or None when it may."""
        column = self.columns.get(name)
        if column is not None:
            return None if column.status == "allowed" else f"{name}: {column.status}"
        words = [word for word in self.forbidden_words if word in name]
        return f"{name}: forbidden (its name holds {words[0]!r})" if words else f"{name}: not registered"


@cache
def config() -> dict[str, Any]:
    """training/config.yml."""
    return yaml.safe_load((HERE / "config.yml").read_text(encoding="utf-8"))


@cache
def registry() -> Registry:
    """training/features.yml. Raises UsageError naming every entry that cannot be used."""
    raw = yaml.safe_load((HERE / "features.yml").read_text(encoding="utf-8"))
    problems = []
    columns = {}
    for name, entry in raw["columns"].items():
        status = entry.get("status")
        if status not in STATUSES:
            problems.append(f"{name}: status {status!r} is none of {', '.join(STATUSES)}")
        if status == "allowed" and not {"from", "type", "sensitivity", "purpose"} <= set(entry):
            problems.append(f"{name}: an allowed column needs from, type, sensitivity and purpose")
        if status == "allowed" and entry.get("sensitivity", 3) > 2:
            problems.append(f"{name}: sensitivity 3 cannot be allowed")
        columns[name] = Column(
            name, str(status), entry.get("from"), entry.get("type", "number"), entry.get("sensitivity", 0), entry.get("absent")
        )
    if problems:
        raise UsageError("training/features.yml:\n" + "\n".join(problems), hint="the head of the file says what an entry needs")
    return Registry(columns, tuple(raw["forbidden_words"]))
