"""What is left of files of the ledger that were dropped when their period was over: their hashes, and when they went under which period.

`<state>/published/chain/dropped/000001-<run_id>.json`. Anybody who can write the state folder can write one, so a tombstone is believed no further
than others can say the same of it: the entry holds the hashes, the entry's instant and the policies of the published runs say from when a file
could go, and the clock of the reader says whether that was before now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.ledger.files import digest

if TYPE_CHECKING:
    from candor.ledger.chain import Entry
    from candor.settings import Settings

SCHEMA = "candor-ledger-dropped/1"
RECORD_CLASS = "decision_log"


@dataclass(frozen=True)
class Tombstones:
    """The tombstones beside a chain, read with what is known beside them.

    `at` is the instant at which they are read: none is believed that says it was put down later; without it that is not asked.
    """

    settings: Settings
    entries: tuple[Entry, ...]
    at: datetime | None = None

    def path(self, entry: Entry) -> Path:
        """Where the tombstone of an entry is, if it has one."""
        return self.settings.published_dir / "chain" / "dropped" / f"{entry.sequence:06}-{entry.run_id}.json"

    def files(self, entry: Entry) -> dict[str, str]:
        """The files of the entry that were dropped in time, with their hashes; none when no tombstone that is believed says so."""
        if not self.path(entry).is_file():
            return {}
        from candor.policy.retention import months_from

        try:
            said = json.loads(self.path(entry).read_text(encoding="utf-8"))
            files = {str(key): str(value) for key, value in said["files"].items()}
            dropped = datetime.fromisoformat(said["dropped_as_of"].replace("Z", "+00:00")).astimezone(UTC)
            is_whole = said["hash"] == _hash(said) and said["schema"] == SCHEMA
            is_of_entry = said["entry"] == entry.hash and all(entry.files.get(key) == value for key, value in files.items())
            months = int(said["months"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}
        if self.shortest is None or months < self.shortest or (self.at is not None and dropped > self.at):
            return {}
        is_due = entry.instant().replace(tzinfo=None) <= months_from(dropped.replace(tzinfo=None), -months)
        return files if is_whole and is_of_entry and is_due else {}

    @cached_property
    def shortest(self) -> int | None:
        """The shortest period, in months, of the policy in force and of those of all published runs; None: none of them lets the log go."""
        return min((months for months in self._periods.values() if months is not None), default=None)

    def longest(self, months: int) -> int | None:
        """How long the log is kept by a policy in force that says `months`: as long as the last published run's says, if that is longer.

        None: indefinitely. So a shorter period counts from the first run that is published under it, and `shortest` knows of it for good.
        """
        if not self.entries or (version := self.entries[-1].policy_version) not in self._periods:
            return months
        before = self._periods[version]
        return None if before is None else max(before, months)

    @cached_property
    def _periods(self) -> dict[str | None, int | None]:
        """Months by version of policy; None is the one in force. One whose snapshot is gone, or was edited, is left out."""
        from candor import policy

        found: dict[str | None, int | None] = {}
        for version in (None, *sorted({entry.policy_version for entry in self.entries})):
            classes = policy.retention_of(self.settings, version)
            if classes is not None:
                of_log = [one.months for one in classes if one.name == RECORD_CLASS and not one.legal_hold]
                found[version] = of_log[0] if of_log else None
        return found

    def put(self, entry: Entry, files: Mapping[str, str], *, as_of: datetime, months: int) -> None:
        """The tombstone of the entry names these files too, on the disk before this returns."""
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "sequence": entry.sequence,
            "run_id": entry.run_id,
            "entry": entry.hash,
            "files": {**self.files(entry), **files},
            "dropped_as_of": f"{as_of.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "record_class": RECORD_CLASS,
            "months": months,
        }
        content["hash"] = _hash(content)
        path = self.path(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())  # before a file goes: without it the chain would be broken
        os.replace(fresh, path)


def _hash(content: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in content.items() if name != "hash"})
