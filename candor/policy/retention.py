"""policy/retention.yml read and checked: how long each class of record is kept."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from candor.contract import load as load_contract
from candor.policy import specs
from candor.policy.reading import Node, Problems, keys, rows, schema

FILE = "retention.yml"
# What the product makes itself, and keeps for a time; every other class must say which landed tables it is of.
MADE = ("decision_log", "features_and_scores", "suppression")


@dataclass(frozen=True)
class RecordClass:
    """One class of record and its period."""

    name: str
    months: int | None  # None: indefinitely
    begins_at_end: bool  # of the relationship, else at the row's own instant
    legal_hold: bool
    tables: tuple[str, ...]
    kinds: tuple[str, ...]  # of the tables that have a kind; none: all
    basis: str
    owner: str

    def until(self, since: datetime) -> datetime | None:
        """When the period that began at `since` ends; None: never."""
        return None if self.months is None else months_from(since, self.months)


def months_from(since: datetime, months: int) -> datetime:
    """So many calendar months after `since`, or before it; the last day of a month that is too short."""
    year, month = divmod(since.year * 12 + since.month - 1 + months, 12)
    return since.replace(year=year, month=month + 1, day=min(since.day, calendar.monthrange(year, month + 1)[1]))


def read_retention(node: Node | None, owners: set[str], problems: Problems) -> tuple[RecordClass, ...]:
    """The classes in the order of the file. Without the file nothing is on legal hold and nothing has a period."""
    if node is None:
        return ()
    schema(node, FILE, "retention/1", {"retention"}, problems)
    listed: Any = node.get("retention")
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get("retention"), "retention", complaint)
        return ()
    landed = {table.full_name for table in load_contract().tables}
    made: list[RecordClass] = []
    for row in listed:
        where = str(row.get("record_class", "a class"))
        if not keys(row, specs.RETENTION, file=FILE, where=where, problems=problems):
            continue
        if row["months"] is not None and row["months"] < 1:
            problems.add(
                FILE, row.lines["months"], where, f"months must be at least 1, or null for indefinitely, is {row['months']}"
            )
        for table in row["tables"]:
            if table not in landed:
                problems.add(FILE, row.lines["tables"], where, f"{table!r} is no table of the landing contract")
        if not row["tables"] and where not in MADE:
            problems.add(FILE, row.lines["tables"], where, f"must name landed tables; only {', '.join(MADE)} are made here")
        if row["legal_hold"] and not row["tables"]:
            problems.add(FILE, row.lines["legal_hold"], where, "only what was landed can be held apart from it")
        if row["owner"] not in owners:
            problems.add(FILE, row.lines["owner"], where, f"owner {row['owner']!r} is none of {', '.join(sorted(owners))}")
        if where in {one.name for one in made}:
            problems.add(FILE, row.line, where, "stands twice")
        made.append(
            RecordClass(
                where, row["months"], row["begins"] == "end", row["legal_hold"], tuple(row["tables"]), tuple(row["kinds"]),
                row["basis"], row["owner"],
            )
        )  # fmt: skip
    return tuple(made)
