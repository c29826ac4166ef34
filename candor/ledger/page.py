"""An explanation as a page (HTML), for whoever has to answer a regulator: verdicts first, then every reason with its rule and its facts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from candor.ledger import telling
from candor.ledger.files import NEUTRAL

STYLE = """
:root { --ink:#1c2430; --quiet:#66707d; --line:#e3e7ec; --yes:#1d7f4e; --no:#b3261e; --but:#9a6700 }
body { font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; color:var(--ink); margin:0 }
main { max-width:1080px; margin:0 auto; padding:28px 20px 60px } h1 { font-size:22px; margin:0 } h2 { font-size:17px; margin:30px 0 8px }
h3 { font-size:15px; margin:22px 0 4px } .quiet { color:var(--quiet) } table { border-collapse:collapse; width:100%; font-size:14px }
th { text-align:left; color:var(--quiet); font-weight:500 } td,th { padding:4px 10px 4px 0; border-bottom:1px solid var(--line); vertical-align:top }
td { overflow-wrap:anywhere } td:nth-child(-n+3) { overflow-wrap:normal }
code { font-size:13px } .served { color:var(--yes) } .excluded { color:var(--no) } .not_served { color:var(--but) }
"""


def page(explanation: dict[str, Any]) -> str:
    """The whole page; no address of anything outside it."""
    run, offers = explanation["run"], explanation["offers"]
    title = f"Why {run['person_id']} sees what they see"
    head = f"<p class=quiet>Run {escape(run['run_id'])} of {escape(run['as_of'])}, as the role {escape(run['role'])} may know it.</p>"
    body = _sentences(offers) if "ledger_hash" not in run else _evidence(run) + _verdicts(offers) + _reasons(offers)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><main><h1>{escape(title)}</h1>{head}{body}</main></html>\n"
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _sentences(offers: telling.Rows) -> str:
    rows = [
        (escape(one["offer_id"]), escape(one["channel"]), "shown" if one["is_shown"] else "not shown", escape(" ".join(one["sentences"])))
        for one in offers
    ]  # fmt: skip
    return _table(("offer", "channel", "", "what may be said"), rows)


def _evidence(run: dict[str, Any]) -> str:
    rows = [
        ("policy", run["policy_version"]), ("catalogue", run["catalogue_hash"]), ("model", run["champion_version"] or "none"),
        (f"ledger entry {run['ledger_entry']}", run["ledger_hash"]),
    ]  # fmt: skip
    return _table(("decided by", "version or hash"), [(escape(name), f"<code>{escape(value)}</code>") for name, value in rows])


def _verdicts(offers: telling.Rows) -> str:
    parts = []
    rows: list[tuple[str, ...]]
    for outcome, heading in telling.HEADINGS.items():
        found = [one for one in offers if one["outcome"] == outcome]
        parts.append(f'<h2 class="{outcome}">{heading.capitalize()} ({len(found)})</h2>')
        if outcome == "excluded":
            rows = [
                (escape(offer), escape(channels), escape(told))
                for offer, listed in telling.by_offer(found).items()
                for channels, told in listed
            ]
            parts.append(_table(("offer", "channels", "every reason"), rows) if rows else "")
        elif found:
            rows = [
                (
                    escape(one["offer_id"]), escape(one["channel"]), str(one["slot"] or ""), escape(one["why"]) + _told(one),
                    f"<span class=quiet>{escape(telling.terms(one['terms']))}</span>",
                )
                for one in found
            ]  # fmt: skip
            parts.append(_table(("offer", "channel", "slot", "why", "terms"), rows))
    return "".join(parts)


def _told(one: dict[str, Any]) -> str:
    """What the customer reads of why they see it, and what that rests on; nothing of what did not go out."""
    if not one.get("told"):
        return ""
    lines = "".join(f"<br>{escape(line)}" for line in telling.because(one))
    return f"<br><span class=quiet>the customer reads: {escape(one['told'])}{lines}</span>"


def _reasons(offers: telling.Rows) -> str:
    parts = ["<h2>Reasons</h2>"]
    for reason, places, facts in telling.reasons_once(offers):
        code = escape(reason["code"])
        if reason["code"] == NEUTRAL:
            parts.append(f"<h3>{code}</h3><p>{escape(reason['title'])}, for {len(places)} offers and channels.</p>")
            continue
        unknown = " A fact it reads was not known." if reason["is_unknown"] else ""
        parts.append(
            f"<h3>{code} <span class=quiet>{escape(reason['rule_id'])} v{reason['v']}, {escape(str(reason['title']))}, "
            f"{escape(reason['effect'])}, {len(places)} offers and channels</span></h3>"
            f"<p>{escape(str(reason['statement']))}{unknown}<br><span class=quiet>Cites {escape(str(reason['cite']))}</span></p>"
        )
        if reason.get("requires"):
            when = f"<br>when <code>{escape(reason['applies_when'])}</code>" if reason["applies_when"] else ""
            parts.append(f"<p>Requires <code>{escape(reason['requires'])}</code>{when}</p>")
        if facts:
            rows = [(escape(telling.fact_line(fact)), escape(", ".join(where))) for fact, where in facts]
            parts.append(_table(("fact", "of"), rows))
    return "".join(parts)
