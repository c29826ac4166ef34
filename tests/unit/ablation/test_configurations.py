"""Which days are decided: the whole one first, none twice, and every silo and step alone among them."""

from __future__ import annotations

from benchmarks.ablation.configurations import ORDER, WITHHELD, available, configurations
from candor.cleaning import SILOS, Cleaning


def test_the_first_day_is_whole_and_no_two_have_the_same_cleaning() -> None:
    found = configurations()
    assert found[0].cleaning.is_whole
    assert (
        len({one.cleaning for one in found})
        == len({one.slug for one in found})
        == len({one.name for one in found})
        == len(found)
    )


def test_each_silo_is_withheld_alone_once() -> None:
    withheld = [one.cleaning.withheld for one in configurations() if one.group == WITHHELD]
    assert sorted(withheld, key=sorted) == sorted((frozenset([silo]) for silo in SILOS), key=sorted)


def test_from_one_to_six_silos_are_there_cleaned_and_uncleaned() -> None:
    cleanings = {one.cleaning for one in configurations()}
    for count in range(1, len(ORDER) + 1):
        for steps in (True, False):
            assert available(ORDER[:count], removes_duplicates=steps, removes_noise=steps, standardises=steps) in cleanings


def test_at_six_silos_all_eight_combinations_of_steps_are_there() -> None:
    at_six = [one.cleaning for one in configurations() if not one.cleaning.withheld]
    assert len(at_six) == 8


def test_all_subsets_add_up_to_sixty_four_days_with_everything_cleaned() -> None:
    whole_steps = [one for one in configurations(all_subsets=True) if one.cleaning == Cleaning(withheld=one.cleaning.withheld)]
    assert len(whole_steps) == 2 ** len(SILOS)
    assert configurations(all_subsets=True)[: len(configurations())] == configurations()
