"""Every sentence that may be said of why somebody sees an offer, spelled out from the policy's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def sentences(explanations: dict[str, Any]) -> pl.LazyFrame:
    """One row per language and sentence: language, reason_text, is_permitted_reason (true), drivers (the names of those it states)."""
    import polars as pl

    told: dict[tuple[str, str], list[str]] = {}
    for form in explanations["sentences"]:
        # Sentences grow driver by driver until the budget or the number is used up.
        growing: list[list[dict[str, Any]]] = [[]]
        while growing:
            named = growing.pop()
            if named:
                clauses = [driver["words"][form["language"]] for driver in named]
                sentence = form["sentence"].replace("{drivers}", form["and"].join(clauses))
                told[form["language"], sentence] = [driver["driver"] for driver in named]
            if len(named) == explanations["most_drivers"]:
                continue
            spent = sum(driver["sensitivity"] for driver in named)
            about_money = any(driver["sensitivity"] == 2 for driver in named)
            for driver in explanations["drivers"]:
                fits = spent + driver["sensitivity"] <= explanations["budget"] and not (
                    about_money and driver["sensitivity"] == 2
                )
                if driver not in named and fits:
                    growing.append([*named, driver])
    return pl.LazyFrame(
        [(*key, drivers) for key, drivers in sorted(told.items())],
        schema={"language": pl.String, "reason_text": pl.String, "drivers": pl.List(pl.String)},
        orient="row",
    ).with_columns(pl.lit(True).alias("is_permitted_reason"))
