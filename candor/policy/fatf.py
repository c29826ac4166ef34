"""policy/fatf.yml read and checked: which countries the FATF lists, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from candor.policy import specs
from candor.policy.reading import Node, Problems, instant, keys, rows, schema

FILE = "fatf.yml"
FOREVER = datetime(9999, 1, 1)  # noqa: DTZ001  naive UTC, as in the whole warehouse


@dataclass(frozen=True)
class FatfList:
    """One list as one plenary left it."""

    name: str  # CFA | IM
    valid_from: datetime  # UTC, naive
    valid_to: datetime
    countries: tuple[str, ...]
    source: str


def read_fatf(node: Node | None, problems: Problems) -> tuple[FatfList, ...]:
    """The lists in the order of the file. Without the file there are none, so that nobody's standing is known."""
    if node is None:
        return ()
    schema(node, FILE, "fatf-lists/1", {"lists"}, problems)
    listed: Any = node.get("lists")
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get("lists"), "lists", complaint)
        return ()
    made: list[FatfList] = []
    for row in listed:
        where = f"{row.get('list', '?')} from {row.get('from', '?')}"
        if not keys(row, specs.FATF, file=FILE, where=where, problems=problems):
            continue
        for country in row["countries"]:
            if not re.fullmatch("[A-Z]{2}", country):
                problems.add(FILE, row.lines["countries"], where, f"a country is two capitals (ISO 3166-1), is {country!r}")
        one = FatfList(
            row["list"],
            instant(row["from"]),
            FOREVER if row["to"] is None else instant(row["to"]),
            tuple(row["countries"]),
            row["source"],
        )
        if one.valid_from >= one.valid_to:
            problems.add(FILE, row.lines["to"], where, f"to {row['to']!r} must be later than from {row['from']!r}")
        for other in made:
            if other.name == one.name and other.valid_from < one.valid_to and one.valid_from < other.valid_to:
                problems.add(FILE, row.line, where, f"holds at the same time as {other.name} from {other.valid_from:%Y-%m-%d}")
        made.append(one)
    return tuple(made)
