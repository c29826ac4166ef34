"""How two records are compared, column by column: levels from "the same" to "different", as Splink settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from candor.identity.resolution.columns import Column


@dataclass(frozen=True)
class Level:
    """One way two values can compare. `start` is the first guess of how often two records of one person compare so."""

    label: str
    condition: str
    start: float
    frequency_of: str | None = None


def levels(column: Column) -> list[Level]:
    """The levels of a column, best first, without the null level; the last one is everything else."""
    return _KINDS[column.kind](column.name)


def missing(column: Column) -> str:
    """SQL condition under which a pair says nothing about this column."""
    name = column.name
    if column.kind == "family":
        # swapped names are counted once, under the first name
        return f"({name}_l is null or {name}_r is null or ({SWAPPED}))"
    return f"({name}_l is null or {name}_r is null)"


def settings(columns: Sequence[Column], prior: float) -> dict[str, Any]:
    """Splink settings that compare records by `columns` with the start values of every level."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "uid",
        "probability_two_random_records_match": prior,
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "comparisons": [_comparison(column) for column in columns],
    }


def _comparison(column: Column) -> dict[str, Any]:
    made: list[dict[str, Any]] = [{"sql_condition": missing(column), "label_for_charts": "unknown", "is_null_level": True}]
    for level in levels(column):
        one: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.label, "m_probability": level.start}
        if level.frequency_of:
            one["tf_adjustment_column"] = level.frequency_of
            one["tf_adjustment_weight"] = 1.0
            one["disable_tf_exact_match_detection"] = True
        made.append(one)
    return {"output_column_name": column.name, "comparison_levels": made}


SWAPPED = "given_l = family_r and family_l = given_r and given_l <> given_r"


def _alike(name: str, least: float) -> str:
    return f"jaro_winkler_similarity({name}_l, {name}_r) >= {least}"


def _edits(name: str, most: int) -> str:
    """At most so many letters added, dropped, replaced or exchanged with their neighbour.

    Lengths and the plain edit distance (an exchange counts twice there) are looked at first: they cost a tenth and rule out nearly all.
    """
    return (
        f"(abs(length({name}_l) - length({name}_r)) <= {most} and levenshtein({name}_l, {name}_r) <= {2 * most} "
        f"and damerau_levenshtein({name}_l, {name}_r) <= {most})"
    )


HALF_SWAPPED = "jaro_winkler_similarity(given_l, family_r) >= 0.9 or jaro_winkler_similarity(family_l, given_r) >= 0.9"


def _kin(name: str) -> str:
    return f"list_contains(kin_{name}_l, {name}_r) or list_contains(kin_{name}_r, {name}_l)"


def _given(name: str) -> list[Level]:
    return [
        Level("same", "given_l = given_r", 0.7, name),
        Level("first and last name swapped", SWAPPED, 0.02),
        Level("initial", "(length(given_l) = 1 or length(given_r) = 1) and left(given_l, 1) = left(given_r, 1)", 0.03),
        Level("typing error", f"{_alike('given', 0.92)} or {_edits('given', 1)}", 0.08),
        Level("known to go together", _kin("given"), 0.03),
        Level("among the other's names", "list_contains(more_names_l, given_r) or list_contains(more_names_r, given_l)", 0.03),
        Level("similar", f"{_alike('given', 0.8)} or given_sound_l = given_sound_r", 0.05),
        Level("half swapped", HALF_SWAPPED, 0.01),
        Level("different", "else", 0.08),
    ]


def _family(name: str) -> list[Level]:
    shared = "list_has_any(family_words_l, family_words_r)"
    among = "list_contains(more_names_l, family_r) or list_contains(more_names_r, family_l)"
    return [
        Level("same", "family_l = family_r", 0.75, name),
        Level("typing error", f"{_alike('family', 0.94)} or {_edits('family', 1)}", 0.1),
        Level("similar", f"{_alike('family', 0.85)} or family_sound_l = family_sound_r", 0.05),
        Level("share a word", f"{shared} or {among}", 0.03),
        Level("half swapped", HALF_SWAPPED, 0.01),
        Level("different", "else", 0.06),
    ]


def _words(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.6, name),
        Level("one within the other", f"list_has_all({name}_l, {name}_r) or list_has_all({name}_r, {name}_l)", 0.15),
        Level("some shared", f"list_has_any({name}_l, {name}_r)", 0.1),
        Level("different", "else", 0.15),
    ]


def _date(name: str) -> list[Level]:
    clear = "not born_is_vague_l and not born_is_vague_r"
    swapped = "left(born_day_l, 2) = right(born_day_r, 2) and right(born_day_l, 2) = left(born_day_r, 2)"
    return [
        Level("same day", f"born_l = born_r and {clear}", 0.7, name),
        Level("same year, day unknown", "born_year_l = born_year_r and (born_is_vague_l or born_is_vague_r)", 0.1),
        Level("day and month swapped", f"{clear} and born_year_l = born_year_r and {swapped}", 0.02),
        Level("typing error", f"{clear} and {_edits('born', 1)}", 0.08),
        Level("same day of another year", f"{clear} and born_day_l = born_day_r", 0.02),
        Level("same year", "born_year_l = born_year_r", 0.03),
        Level("two digits differ", _edits("born", 2), 0.01),
        Level("years close", "abs(try_cast(born_year_l as int) - try_cast(born_year_r as int)) <= 2", 0.01),
        Level("different", "else", 0.03),
    ]


def _text(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level("typing error", f"{_alike(name, 0.92)} or {_edits(name, 1)}", 0.12),
        Level("known to go together", _kin(name), 0.03),
        Level("similar", _alike(name, 0.84), 0.04),
        Level("different", "else", 0.14),
    ]


def _phrase(name: str) -> list[Level]:
    shared = f"len(list_intersect({name}_words_l, {name}_words_r))"
    some = f"list_has_any({name}_words_l, {name}_words_r)"
    most = f"{some} and {shared} * 2 >= greatest(len({name}_words_l), len({name}_words_r))"
    return [
        Level("same", f"{name}_l = {name}_r", 0.65, name),
        Level("typing error", f"{_alike(name, 0.92)} or {_edits(name, 2)}", 0.12),
        Level("most words shared", most, 0.06),
        Level("known to go together", _kin(name), 0.03),
        Level("similar or a word shared", f"{_alike(name, 0.84)} or {some}", 0.05),
        Level("different", "else", 0.12),
    ]


def _code(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.8, name),
        Level("one sign differs", _edits(name, 1), 0.08),
        Level("two signs differ", _edits(name, 2), 0.02),
        Level("different", "else", 0.1),
    ]


def _postal(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level("one sign differs", _edits(name, 1), 0.08),
        Level("same area", "postal_area_l = postal_area_r", 0.05),
        Level("different", "else", 0.17),
    ]


def _email(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level("typing error", _edits(name, 2), 0.08),
        Level("same name before the @", "email_name_l = email_name_r and length(email_name_l) >= 4", 0.04),
        Level("similar", _alike(name, 0.9), 0.04),
        Level("different", "else", 0.14),
    ]


def _category(name: str) -> list[Level]:
    return [Level("same", f"{name}_l = {name}_r", 0.9, name), Level("different", "else", 0.1)]


_KINDS = {
    "given": _given,
    "family": _family,
    "words": _words,
    "date": _date,
    "text": _text,
    "phrase": _phrase,
    "code": _code,
    "postal": _postal,
    "email": _email,
    "category": _category,
}
