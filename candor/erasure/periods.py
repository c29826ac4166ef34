"""How long each class of record is kept, from policy/retention.yml, held to what it must say when it is loaded."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from candor.contract import load as load_contract
from candor.errors import PolicyError

FILE = "retention.yml"
FIELDS = {"keep", "from", "legal_hold", "then", "basis", "owner"}
OPTIONAL = {"tables", "kinds"}


@dataclass(frozen=True)
class RecordClass:
    """One class of record and its period."""

    name: str
    months: int | None  # how long it is kept; None: indefinitely
    from_end: bool  # from the end of the relationship, else from the row's own instant
    legal_hold: bool
    tables: tuple[str, ...]
    kinds: tuple[str, ...]  # of the tables that have a kind; none: all
    basis: str
    owner: str

    def until(self, since: datetime) -> datetime | None:
        """When the period that began at `since` ends; None: never."""
        if self.months is None:
            return None
        year, month = divmod(since.year * 12 + since.month - 1 + self.months, 12)
        return since.replace(year=year, month=month + 1, day=min(since.day, calendar.monthrange(year, month + 1)[1]))


def load(policy_dir: Path) -> dict[str, RecordClass]:
    """The classes by name. Raises PolicyError with every problem of the file at once."""
    path = policy_dir / FILE
    if not path.is_file():
        raise PolicyError(f"{FILE} is missing", hint="it says how long each class of record is kept")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return parse(content)


def parse(content: Any) -> dict[str, RecordClass]:
    """The classes that the file's content says. Raises PolicyError with every problem at once."""
    if not isinstance(content, dict) or set(content) != {"classes"} or not isinstance(content["classes"], dict):
        raise PolicyError(f"{FILE} must have `classes`, by name, and nothing else")
    problems: list[str] = []
    found = {name: _class(name, given, problems) for name, given in content["classes"].items()}
    if problems:
        raise PolicyError(f"{FILE}: " + "; ".join(problems), hint="its head says what each field means")
    return {name: one for name, one in found.items() if one is not None}


def _class(name: str, given: Any, problems: list[str]) -> RecordClass | None:
    if not isinstance(given, dict):
        problems.append(f"{name} is no class")
        return None
    before = len(problems)
    problems += [f"{name} lacks {field}" for field in sorted(FIELDS - set(given))]
    problems += [f"{name} has an unknown field {field}" for field in sorted(set(given) - FIELDS - OPTIONAL)]
    keep = _period(given.get("keep"))
    if "keep" in given and keep is None and given["keep"] != "indefinitely":
        problems.append(f"{name}: keep is no period: {given['keep']!r} (5 years, 13 months, indefinitely)")
    if given.get("from") not in (None, "known", "end"):
        problems.append(f"{name}: from is {given['from']!r}, not known or end")
    if given.get("then") not in (None, "delete"):
        problems.append(f"{name}: then is {given['then']!r}, not delete")
    if "legal_hold" in given and not isinstance(given["legal_hold"], bool):
        problems.append(f"{name}: legal_hold is {given['legal_hold']!r}, not true or false")
    known = {table.full_name for table in load_contract().tables}
    problems += [f"{name}: {table!r} is no landed table" for table in given.get("tables", ()) if table not in known]
    problems += [f"{name} has no {field}" for field in ("basis", "owner") if field in given and not given[field]]
    if given.get("legal_hold") is True and not given.get("tables"):
        problems.append(f"{name} is on legal hold and names no tables")
    if len(problems) > before:
        return None
    return RecordClass(
        name,
        keep,
        given["from"] == "end",
        given["legal_hold"],
        tuple(given.get("tables", ())),
        tuple(given.get("kinds", ())),
        str(given["basis"]),
        str(given["owner"]),
    )


def _period(text: Any) -> int | None:
    """So many months; None for what is no period."""
    found = re.fullmatch(r"([1-9]\d*) (year|month)s?", str(text))
    return None if found is None else int(found.group(1)) * (12 if found.group(2) == "year" else 1)
