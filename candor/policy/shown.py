"""A simulation as people may see it: small numbers hidden, in words and tables, as a page with a chart.

A number of people from 1 to 19 is shown as <20, and what would give it away (the pairs of those people, the number after them, the one other
number that a total would leave) as "…". Compliance sees everything.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from html import escape
from typing import Any

SMALL = 20
FEW, HIDDEN = f"<{SMALL}", "…"
_MOVED = (("gaining", "gained"), ("losing", "lost"))
_NOTE = f"{FEW}: fewer than {SMALL} people; {HIDDEN}: left out, because it would tell such a number. Compliance sees all with --as compliance."


def suppressed(result: dict[str, Any]) -> dict[str, Any]:
    """A copy of the simulation without numbers of fewer than 20 people, and without those that would give them away."""
    made = copy.deepcopy(result)
    for rows in made["by"].values():
        _hide_moves(rows)
    _hide_moves([made["total"]])
    for code in made["codes"]:
        _hide_pair(code)
    if made["served"] is not None:
        _hide_served(made["served"])
    for people, pairs in (
        ("people_ranked_otherwise", "pairs_ranked_otherwise"),
        ("people_timed_otherwise", "pairs_timed_otherwise"),
    ):
        if _is_small(made[people]):
            made[people], made[pairs] = FEW, HIDDEN
    for name in ("people_left_without_anything", "people_who_had_nothing"):
        if _is_small(made[name]):
            made[name] = FEW
    return made


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and 0 < value < SMALL


def _hide_moves(rows: list[dict[str, Any]]) -> None:
    for people, pairs in _MOVED:
        _hide(rows, f"people_{people}", f"pairs_{pairs}")
    _hide(rows, "people_before", "pairs_before")
    for row in rows:
        if any(isinstance(row[f"people_{people}"], str) for people in ("gaining", "losing", "before")):
            row["people_after"] = row["pairs_after"] = HIDDEN
    _hide(rows, "people_after", "pairs_after")


def _hide(rows: list[dict[str, Any]], people: str, count: str) -> None:
    """Hide small numbers of people, their count, and as many others, smallest first, as keep the total from giving them away."""
    numbers = [row for row in rows if isinstance(row[people], int) and row[people]]
    small = [row for row in numbers if _is_small(row[people])]
    others = sorted((row for row in numbers if not _is_small(row[people])), key=lambda row: row[people])
    hidden = sum(row[people] for row in small)
    are_told_by_the_total = len(rows) > 1 and bool(small)
    for row in small:
        row[people], row[count] = FEW, HIDDEN
    if are_told_by_the_total and (len(small) == 1 or hidden < SMALL) and others:
        others[0][people] = others[0][count] = HIDDEN


def _hide_pair(code: dict[str, Any]) -> None:
    before, after = code["people_before"], code["people_after"]
    for when, value in (("before", before), ("after", after)):
        if _is_small(value):
            code[f"people_{when}"], code[f"pairs_{when}"] = FEW, HIDDEN
    if 0 < abs(after - before) < SMALL and not _is_small(after):
        code["people_after"] = code["pairs_after"] = HIDDEN


def _hide_served(served: dict[str, Any]) -> None:
    for rows in (served["by_offer"], [served["total"]]):
        _hide(rows, "people_losing", "falling_away")
        _hide(rows, "people_served", "served")


def is_unchanged(result: dict[str, Any]) -> bool:
    """Whether the policy would change no decision of the run."""
    total = result["total"]
    moved = (total["pairs_gained"], total["pairs_lost"], result["pairs_ranked_otherwise"], result["pairs_timed_otherwise"])
    return not any(moved) and not result["codes"]


def number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def headlines(result: dict[str, Any]) -> list[str]:
    """What the simulation says in a few sentences."""
    total = result["total"]
    told = [
        f"The run of {result['as_of']} ({result['run_id']}, policy {result['policy_before']}) under policy {result['policy_after']}:",
        f"Permitted before: {number(total['pairs_before'])} offers on channels to {number(total['people_before'])} of "
        f"{number(result['people'])} people; after: {number(total['pairs_after'])} to {number(total['people_after'])}.",
        f"{number(total['people_gaining'])} people gain {number(total['pairs_gained'])}, {number(total['people_losing'])} lose "
        f"{number(total['pairs_lost'])}; {number(result['people_left_without_anything'])} are left without anything, "
        f"{number(result['people_who_had_nothing'])} had nothing and get something.",
    ]
    if result["pairs_ranked_otherwise"]:
        told.append(
            f"{number(result['pairs_ranked_otherwise'])} stay, with another penalty, for {number(result['people_ranked_otherwise'])} people."
        )
    if result["pairs_timed_otherwise"]:
        told.append(
            f"{number(result['pairs_timed_otherwise'])} stay, at another time, for {number(result['people_timed_otherwise'])} people."
        )
    if result["served"] is None:
        told.append("The run has published nothing yet, so no served offer can fall away.")
    else:
        served = result["served"]["total"]
        told.append(
            f"Of {number(served['served'])} served offers {number(served['falling_away'])} would not be permitted, "
            f"of {number(served['people_losing'])} people."
        )
    if is_unchanged(result):
        told.append("No decision changes.")
    told += [f"{one['rule']} ({one['codes']}) {one['why']}: it changes nothing here." for one in result["rules_without_effect"]
             if one["rule"] != "the pack"]  # fmt: skip
    told += [f"The pack {one['why']} ({one['codes']})." for one in result["rules_without_effect"] if one["rule"] == "the pack"]
    told += [f"Not simulated: {text}." for text in result["not_simulated"]]
    return told


_MOVES_HEAD = ("pairs before", "after", "gained", "lost", "people before", "after", "gaining", "losing")


def tables(result: dict[str, Any]) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """(title, columns, rows) of each table that has something to show; of the dimensions only rows in which anything moves."""
    made: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = []
    keys = (
        "pairs_before",
        "pairs_after",
        "pairs_gained",
        "pairs_lost",
        "people_before",
        "people_after",
        "people_gaining",
        "people_losing",
    )
    for name, rows in result["by"].items():
        moving = [
            (row["name"], *(number(row[key]) for key in keys)) for row in rows if row["people_gaining"] or row["people_losing"]
        ]
        made.append((f"by {name}", (name, *_MOVES_HEAD), moving))
    codes = [
        (
            row["code"], row["grain"], _appearing(row),
            *(number(row[key]) for key in ("people_before", "people_after", "pairs_before", "pairs_after")),
        )
        for row in result["codes"]
    ]  # fmt: skip
    made.append(("by code", ("code", "grain", "", "people before", "after", "pairs before", "after"), codes))
    if result["served"] is not None:
        served = [
            (row["name"], *(number(row[key]) for key in ("served", "falling_away", "people_losing")))
            for row in result["served"]["by_offer"]
        ]
        made.append(("served offers that would fall away", ("offer", "served", "falling away", "people losing"), served))
    return [one for one in made if one[2]]


def _appearing(row: dict[str, Any]) -> str:
    if row["people_before"] == 0:
        return "appears"
    return "disappears" if row["people_after"] == 0 else ""


def text(result: dict[str, Any], *, all_shown: bool) -> str:
    """The simulation for a terminal."""
    parts = ["\n".join(headlines(result))]
    for title, head, rows in tables(result):
        lines = [head, *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        words = sum(1 for name in head if name in ("code", "grain", "")) or 1
        parts.append(
            "\n".join(
                [title]
                + [
                    "  " + "  ".join(
                        cell.ljust(width) if column < words else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
                    ).rstrip()
                    for line in lines
                ]
            )
        )  # fmt: skip
    return "\n\n".join([*parts] if all_shown else [*parts, _NOTE])


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2733; max-width: 1000px; margin: 32px auto; padding: 0 16px }
table { border-collapse: collapse; width: 100%; margin: 4px 0 20px; font-variant-numeric: tabular-nums }
td, th { padding: 3px 8px; border-bottom: 1px solid #e3e7ec; text-align: left } td.n { text-align: right }
.quiet { color: #68778a } h2 { font-size: 17px; margin: 26px 0 4px }
"""
_GAIN, _LOSS = "#2a7f62", "#b4483c"


def chart(result: dict[str, Any]) -> str:
    """People gaining (right, green) and losing (left, red) by offer, as an SVG; offers that nobody gains or loses are left out."""
    rows = [row for row in result["by"]["offer"] if row["people_gaining"] or row["people_losing"]]
    values = {id(row): tuple(_length(row[key]) for key in ("people_losing", "people_gaining")) for row in rows}
    most = max((value for pair in values.values() for value in pair), default=1) or 1
    height, left, middle, half = 20, 170, 520, 260
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height * len(rows) + 30}" width="100%" role="img" '
        f'aria-label="people gaining and losing each offer" font-family="system-ui, sans-serif" font-size="12">',
        f'<text x="{middle - 8}" y="14" text-anchor="end" fill="{_LOSS}">people losing it</text>',
        f'<text x="{middle + 8}" y="14" fill="{_GAIN}">people gaining it</text>',
    ]
    for place, row in enumerate(rows):
        y = 24 + place * height
        loss, gain = (value / most * half for value in values[id(row)])
        parts.append(f'<text x="{left}" y="{y + 12}" text-anchor="end">{escape(str(row["name"]))}</text>')
        if row["people_losing"]:
            parts.append(f'<rect x="{middle - loss:.1f}" y="{y}" width="{loss:.1f}" height="15" fill="{_LOSS}"/>')
            parts.append(
                f'<text x="{middle - loss - 4:.1f}" y="{y + 12}" text-anchor="end">{escape(number(row["people_losing"]))}</text>'
            )
        if row["people_gaining"]:
            parts.append(f'<rect x="{middle}" y="{y}" width="{gain:.1f}" height="15" fill="{_GAIN}"/>')
            parts.append(f'<text x="{middle + gain + 4:.1f}" y="{y + 12}">{escape(number(row["people_gaining"]))}</text>')
    return "".join(
        [*parts, f'<line x1="{middle}" x2="{middle}" y1="20" y2="{24 + height * len(rows)}" stroke="#9aa5b1"/></svg>']
    )


def _length(value: Any) -> int:
    """How long the bar of a number is: one that is hidden has the same short length, whatever it is."""
    return value if isinstance(value, int) else SMALL // 2


def page(result: dict[str, Any], *, all_shown: bool, changes: Iterable[str] = ()) -> str:
    """The simulation as one HTML file that needs nothing else. `changes`: what differs between the policies, in words."""
    listed = "".join(f"<li>{escape(change)}</li>" for change in changes)
    sections = "".join(
        f"<h2>{escape(title)}</h2><table><thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr></thead><tbody>"
        + "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
        + "</tbody></table>"
        for title, head, rows in tables(result)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Policy {escape(result["policy_after"])}, simulated</title>'
        f"<style>{_STYLE}</style></head><body><h1>What policy {escape(result['policy_after'])} would do</h1>"
        + "".join(f"<p>{escape(line)}</p>" for line in headlines(result))
        + (f"<h2>What differs</h2><ul>{listed}</ul>" if listed else "")
        + f"<h2>People gaining and losing, by offer</h2>{chart(result)}{sections}"
        + ("" if all_shown else f'<p class="quiet">{escape(_NOTE)}</p>')
        + "</body></html>\n"
    )


def _cell(cell: str) -> str:
    is_number = cell in (FEW, HIDDEN) or cell.replace(",", "").isdigit()
    return f'<td class="n">{escape(cell)}</td>' if is_number else f"<td>{escape(cell)}</td>"
