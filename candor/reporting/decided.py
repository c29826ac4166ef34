"""How a run decided, for its page and the terminal: the state of markets, what was scarce, what became of candidates, what may not be said."""

from __future__ import annotations

from html import escape
from typing import Any

from candor.reporting.html import table

STATES = {0: "calm", 1: "elevated", 2: "stressed"}
COLOURS = {0: "#b9dfca", 1: "#f0c987", 2: "#d9776f", None: "#e3e7ec"}
# Outcomes of candidates, in words; what is not here is told by its name.
OUTCOMES = {
    "given": "given to somebody",
    "held_out": "chosen, but the person is left alone to measure by",
    "slots_full": "better ones took the slots",
    "line_taken": "another offer of the product line is better for the person",
    "education_ratio": "more promotions than the lifecycle stage allows beside the education given",
    "cooling_down": "refused by the person lately",
    "value_not_positive": "not expected to help",
    "push_cap": "the person gets another promotion by e-mail, SMS or push",
    "total_cap": "the places went to people whom it helps more",
    "budget": "its incentive buys more elsewhere",
}
WIDTH, HEIGHT = 720, 46


def state_told(published: dict[str, Any]) -> str | None:
    """The state of markets at the run in one line, or None for a shop that watches none."""
    days = published.get("market_states")
    if not days:
        return None
    last = days[-1]
    state = STATES.get(last["last_rank"], "unknown, which counts as stressed")
    stressed = sum(day["vol_rank"] == 2 for day in days)
    return (
        f"{state} at {last['bar_end']:%Y-%m-%d %H:%M}: volatility {last['volatility_24h'] or 0:.0%} a year over 24 h and "
        f"{last['volatility_7d'] or 0:.0%} over 7 days, {last['drawdown'] or 0:.0%} below the month's highest; "
        f"stressed on {stressed} of the last {len(days)} days"
    )


def markets(published: dict[str, Any]) -> str:
    """The state of markets, and each day of the last months in the colour of its worst hour."""
    told = state_told(published)
    if told is None:
        return '<p class="quiet">This shop watches no market.</p>'
    days = published["market_states"]
    step = WIDTH / len(days)
    bars = "".join(
        f'<rect x="{place * step:.2f}" y="0" width="{step + 0.3:.2f}" height="26" fill="{COLOURS[day["vol_rank"]]}">'
        f"<title>{day['day']:%Y-%m-%d}: {STATES.get(day['vol_rank'], 'unknown')}</title></rect>"
        for place, day in enumerate(days)
    )
    words = "".join(
        f'<text x="{x}" y="42" font-size="11" fill="#66707d" text-anchor="{anchor}">{day["day"]:%Y-%m-%d}</text>'
        for x, anchor, day in ((0, "start", days[0]), (WIDTH, "end", days[-1]))
    )
    keys = "".join(
        f'<span style="display:inline-block;width:10px;height:10px;background:{COLOURS[rank]};margin:0 4px 0 12px"></span>{name}'
        for rank, name in STATES.items()
    )
    return (
        f'<p>Markets are {escape(told)}.</p><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" style="max-width:{WIDTH}px" role="img" '
        f'aria-label="state of markets by day">{bars}{words}</svg><div class="quiet">worst hour of the day:{keys}</div>'
    )


def choices(published: dict[str, Any]) -> str:
    """What became of the candidates that passed every rule, and what was scarce."""
    rows = published.get("choices")
    if not rows:
        return '<p class="quiet">Nothing was arbitrated.</p>'
    told = table(
        ("what became of it", "", "candidates", "people"),
        (
            (OUTCOMES.get(row["outcome"], row["outcome"]), "promotion" if row["is_promotion"] else "education",
             int(row["candidates"]), int(row["people"]))
            for row in rows
        ),
    )  # fmt: skip
    scarce = published.get("shadow_prices") or []
    if scarce:
        told += "<p></p>" + table(
            ("scarce", "places", "held before", "allocated today", "one more would be worth"),
            (
                (row["offer_id"] or "incentives, in dollars", float(row["limit_units"]), int(row["used_before"]), float(row["given"]),
                 f"{row['price_usd']:.2f} USD" if row["price_usd"] else "nothing: there is room")
                for row in scarce
            ),
        )  # fmt: skip
    return told


def may_not_be_said(published: dict[str, Any]) -> str:
    """What the catalogue lint found, quoted, with its place."""
    rows = published.get("catalogue_findings")
    if rows is None:
        return '<p class="quiet">The catalogue was not linted.</p>'
    if not rows:
        return '<p class="good">Nothing found in the catalogue.</p>'
    return table(
        ("offer", "where", "found", "words", "so"),
        (
            (
                f"{row['offer_id']} v{row['offer_version']}",
                " ".join(str(row[name]) for name in ("channel", "locale", "field") if row[name]) + _place(row),
                row["findings"],
                f"\u201c{row['quote']}\u201d" if row["quote"] else "",
                "the offer counts as not approved" if row["is_offer_refused"] else "the creative is not served",
            )
            for row in rows
        ),
    )


def _place(row: dict[str, Any]) -> str:
    return "" if row["place"] is None else f", character {row['place']}"
