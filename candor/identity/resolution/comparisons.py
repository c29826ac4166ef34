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
    return _KINDS[column.kind](_bare(column.name))


def missing(column: Column) -> str:
    """SQL condition under which a pair says nothing about this column."""
    name = _bare(column.name)
    if column.kind == "family":
        # swapped names are counted once, under the first name
        return f"({name}_l is null or {name}_r is null or ({SWAPPED}))"
    if column.kind == "words":
        return f"({name}_l is null or {name}_r is null)"
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


def _bare(name: str) -> str:
    return name


SWAPPED = "given_l = family_r and family_l = given_r and given_l <> given_r"


def _given(name: str) -> list[Level]:
    either_initial = "(length(given_l) = 1 or length(given_r) = 1) and left(given_l, 1) = left(given_r, 1)"
    return [
        Level("same", "given_l = given_r", 0.7, name),
        Level("first and last name swapped", SWAPPED, 0.02),
        Level("initial", either_initial, 0.03),
        Level(
            "typing error",
            "jaro_winkler_similarity(given_l, given_r) >= 0.92 or damerau_levenshtein(given_l, given_r) <= 1",
            0.08,
        ),
        Level("among the other's names", "list_contains(more_names_l, given_r) or list_contains(more_names_r, given_l)", 0.03),
        Level("similar", "jaro_winkler_similarity(given_l, given_r) >= 0.8 or sounds(given_l) = sounds(given_r)", 0.05),
        Level(
            "half swapped",
            "jaro_winkler_similarity(given_l, family_r) >= 0.9 or jaro_winkler_similarity(family_l, given_r) >= 0.9",
            0.01,
        ),
        Level("different", "else", 0.08),
    ]


def _family(name: str) -> list[Level]:
    return [
        Level("same", "family_l = family_r", 0.75, name),
        Level(
            "typing error",
            "jaro_winkler_similarity(family_l, family_r) >= 0.94 or damerau_levenshtein(family_l, family_r) <= 1",
            0.1,
        ),
        Level("similar", "jaro_winkler_similarity(family_l, family_r) >= 0.85 or sounds(family_l) = sounds(family_r)", 0.05),
        Level(
            "share a word",
            "list_has_any(words(family_l), words(family_r)) or list_contains(more_names_l, family_r) or list_contains(more_names_r, family_l)",
            0.03,
        ),
        Level(
            "half swapped",
            "jaro_winkler_similarity(given_l, family_r) >= 0.9 or jaro_winkler_similarity(family_l, given_r) >= 0.9",
            0.01,
        ),
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
    return [
        Level("same day", f"born_l = born_r and {clear}", 0.7, name),
        Level("same year, day unknown", "born_year_l = born_year_r and (born_is_vague_l or born_is_vague_r)", 0.1),
        Level(
            "day and month swapped",
            f"{clear} and born_year_l = born_year_r and left(born_day_l, 2) = right(born_day_r, 2) and right(born_day_l, 2) = left(born_day_r, 2)",
            0.02,
        ),
        Level("typing error", f"{clear} and damerau_levenshtein(born_l, born_r) <= 1", 0.08),
        Level("same day of another year", f"{clear} and born_day_l = born_day_r", 0.02),
        Level("same year", "born_year_l = born_year_r", 0.03),
        Level("two digits differ", "damerau_levenshtein(born_l, born_r) <= 2", 0.01),
        Level("years close", "abs(try_cast(born_year_l as int) - try_cast(born_year_r as int)) <= 2", 0.01),
        Level("different", "else", 0.03),
    ]


def _text(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level(
            "typing error",
            f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.92 or damerau_levenshtein({name}_l, {name}_r) <= 1",
            0.12,
        ),
        Level("similar", f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.84", 0.04),
        Level("different", "else", 0.14),
    ]


def _phrase(name: str) -> list[Level]:
    shared = f"len(list_intersect(words({name}_l), words({name}_r)))"
    most = f"{shared} * 2 >= greatest(len(words({name}_l)), len(words({name}_r)))"
    return [
        Level("same", f"{name}_l = {name}_r", 0.65, name),
        Level(
            "typing error",
            f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.92 or damerau_levenshtein({name}_l, {name}_r) <= 2",
            0.12,
        ),
        Level("most words shared", most, 0.06),
        Level("similar or a word shared", f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.84 or {shared} > 0", 0.05),
        Level("different", "else", 0.12),
    ]


def _code(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.8, name),
        Level("one sign differs", f"damerau_levenshtein({name}_l, {name}_r) <= 1", 0.08),
        Level("two signs differ", f"damerau_levenshtein({name}_l, {name}_r) <= 2", 0.02),
        Level("different", "else", 0.1),
    ]


def _postal(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level("one sign differs", f"damerau_levenshtein({name}_l, {name}_r) <= 1", 0.08),
        Level("same area", "postal_area_l = postal_area_r", 0.05),
        Level("different", "else", 0.17),
    ]


def _email(name: str) -> list[Level]:
    return [
        Level("same", f"{name}_l = {name}_r", 0.7, name),
        Level("typing error", f"damerau_levenshtein({name}_l, {name}_r) <= 2", 0.08),
        Level("same name before the @", "email_name_l = email_name_r and length(email_name_l) >= 4", 0.04),
        Level("similar", f"jaro_winkler_similarity({name}_l, {name}_r) >= 0.9", 0.04),
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
