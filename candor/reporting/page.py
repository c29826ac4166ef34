"""One self-contained HTML page per run: the flow, what each stage did, gates, audit, model, offers, reasons."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import Any

from candor.reporting import decided
from candor.reporting.html import table
from candor.reporting.hygiene import hygiene, silos
from candor.reporting.review import review
from candor.reporting.terminal import metrics_told, one_line, quarantined

STYLE = """
:root { --ink:#1c2430; --quiet:#66707d; --line:#e3e7ec; --good:#1d7f4e; --bad:#b3261e; --warn:#9a6700; --soft:#f6f8fa; --bar:#3b6fb6 }
* { box-sizing:border-box } body { font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; color:var(--ink); margin:0; background:#fff }
main { max-width:1080px; margin:0 auto; padding:28px 20px 60px } h1 { font-size:24px; margin:0 } h2 { font-size:17px; margin:34px 0 10px }
.quiet { color:var(--quiet) } .mono { font-family:ui-monospace,Menlo,Consolas,monospace; font-size:13px }
.flow { display:flex; flex-wrap:wrap; gap:6px; margin:20px 0 0; padding:0; list-style:none }
.flow li { border:1px solid var(--line); border-radius:6px; padding:4px 10px; font-size:13px; background:var(--soft) }
.flow .done { border-color:#b9dfca; background:#eef8f2 } .flow .refused,.flow .failed { border-color:#eebdb9; background:#fdf0ef; color:var(--bad) }
.flow .none { color:var(--quiet); border-style:dashed; background:#fff }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(200px,1fr)); gap:12px; margin-top:20px }
.card { border:1px solid var(--line); border-radius:8px; padding:12px 14px } .card b { display:block; font-size:24px; font-weight:650 }
table { border-collapse:collapse; width:100%; font-size:14px } th { text-align:left; color:var(--quiet); font-weight:500; border-bottom:1px solid var(--line) }
td,th { padding:5px 10px 5px 0; vertical-align:top } td { border-bottom:1px solid #f0f2f5 } .n { text-align:right; font-variant-numeric:tabular-nums }
.good { color:var(--good) } .bad { color:var(--bad) } .warn { color:var(--warn) }
.bar { background:var(--bar); height:9px; border-radius:2px; display:inline-block; min-width:1px } .bar.unknown { background:#b9c4d2 }
.bars { display:flex; gap:1px; padding-top:6px } td:has(> .bar), td:has(> .bars) { min-width:70px; width:34% } .cols { display:grid; grid-template-columns:1fr 1fr; gap:0 36px }
pre { background:var(--soft); border:1px solid var(--line); border-radius:6px; padding:10px 12px; overflow:auto; font-size:13px; white-space:pre-wrap }
.offer { border-left:3px solid var(--bar); padding:6px 14px; background:var(--soft); border-radius:0 6px 6px 0 }
summary { cursor:pointer; padding:8px 0 2px; font-weight:550 } details table { table-layout:fixed } details th:first-child { width:36% }
.cols > div { min-width:0; overflow-x:auto }
@media (max-width:760px) { .cols { grid-template-columns:1fr } td:has(> .bar), td:has(> .bars) { min-width:32px } }
"""


def _bars(rows: list[dict[str, Any]], label: str, value: str, *, most: int = 14) -> str:
    top = max((row[value] or 0 for row in rows), default=0) or 1
    return table(
        (label, value, ""), ((str(row[label]), int(row[value] or 0), _bar((row[value] or 0) / top)) for row in rows[:most])
    )


def _bar(share: float, kind: str = "") -> str:
    """A bar of that share of its cell; none of nothing."""
    return "" if not share else f'<span class="bar {kind}" style="width:{100 * share:.1f}%"></span>'


def _card(title: str, value: str, note: str = "") -> str:
    return f'<div class="card"><span class="quiet">{escape(title)}</span><b>{escape(value)}</b><span class="quiet">{escape(note)}</span></div>'


def _cards(summary: dict[str, Any]) -> str:
    stages = {stage["stage"]: stage.get("result", {}) for stage in summary["stages"]}
    published, audit, ingest = summary["published"], summary["audit"], stages.get("ingest", {})
    cards = [
        _card("Rows landed", f"{ingest.get('rows_read', 0):,}", f"{ingest.get('rows_quarantined', 0):,} quarantined"),
        _card(
            "People",
            f"{stages.get('identity', {}).get('people', 0):,}",
            f"{stages.get('identity', {}).get('identifiers', 0):,} identifiers",
        ),
    ]
    if published:
        cards.append(
            _card("Offers published", f"{published['offers']['offers']:,}", f"to {published['offers']['people']:,} people")
        )
    if audit:
        bound = audit.get("bound_3_over_n")
        note = f"3/n bound {bound:.2g}" if bound else "no rows to audit"
        cards.append(_card("Audit violations", f"{audit['violations']:,}", f"of {audit['rows_audited']:,} rows; {note}"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _flow(summary: dict[str, Any]) -> str:
    from candor.pipeline import STAGES

    seen = {stage["stage"]: stage["status"].split()[0] for stage in summary["stages"]}
    items = "".join(
        f'<li class="{seen.get(stage.name, "none") if seen.get(stage.name) != "no" else "none"}" title="{escape(stage.does)}">'
        f"{escape(stage.name.replace('_', ' '))}</li>"
        for stage in STAGES
    )
    return f'<ol class="flow">{items}</ol>'


def _landed(summary: dict[str, Any]) -> str:
    result: dict[str, Any] = next((stage.get("result", {}) for stage in summary["stages"] if stage["stage"] == "ingest"), {})
    tables = table(
        ("table", "rows read", "loaded", "quarantined", "repeat a key", "known whole up to"),
        (
            (
                name,
                row["rows_read"],
                row["rows_loaded"],
                row["rows_quarantined"],
                row["duplicate_rows"],
                row["known_whole_at"] or "never",
            )
            for name, row in sorted(result.get("tables", {}).items())
        ),
    )
    refused = quarantined(result)
    return tables + (f"<p></p>{table(('table', 'refused because', 'rows'), refused)}" if refused else "")


def _gates(summary: dict[str, Any]) -> str:
    rows = []
    for gate in summary["gates"]:
        for check in gate["checks"]:
            word = '<span class="good">passed</span>'
            if not check["success"]:
                word = (
                    '<span class="bad">refused</span>'
                    if check["severity"] == "critical"
                    else '<span class="warn">warning</span>'
                )
            observed = "" if check.get("observed") is None else str(check["observed"])[:60]
            rows.append((gate["gate"], check["name"], word, observed, check.get("note") or ""))
    return table(("gate", "check", "verdict", "seen", "why this threshold"), rows)


def _published(published: dict[str, Any]) -> str:
    if not published:
        return "<p>Nothing was published by this run; the offers published before stay live.</p>"
    example = ""
    if published["example"]:
        row = published["example"][0]
        example = (
            f'<div class="offer"><b>{escape(row["title"])}</b><br>{escape(row["body"])}<br>'
            f'<span class="quiet">{escape(row["reason_text"] or "")}</span></div>'
            f'<p class="quiet mono">{escape(row["channel"])} · {escape(row["market"])} · {escape(row["segment"])} · {escape(row["person_id"])}</p>'
        )
    return (
        f'{example}<div class="cols"><div>{_bars(published["by_channel"], "channel", "offers")}</div>'
        f"<div>{_bars(published['by_segment'], 'segment', 'offers')}</div></div>"
    )


def _why_not(published: dict[str, Any]) -> str:
    """Two pictures of how many each code speaks against: because it is so, and because it is not known to be otherwise."""
    rows = published.get("exclusions") or []
    if not rows:
        return '<p class="quiet">none recorded</p>'
    of_offers = ("offer", "offer_x_regime")
    about = {
        ("against people", "people"): [row for row in rows if row["grain"] not in of_offers],
        ("against offers, creatives, markets", "pairs"): [row for row in rows if row["grain"] in of_offers],
    }
    pictures = "".join(f"<div>{_codes(chosen, *heads)}</div>" for heads, chosen in about.items())
    return (
        f'<p class="quiet">{_bar_key("")} it is so {_bar_key("unknown")} it is not known to be otherwise</p>'
        f'<div class="cols">{pictures}</div>'
    )


def _bar_key(kind: str) -> str:
    return f'<span class="bar {kind}" style="width:12px"></span>'


def _codes(rows: list[dict[str, Any]], label: str, value: str) -> str:
    """One line per code, the most frequent first; `X_UNKNOWN` stands in the line of `X` where both came up."""
    most: dict[str, int] = {}
    for row in rows:
        most[row["code"]] = max(most.get(row["code"], 0), int(row[value] or 0))
    lines: dict[str, list[int]] = {}
    for code, count in most.items():
        base = code.removesuffix("_UNKNOWN")
        line = lines.setdefault(base if base in most else code, [0, 0])
        line[code.endswith("_UNKNOWN")] += count
    ordered = sorted(lines.items(), key=lambda item: (-sum(item[1]), item[0]))
    top = max((sum(counts) for counts in lines.values()), default=0) or 1
    return table(
        (label, value, "unknown", ""),
        (
            (code, known, unknown, f'<div class="bars">{_bar(known / top)}{_bar(unknown / top, "unknown")}</div>')
            for code, (known, unknown) in ordered
        ),
    )


def _lifts(published: dict[str, Any]) -> str:
    rows = [
        (
            row["source"],
            row["dimension"],
            row["level"],
            int(row["assignments_shown"]),
            f"{row['rate_shown']:.2%}",
            int(row["assignments_held_out"]),
            f"{row['rate_held_out']:.2%}",
            row["verdict"],
        )
        for row in published.get("lifts", [])
    ]
    head = ("offers by", "cut", "", "shown", "outcome", "held out", "outcome", "verdict")
    return table(head, rows) if rows else '<p class="quiet">No outcome window has closed yet.</p>'


# The measures of hygiene that count people, as pictures.
WHO = {
    "silos": "silos, of six, a person is seen in",
    "seen_in": "seen in",
    "bridges": "weakest bridge",
    "component_sizes": "identifiers",
}


def _first_number(key: str) -> tuple[int, str]:
    """Keys such as `11 to 50` by their number, words after them by letter."""
    digits = key.split()[0] if key else ""
    return (int(digits), key) if digits.isdigit() else (1 << 31, key)


def _who(summary: dict[str, Any]) -> str:
    """How well people are stitched together, and how much of what landed was said before or is out of date."""
    published = summary["published"]
    measures = {
        heading: [
            {heading: row["key"], "people": round(row["value"] * row["n"])}
            for row in sorted(summary["hygiene"], key=lambda row: _first_number(row["key"]))
            if row["metric"] == metric and row["value"]
        ]
        for metric, heading in WHO.items()
    }
    bars = "".join(f"<div>{_bars(rows, measure, 'people')}<p></p></div>" for measure, rows in measures.items() if rows)
    shares = table(
        ("source", "rows landed", "duplicated", "superseded", "values past their time", "duplicated or outdated"),
        (
            (
                row["source"],
                int(row["landed_rows"]),
                int(row["duplicated_rows"]),
                int(row["superseded_rows"]),
                int(row["expired_values"]),
                f"{row['share_duplicated_or_outdated'] or 0:.1%}",
            )
            for row in published.get("hygiene", [])
        ),
    )
    return f'<div class="cols">{bars}</div>{shares}'


def write_page(summary: dict[str, Any], path: Path) -> None:
    """Write the page of `summary` to `path`, whole or not at all."""
    errors = "".join(f"<pre>{escape(stage['error'])}</pre>" for stage in summary["stages"] if stage.get("error"))
    stage_rows = [
        (
            stage["stage"].replace("_", " "),
            stage["status"],
            float(stage["seconds"]),
            one_line(stage["stage"], stage.get("result", {})),
        )
        for stage in summary["stages"]
    ]
    training = (summary["model"] or {}).get("training", {})
    model = (
        f'<p class="mono">{escape(training["model_version"])}</p>{table(("measure", "value and interval"), metrics_told(training["metrics"]))}'
        if training
        else "<p>No champion from an earlier training.</p>"
    )
    docs = '<p><a href="data_docs/index.html">Data Docs</a></p>' if (path.parent / "data_docs" / "index.html").is_file() else ""
    body = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Candor run {escape(summary["run_id"])}</title><style>{STYLE}</style><main>
<h1>Run of {escape(summary["as_of"][:16].replace("T", " "))} UTC</h1>
<div class="quiet mono">{escape(summary["run_id"])} · {escape(summary["status"])}</div>
{_flow(summary)}{_cards(summary)}{errors}
{silos(summary)}
<h2>Offers</h2>{_published(summary["published"])}
<h2>Why not</h2><p class="quiet">Rules that spoke against people, all reasons kept. Restricted ones stand as ELIG_NA.</p>{_why_not(summary["published"])}
<h2>How it was decided</h2>{decided.choices(summary["published"])}
<h2>Markets</h2>{decided.markets(summary["published"])}
<h2>Human review</h2>{review(summary["review"])}
<h2>What may not be said</h2>{decided.may_not_be_said(summary["published"])}
<h2>Did it help</h2>{_lifts(summary["published"])}
<h2>Model</h2>{model}
<h2>Who is who, and which rows are true</h2>{_who(summary)}
<h2>Hygiene against the last 28 runs</h2>{hygiene(summary)}
<h2>Landed</h2>{_landed(summary)}
<h2>Gates</h2>{docs}{_gates(summary)}
<h2>Stages</h2>{table(("stage", "status", "seconds", "what"), stage_rows)}
</main></html>
"""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(body, encoding="utf-8")
    os.replace(beside, path)
