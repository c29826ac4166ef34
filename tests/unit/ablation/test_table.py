"""The table and its sentences, on days made up so that the answer is known."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from benchmarks.ablation import drawing, table
from benchmarks.ablation.configurations import Configuration, available, configurations
from benchmarks.ablation.days import Day
from benchmarks.ablation.judging import HARD, WRONG, Judged

PEOPLE = 2000


def day(configuration: Configuration, gains: np.ndarray, *, wrong: int = 0, repeated: int = 0) -> Day:
    """A day on which each human has two offers; the first `wrong` humans' are wrong-person offers."""
    count = len(gains)
    is_wrong = (np.arange(count) < wrong) * 2
    humans = pl.DataFrame(
        {
            "human": [f"h{place:05}" for place in range(count)], "offers": np.full(count, 2), "persons": np.ones(count, dtype=int),
            "hard": np.zeros(count, dtype=int), "wrong": is_wrong,
            **{part: np.zeros(count, dtype=int) for part in HARD}, **dict.fromkeys(WRONG, is_wrong),
            "shown": gains * 4, "gain": gains * 2, "any_gain": gains,
            "distinct_gain": gains,
        }
    )  # fmt: skip
    rows = pl.DataFrame([("events", 1000, repeated, 0)], schema=["table", "rows", "repeated", "noise"], orient="row")
    return Day(configuration, Judged(rows, humans), refused=0, seconds=1.0)


@pytest.fixture(scope="module")
def days() -> list[Day]:
    """All days the same but three: no gain to speak of without exchange, wrong people without CRM, repeated rows where duplicates stay."""
    rng = np.random.default_rng(11)
    gains = rng.exponential(0.05, 1000)
    made = []
    for one in configurations():
        withheld = one.cleaning.withheld
        if withheld == {"exchange"}:
            made.append(day(one, gains * 0.5))
        elif withheld == {"crm"}:
            made.append(day(one, gains, wrong=100))
        elif withheld == {"events"}:
            made.append(day(one, gains + rng.normal(0.0002, 0.02, 1000)))
        else:
            made.append(day(one, gains, repeated=300 if not one.cleaning.removes_duplicates else 0))
    return made


@pytest.fixture(scope="module")
def found(days: list[Day]):
    return table.lines(days, PEOPLE)


def test_each_silo_has_its_sentence_and_each_says_what_is_true(found) -> None:
    said = {sentence.split(":")[0].split(" (")[0]: sentence for sentence in table.worth(found[0], PEOPLE)}
    assert len(said) == 9, "six silos and three steps"
    assert "-50%" in said["Without exchange"]
    assert "+10.00 points of wrong-person offers" in said["Without crm"]
    assert "extra outcomes" not in said["Without crm"], "nothing is said of what is exactly the same"
    assert "eligibility and the audit never do without it" in said["Without compliance"]
    assert "cannot tell at this size, about" in said["Without events"]
    assert said["Without surveys"] == "Without surveys: nothing that is measured here differs."
    assert "30.0% of rows used repeated or outdated" in said["Without removing duplicates"]


def test_a_line_counts_what_was_judged(found) -> None:
    whole = found[0][0]
    assert (whole.offers, whole.humans, whole.humans_twice, whole.rows) == (2000, 1000, 0, 1000)
    assert whole.extra.low < whole.extra.value < whole.extra.high
    assert whole.extra.value == pytest.approx(1000 * whole.outcome.value / 4 * whole.offers / PEOPLE)


def test_without_all_subsets_there_are_no_shapley_values(found) -> None:
    assert table.shapley(*found) == {}


def test_with_all_subsets_shapley_values_add_up_to_the_whole_less_nothing() -> None:
    days = [day(one, np.full(50, 0.01 * (6 - len(one.cleaning.withheld)))) for one in configurations(all_subsets=True)]
    lines, draws = table.lines(days, 50)
    values = table.shapley(lines, draws)
    assert sum(value.value for value in values.values()) == pytest.approx(60.0)
    assert values["crm"].value == pytest.approx(10.0)


def test_the_csv_has_a_row_per_day_and_every_interval_in_order(found, tmp_path: Path) -> None:
    table.write_csv(tmp_path / "all.csv", found[0])
    rows = list(csv.DictReader((tmp_path / "all.csv").open(encoding="utf-8")))
    assert len(rows) == len(configurations())
    for row in rows:
        for name in table.INTERVALS:
            assert float(row[f"{name}_low"]) <= float(row[f"{name}_value"]) <= float(row[f"{name}_high"])
    without_exchange = next(row for row in rows if row["withheld"] == "exchange" and row["group"] == "one silo withheld")
    assert float(without_exchange["extra_difference_high"]) < 0


def test_the_chart_is_well_formed_shows_every_day_and_stays_within_its_panels(found) -> None:
    root = ElementTree.fromstring(drawing.chart(found[0], "Made up & tried"))
    dots = [one for one in root if one.tag.endswith("circle")]
    assert len(dots) == len(configurations()) * len(drawing.MEASURES)
    for place, dot in enumerate(dots):
        left = drawing.LABELS + place // len(configurations()) * (drawing.PANEL + drawing.GAP)
        assert left - 1 <= float(dot.get("cx")) <= left + drawing.PANEL + 1


def test_the_page_fetches_nothing_and_says_each_sentence(found) -> None:
    said = table.worth(found[0], PEOPLE)
    page = drawing.page(found[0], said, {}, "Made up", ["a note"])
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "<script" not in page
    assert page.count("<li>") == len(said) + 1


def test_a_day_of_a_shop_with_one_silo_is_found_by_its_cleaning() -> None:
    assert available(("exchange",)).withheld == {"crm", "events", "wallets", "compliance", "surveys"}
