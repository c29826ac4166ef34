"""The page's section on hygiene: silos that did not deliver, and each measure beside the 28 runs before."""

from __future__ import annotations

from html import escape
from typing import Any

from candor.reporting.html import table
from candor.reporting.terminal import told_withheld

WIDTH, HEIGHT = 132, 22
# metric -> (heading, how a value is told). In the order of the page.
GROUPS: dict[str, tuple[str, str]] = {
    "silos": ("People by the number of silos, of six, they are seen in", "share"),
    "seen_in": ("People seen in", "share"),
    "reachable": ("People who can be reached by", "share"),
    "join_key_joined": ("Records that meet their other source through a key", "share"),
    "test_accounts": ("Records of test accounts", "share"),
    "bridges": ("People by their weakest bridge", "share"),
    "component_sizes": ("People by number of identifiers", "share"),
    "over_merge": ("Merged too much?", "number"),
    "under_merge": ("Merged too little?", "share"),
    "links_dropped": ("Links dropped because of", "share"),
    "hubs": ("Hubs among", "number"),
    "moved": ("Identifiers that changed hands", "share"),
    "recycled": ("Ids that became somebody else", "share"),
    "duplicated": ("Rows landed that were there before", "share"),
    "outdated": ("Rows and values out of date", "share"),
    "completeness": ("Valid values", "share"),
    "orphans": ("Rows that point to nobody", "share"),
    "hours_since_arrival": ("Hours since the last delivery", "number"),
    "hours_since_event": ("Hours since the last thing that happened", "number"),
}
OPEN = {"silos", "reachable", "join_key_joined", "test_accounts"}  # the rest is one click away


def sparkline(earlier: list[float], now: float | None, usual: float | None, tolerance: float | None, *, is_bad: bool) -> str:
    """The values of the runs before, oldest first, as a line in the band that counts as usual; today's is the dot at its end."""
    values = [*earlier, *([] if now is None else [now])]
    if len(values) < 2:
        return ""
    band = [usual - tolerance, usual + tolerance] if usual is not None and tolerance is not None and len(earlier) >= 5 else []
    low, high = min(*values, *band), max(*values, *band)
    span = (high - low) or 1

    def y(value: float) -> float:
        return round(HEIGHT - 3 - (value - low) / span * (HEIGHT - 6), 1)

    step = (WIDTH - 8) / (len(values) - 1)
    points = " ".join(f"{4 + place * step:.1f},{y(value)}" for place, value in enumerate(values))
    shade = (
        f'<rect x="0" width="{WIDTH}" y="{y(band[1])}" height="{max(y(band[0]) - y(band[1]), 1):.1f}" fill="#eef3f9"/>'
        if band
        else ""
    )
    colour = "#b3261e" if is_bad else "#3b6fb6"
    dot = "" if now is None else f'<circle cx="{4 + (len(values) - 1) * step:.1f}" cy="{y(now)}" r="2.6" fill="{colour}"/>'
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{len(earlier)} earlier runs">{shade}'
        f'<polyline points="{points}" fill="none" stroke="#8a97a6" stroke-width="1.2"/>{dot}</svg>'
    )


def silos(summary: dict[str, Any]) -> str:
    """What did not arrive, and what the run did about it; nothing on a day when everything did."""
    if not summary["silos"]:
        return ""
    rows = [
        (
            silo["feed"],
            f'<span class="{"bad" if silo["when_late"] == "stop" else "warn"}">{escape(silo["state"])}</span>',
            (silo["since"] or "never delivered").replace("T", " "),
            "" if silo["hours"] is None else f"{silo['hours']:.1f} h",
            told_withheld(silo),
            silo["why"],
        )
        for silo in summary["silos"]
    ]
    return f"<h2>Silos late or missing</h2>{table(('silo', 'state', 'since', '', 'so', 'why it matters'), rows)}"


def hygiene(summary: dict[str, Any]) -> str:
    """Every measure with its value, what is usual, and a line of the runs before; what changed for the worse comes first."""
    if not summary["hygiene"]:
        return '<p class="quiet">Not measured: the run ended before.</p>'
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for row in summary["hygiene"]:
        by_metric.setdefault(row["metric"], []).append(row)
    worse = [row for row in summary["hygiene"] if row["is_bad"]]
    judged = sum(row["verdict"] in ("usual", "low", "high") for row in summary["hygiene"])
    made = [
        f'<p class="quiet">{judged} of {len(summary["hygiene"])} measures have the five runs and the rows it takes to judge them; '
        f"{len(worse)} changed for the worse. The band is what counts as usual; the run itself is not part of it.</p>"
    ]
    if worse:
        made.append(table(HEAD, [_row(row, GROUPS[row["metric"]][1], named=True) for row in worse]))
    for metric, (heading, told) in GROUPS.items():
        if rows := by_metric.get(metric):
            opened = " open" if metric in OPEN else ""
            body = table(HEAD, [_row(row, told, named=False) for row in rows])
            made.append(f"<details{opened}><summary>{escape(heading)}</summary>{body}</details>")
    return "".join(made)


HEAD = ("measure", "now", "usual", "runs before, and now", "verdict", "of")


def _row(row: dict[str, Any], told: str, *, named: bool) -> tuple[Any, ...]:
    def value(number: float | None) -> str:
        if number is None:
            return "<span class='quiet'>none</span>"
        return f"<span class='n'>{number:.1%}</span>" if told == "share" else f"<span class='n'>{number:,.4g}</span>"

    place = ".".join(part for part in (row["source"], row["table_name"]) if part)
    name = " ".join(part for part in (row["metric"].replace("_", " ") if named else "", place, row["key"]) if part) or "all"
    word = {"usual": "good", "low": "warn", "high": "warn"}.get(row["verdict"], "quiet")
    line = sparkline(row["earlier_values"] or [], row["value"], row["usual"], row["tolerance"], is_bad=row["is_bad"])
    verdict = f"<span class='{'bad' if row['is_bad'] else word}'>{escape(row['verdict'])}</span>"
    return name, value(row["value"]), value(row["usual"]), line, verdict, int(row["n"] or 0)
