"""Every sentence that may be said of why somebody sees an offer, spelled out from the policy's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def sentences(explanations: dict[str, Any]) -> pl.LazyFrame:
    """One row per language and sentence: language, reason_text, is_permitted_reason (true)."""
    import polars as pl

    told = set()
    for form in explanations["sentences"]:
        # Sentences grow driver by driver until the budget or the number is used up.
        growing: list[list[dict[str, Any]]] = [[]]
        while growing:
            named = growing.pop()
            if named:
                clauses = [driver["words"][form["language"]] for driver in named]
                told.add((form["language"], form["sentence"].replace("{drivers}", form["and"].join(clauses))))
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
    return pl.LazyFrame(sorted(told), schema={"language": pl.String, "reason_text": pl.String}, orient="row").with_columns(
        pl.lit(True).alias("is_permitted_reason")
    )
