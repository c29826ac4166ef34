"""One person's graph as a picture (SVG) on a page (HTML) with why each edge holds and why others do not."""

from __future__ import annotations

import math
from html import escape

from candor.identity.published import MEANINGS, WEAK, Edge, Found

MOST_DRAWN = 150  # past that a picture shows nothing; the tables list all
MOST_TIES_NAMED = 40  # past that the words on the lines cover each other; a line's title still has them
RING, MARGIN = 190, 70
COLOURS = {
    "account_id": "#3b6fb6",
    "contact_id": "#1d7f4e",
    "device_id": "#9a6700",
    "anonymous_id": "#8a6d3b",
    "wallet": "#7a3fa0",
    "email_hash": "#b3261e",
    "phone_hash": "#c2185b",
}
# Width of a line by how strong the evidence is; the weakest are dashed as well.
STRONG, DASHED_FROM = 9, 6

STYLE = """
:root { --ink:#1c2430; --quiet:#66707d; --line:#e3e7ec }
body { font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; color:var(--ink); margin:0 }
main { max-width:1080px; margin:0 auto; padding:28px 20px 60px } h1 { font-size:22px; margin:0 } h2 { font-size:17px; margin:30px 0 8px }
.quiet { color:var(--quiet) } table { border-collapse:collapse; width:100%; font-size:14px }
th { text-align:left; color:var(--quiet); font-weight:500 }
td,th { padding:4px 10px 4px 0; border-bottom:1px solid var(--line); vertical-align:top; overflow-wrap:anywhere }
svg { width:100%; height:auto; border:1px solid var(--line); border-radius:8px; margin-top:14px }
text { font:12px system-ui,sans-serif; fill:var(--ink); paint-order:stroke; stroke:#fff; stroke-width:4px }
.tie { font-size:11px; fill:var(--quiet) }
"""


def short(identifier: tuple[str, str]) -> str:
    """An identifier as a label: its kind in a word and the first characters of its value."""
    kind, value = identifier
    return f"{_word(kind)} {value if len(value) <= 22 else value[:10] + '…'}"


def _word(kind: str) -> str:
    return kind.removesuffix("_id").removesuffix("_hash").replace("anonymous", "cookie")


def _caption(identifier: tuple[str, str]) -> tuple[str, str]:
    """Two short lines for the picture: the kind, and the end of the value, where ids differ."""
    kind, value = identifier
    return _word(kind), value if len(value) <= 10 else "…" + value[-8:]


def _tree(anchor: tuple[str, str], edges: list[Edge]) -> dict[tuple[str, str], tuple[str, str] | None]:
    """For each identifier the one it hangs on, nearest ring first, strongest evidence first."""
    parents: dict[tuple[str, str], tuple[str, str] | None] = {anchor: None}
    ring = [anchor]
    while ring:
        following = []
        for node in ring:
            for edge in edges:
                if node in (edge.one, edge.other):
                    further = edge.other if edge.one == node else edge.one
                    if further not in parents:
                        parents[further] = node
                        following.append(further)
        ring = following
    return parents


def places(anchor: tuple[str, str], edges: list[Edge]) -> dict[tuple[str, str], tuple[float, float]]:
    """Where each identifier stands: the anchor in the middle, the others on rings, each branch with its share of the circle."""
    parents = _tree(anchor, edges)
    children: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for node, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(node)
    leaves: dict[tuple[str, str], int] = {}
    for node in reversed(list(parents)):
        leaves[node] = max(1, sum(leaves[child] for child in children.get(node, [])))
    found = {anchor: (0.0, 0.0)}
    spans = [(anchor, 0.0, 2 * math.pi, 1)]
    while spans:
        node, begin, width, depth = spans.pop(0)
        for child in children.get(node, []):
            share = width * leaves[child] / leaves[node]
            angle = begin + share / 2
            found[child] = (depth * RING * math.cos(angle), depth * RING * math.sin(angle))
            spans.append((child, begin, share, depth + 1))
            begin += share
    return found


def _told(evidence: str) -> str:
    """The class of evidence, and what it lets pass where that is less than everything."""
    return f"{evidence}: {WEAK[evidence]}" if evidence in WEAK else evidence


def svg(found: Found) -> str:
    """The person's kept edges as an SVG; the line says the evidence, thicker is stronger."""
    kept = [edge for edge in found.edges if edge.reason is None]
    identifiers = [identifier for identifier, _, _ in found.identifiers]
    if not identifiers:
        return ""
    at = places(identifiers[0], kept)
    drawn = {node: at[node] for node in list(at)[:MOST_DRAWN]}
    across, down = [x for x, _ in drawn.values()], [y for _, y in drawn.values()]
    left, top = min(across) - MARGIN, min(down) - MARGIN
    width, height = max(across) - left + MARGIN, max(down) - top + MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}" role="img">']
    names_ties = len(kept) <= MOST_TIES_NAMED
    for edge in kept:
        if edge.one in drawn and edge.other in drawn:
            (x1, y1), (x2, y2) = drawn[edge.one], drawn[edge.other]
            dash = ' stroke-dasharray="5 4"' if edge.rank >= DASHED_FROM else ""
            thick = max(1.0, (STRONG - edge.rank) * 0.6)
            line = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#9aa5b1" stroke-width="{thick:.1f}"{dash}>'
            parts.append(f"{line}<title>{escape(edge.evidence)}</title></line>")
            if names_ties:
                # Nearer the outer end, where lines are apart; with a halo, so that it can be read on a line.
                outer = 0.55 if math.hypot(x2, y2) >= math.hypot(x1, y1) else 0.45
                x, y = x1 + (x2 - x1) * outer, y1 + (y2 - y1) * outer
                parts.append(f'<text class="tie" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(edge.evidence)}</text>')
    for node, (x, y) in drawn.items():
        colour = COLOURS.get(node[0], "#66707d")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{11 if node == identifiers[0] else 8}" fill="{colour}"/>')
        for place, text in enumerate(_caption(node)):
            parts.append(f'<text x="{x:.1f}" y="{y + 22 + 14 * place:.1f}" text-anchor="middle">{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def _table(head: tuple[str, ...], rows: list[tuple]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>" if rows else "<p>none</p>"


def page(found: Found, run_id: str) -> str:
    """A self-contained page about one person."""
    kept = [edge for edge in found.edges if edge.reason is None]
    refused = [edge for edge in found.edges if edge.reason is not None]
    left_out = len(found.identifiers) - MOST_DRAWN
    note = (
        f'<p class="quiet">The picture shows the nearest {MOST_DRAWN}; {left_out} more are in the table.</p>'
        if left_out > 0
        else ""
    )
    events = [
        (event["as_of"], event["event"], event["person_id"], event["other_person_id"] or "",
         short((event["identifier_kind"], event["identifier"])), event["evidence"], event["rule_version"])
        for event in found.events
    ]  # fmt: skip
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(found.person_id)}</title><style>{STYLE}</style><main><h1>{escape(found.person_id)}</h1>
<p class="quiet">{len(found.identifiers)} identifiers · weakest bridge {escape(found.weakest_evidence)} (right in {
        found.match_probability:.2%} of
cases) · run {escape(run_id)}. E-mail addresses and phone numbers are shown as keyed hashes.</p>
{svg(found)}{note}
<h2>Why these are one person</h2>
{
        _table(
            ("identifier", "identifier", "evidence", "known since"),
            [(short(e.one), short(e.other), _told(e.evidence), e.first_known_at) for e in kept],
        )
    }
<h2>Ties that do not count</h2>
{
        _table(
            ("identifier", "identifier", "evidence", "why not"),
            [(short(e.one), short(e.other), e.evidence, f"{e.reason}: {MEANINGS.get(e.reason or '', '')}") for e in refused],
        )
    }
<h2>What happened</h2>
{_table(("run of", "event", "person", "other person", "through", "evidence", "rules"), events)}
</main></html>
"""
