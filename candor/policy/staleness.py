"""How long an offer may stay live after its run's instant, by what it is and the rank of its product line: limits.yml, staleness."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from candor.policy import specs
from candor.policy.model import Staleness
from candor.policy.reading import Node, keys, rows

if TYPE_CHECKING:
    from candor.policy.reading import Problems

FILE = "limits.yml"
KINDS = ("education", "promotions")


def read_staleness(node: Node | None, problems: Problems) -> tuple[Staleness, ...]:
    """The limits, by kind and from the lowest rank up. A kind without a row from rank 0, or a limit that grows with rank or stress, is a problem."""
    if node is None:
        return ()
    listed: Any = node.get("staleness")
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get("staleness"), "staleness", complaint)
        return ()
    sound = [
        row for row in listed if keys(row, specs.STALENESS, file=FILE, where=f"staleness {_named(row)}", problems=problems)
    ]
    if len(sound) < len(listed):
        return ()
    sound.sort(key=lambda row: (row["offers"], row["from_rank"]))
    for row in sound:
        _check_row(row, problems)
    by_kind = {kind: list(some) for kind, some in groupby(sound, key=lambda row: str(row["offers"]))}
    for kind in KINDS:
        if not any(row["from_rank"] == 0 for row in by_kind.get(kind, ())):
            problems.add(FILE, node.lines.get("staleness"), "staleness", f"{kind} need a row from rank 0")
        for lower, higher in pairwise(by_kind.get(kind, ())):
            _check_steps(lower, higher, problems)
    return tuple(
        Staleness(row["offers"] == "promotions", row["from_rank"], row["hours"], row["hours_stressed"]) for row in sound
    )


def of_rank(limits: Iterable[Staleness], rank: int) -> list[Staleness]:
    """The limit of education and that of promotions of lines of `rank`: of each the row with the greatest from_rank not above it."""
    holding = {row.is_promotion: row for row in sorted(limits, key=lambda row: row.from_rank) if row.from_rank <= rank}
    return [holding[kind] for kind in sorted(holding)]


def _named(row: Node) -> str:
    return f"{row.get('offers', '?')} from rank {row.get('from_rank', '?')}"


def _check_row(row: Node, problems: Problems) -> None:
    where = f"staleness {_named(row)}"
    if row["from_rank"] < 0:
        problems.add(FILE, row.lines["from_rank"], where, f"from_rank must be at least 0, is {row['from_rank']}")
    if not 1 <= row["hours_stressed"] <= row["hours"]:
        problems.add(
            FILE,
            row.lines["hours_stressed"],
            where,
            f"hours_stressed must be from 1 to its hours, {row['hours']}, is {row['hours_stressed']}",
        )


def _check_steps(lower: Node, higher: Node, problems: Problems) -> None:
    where = f"staleness {_named(higher)}"
    if lower["from_rank"] == higher["from_rank"]:
        problems.add(FILE, higher.line, where, f"is there twice (first in line {lower.line})")
    for name in ("hours", "hours_stressed"):
        if higher[name] > lower[name]:
            problems.add(
                FILE,
                higher.lines[name],
                where,
                f"{name} must not grow with rank: {higher[name]}, but {lower[name]} from rank {lower['from_rank']}",
            )
