"""The measure of whether held and withheld people can be told apart, on people made here."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benchmarks.non_interference import auc, matched

STRATA, EACH = 100, 40


def _people(seed: int) -> pl.DataFrame:
    """Strata of different sizes, of whom some are held and some withheld."""
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(STRATA), EACH)
    return pl.DataFrame(
        {
            "person_id": [f"p{number:04}" for number in range(stratum.size)],
            "is_held": rng.random(stratum.size) < 0.4,
            "stratum": [f"s{number}" for number in stratum],
        }
    )


def _seen(everybody: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """What everybody of a stratum sees alike: it tells the stratum and nothing else."""
    known = people.join(everybody.select("person_id", "stratum"), on="person_id")
    return known.select("person_id", field="stratum", len=pl.lit(1, pl.UInt32))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pairs_are_one_held_and_one_withheld_of_one_stratum(seed):
    everybody = _people(seed)
    people = matched(everybody, seed).join(everybody.select("person_id", "stratum"), on="person_id")
    pairs = people.group_by("pair").agg(pl.col("is_held").sum(), pl.len(), pl.col("stratum").n_unique().alias("strata"))
    assert (
        pairs.select(pl.col("is_held").eq(1).all(), pl.col("len").eq(2).all(), pl.col("strata").eq(1).all()).row(0)
        == (True,) * 3
    )
    most = everybody.group_by("stratum").agg(pl.min_horizontal(pl.col("is_held").sum(), (~pl.col("is_held")).sum()))
    assert pairs.height == most["is_held"].sum()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_there_is_nothing_to_learn_a_half_is_found_and_not_less(seed):
    everybody = _people(seed)
    people = matched(everybody, seed)
    area, half = auc(_seen(everybody, people), people, seed)
    assert area - half <= 0.5 <= area + half

    parted = people.with_columns(pair=pl.int_range(pl.len()))  # as if nobody had a partner
    area, half = auc(_seen(everybody, people), parted, seed)
    assert area + half < 0.5, "folds that part the two of a pair find less than a half"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_word_that_only_half_of_the_held_see_is_found(seed):
    everybody = _people(seed)
    people = matched(everybody, seed)
    fields = _seen(everybody, people)
    few = people.filter("is_held").sample(fraction=0.5, seed=seed)
    leaked = pl.concat([fields, few.select("person_id", field=pl.lit("under review"), len=pl.lit(1, pl.UInt32))])
    area, half = auc(leaked, people, seed)
    assert area - half > 0.6
