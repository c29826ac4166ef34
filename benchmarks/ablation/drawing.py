"""The chart (SVG) and the page around it: self-contained, nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from benchmarks.ablation.configurations import WHOLE
from benchmarks.ablation.intervals import Interval
from benchmarks.ablation.table import HEAD, Line, cells, grouped

INK, QUIET, GRID, BAR, SOFT = "#1c2430", "#66707d", "#e3e7ec", "#3b6fb6", "#b8cbe6"
LABELS, PANEL, GAP, ROW, HEADING, TOP, BOTTOM = 250, 190, 52, 22, 30, 58, 44
MEASURES: tuple[tuple[str, str, Callable[[Line], Interval]], ...] = (
    ("rows repeated or outdated", "%", lambda line: line.repeated),
    ("hard false targets, of offers", "%", lambda line: line.hard),
    ("wrong-person offers", "%", lambda line: line.wrong),
    ("true outcomes per offer", "%", lambda line: line.outcome),
    ("extra outcomes per 1,000 people", "", lambda line: line.extra),
)


def chart(lines: Sequence[Line], title: str) -> str:
    """One panel per measure, one row per day: the value, its 95 % interval, and the whole day as a line through all rows."""
    groups = grouped(lines)
    height = TOP + sum(ROW * len(found) + HEADING * (group != WHOLE) for group, found in groups) + BOTTOM
    width = LABELS + len(MEASURES) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'font-family="system-ui,-apple-system,Segoe UI,sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    places, y = [], TOP
    for group, found in groups:
        if group != WHOLE:
            parts.append(f'<text x="8" y="{y + 21}" fill="{QUIET}" font-style="italic">{escape(group)}</text>')
            y += HEADING
        for line in found:
            weight = ' font-weight="650"' if group == WHOLE else ""
            parts.append(
                f'<text x="{LABELS - 14}" y="{y + 15}" text-anchor="end" fill="{INK}"{weight}>{escape(line.configuration.name)}</text>'
            )
            places.append((y + ROW / 2, line))
            y += ROW
    for number, (name, unit, of) in enumerate(MEASURES):
        parts += _panel(LABELS + number * (PANEL + GAP), y, name, unit, [(place, of(line)) for place, line in places])
    return "\n".join([*parts, "</svg>"])


def _panel(left: float, bottom: float, name: str, unit: str, rows: Sequence[tuple[float, Interval]]) -> list[str]:
    """The axis from zero (or from below the lowest when all are far from it), the whole day's line, and a dot with its interval per row."""
    scale = 100.0 if unit == "%" else 1.0
    low, high = min(found.low for _, found in rows) * scale, max(found.high for _, found in rows) * scale
    first, last, step = _axis(low if low > 0.6 * high else min(0.0, low), high)

    def x(value: float) -> float:
        return left + (value - first) / (last - first) * PANEL

    parts = [f'<text x="{left}" y="24" fill="{INK}" font-weight="600">{escape(name)}</text>']
    for tick in range(round((last - first) / step) + 1):
        value = first + tick * step
        parts.append(f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP - 8}" y2="{bottom}" stroke="{GRID}"/>')
        for at in (TOP - 14, bottom + 18):
            parts.append(
                f'<text x="{x(value):.1f}" y="{at}" text-anchor="middle" fill="{QUIET}" font-size="11">{value:g}{unit}</text>'
            )
    whole = x(rows[0][1].value * scale)
    parts.append(
        f'<line x1="{whole:.1f}" x2="{whole:.1f}" y1="{TOP - 8}" y2="{bottom}" stroke="{BAR}" stroke-dasharray="3 3"/>'
    )
    for place, found in rows:
        begin, end, at = (x(value * scale) for value in (found.low, found.high, found.value))
        parts.append(
            f'<line x1="{begin:.1f}" x2="{end:.1f}" y1="{place:.1f}" y2="{place:.1f}" stroke="{SOFT}" stroke-width="5"/>'
        )
        parts.append(
            f'<circle cx="{at:.1f}" cy="{place:.1f}" r="3.6" fill="{BAR}"><title>{found.value * scale:.3g}{unit} '
            f"({found.low * scale:.3g} to {found.high * scale:.3g})</title></circle>"
        )
    return parts


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and the step of an axis with three to six ticks."""
    span = max(high - low, 1e-9)
    rough = span / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def page(lines: Sequence[Line], said: Sequence[str], values: dict[str, Interval], title: str, notes: Sequence[str]) -> str:
    """Chart, sentences and table as one HTML page, in the style of the run's own."""
    from candor.reporting.page import STYLE

    rows = []
    for group, found in grouped(lines):
        if group != WHOLE:
            rows.append(f'<tr><td class="quiet" colspan="{len(HEAD)}"><i>{escape(group)}</i></td></tr>')
        for line in found:
            first, *others = cells(line)
            numbers = "".join(f'<td class="n">{escape(cell)}</td>' for cell in others)
            rows.append(f"<tr><td>{escape(first)}</td>{numbers}</tr>")
    first, *others = HEAD
    head = f"<th>{escape(first)}</th>" + "".join(f'<th class="n">{escape(name)}</th>' for name in others)
    orders = "".join(
        f"<li>{escape(silo)}: {value.value:+.2f} extra outcomes per 1,000 people ({value.low:+.2f} to {value.high:+.2f})</li>"
        for silo, value in values.items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<style>{STYLE} main {{ max-width:1380px }} svg {{ width:100%; height:auto }}</style></head>
<body><main><h1>{escape(title)}</h1>
<p class="quiet">Dots with 95 % intervals; the dashed line is the day with everything cleaned.</p>
{chart(lines, title)}
<h2>What each is worth</h2><ul>{"".join(f"<li>{escape(sentence)}</li>" for sentence in said)}</ul>
{f"<h2>Over all orders in which silos could come</h2><ul>{orders}</ul>" if orders else ""}
<h2>All days</h2><table><tr>{head}</tr>{"".join(rows)}</table>
<h2>How to read it</h2><ul>{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>
</main></body></html>
"""
