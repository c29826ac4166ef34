"""How human review stood when the run decided: what waits and for whom, what is overdue, and how far reviewers can be believed."""

from __future__ import annotations

from html import escape
from typing import Any

from candor.reporting.html import table

KINDS = {
    "new_offer": "new offers of high risk",
    "hold": "holds",
    "high_risk_segment": "segments that high risk reaches",
    "near_miss": "limits met narrowly",
    "random": "drawn at random",
}


def review(told: dict[str, Any] | None) -> str:
    """The section of the page; `again`: drawn for another reader, or disputed. Restricted holds are in none of its numbers."""
    if told is None:
        return '<p class="quiet">Nothing was queued by this run.</p>'
    kinds = table(
        ("to review", "waiting", "overdue", "again", "decided"),
        (
            (
                f'<span>{escape(KINDS.get(row["kind"], row["kind"]))}<br><span class="quiet">{escape(", ".join(row["roles"]))}</span></span>',
                row["waiting"],
                f'<span class="n bad" style="display:block">{row["overdue"]:,}</span>' if row["overdue"] else 0,
                row["read_again"] + row["disputed"],
                row["decided"],
            )
            for row in told["kinds"]
        ),
    )
    measures = (
        ("items whose release holds", f"{told['items_released']:,}"),
        ("withheld because somebody said it must not be shown", f"{told['refusals']:,}"),
        ("agreement of two readers, Cohen's kappa", kappa(told)),
        ("verdicts changed later", _share(told["overturned"], told["items_decided"], told["overturn_rate"])),
        (
            "releases overturned when read again after a week",
            _share(
                told["overturned_on_re_review"],
                told["drawn_for_a_re_review"] - told["re_reviews_wait"],
                told["re_review_overturn_rate"],
            ),
        ),
        ("verdicts faster than anybody can read", f"{told['faster_than_they_can_read']:,} of {told['verdicts']:,}"),
        ("saw the score first", f"{told['saw_the_score_first']:,} of {told['verdicts']:,}"),
    )
    return f"{kinds}<p></p>{table(('measure', 'value'), measures)}"


def kappa(told: dict[str, Any]) -> str:
    """The value with its interval, or how many readings are missing until it can be told."""
    if told["kappa"] is None:
        return f"cannot tell yet: {told['pairs_needed']:,} more second readings"
    return f"{told['kappa']:.2f} ({told['kappa_low']:.2f} to {told['kappa_high']:.2f}, 95 %) of {told['read_by_two']:,} items"


def _share(number: int, of: int, rate: float | None) -> str:
    return "none yet" if rate is None else f"{number:,} of {of:,} ({rate:.1%})"
