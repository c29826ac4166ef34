"""candor.identity.resolution as a whole: who is who, whatever the order, the gaps and the names of columns."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.resolution import DATA, measure
from benchmarks.resolution_people import heavy
from candor.errors import UsageError
from candor.identity.resolution import persons, reading, resolve

PEOPLE = [
    # record_id, first_name, last_name, birth_date, place, email
    ("anna_as_she_writes", "Anna", "Müller", "1980-05-17", "Graz", "anna.mueller@example.org"),
    ("anna_without_umlaut", "ANNA", "Muller", "17/05/1980", "graz", None),
    ("anna_mistyped", "Ana", "Müller", "1980-05-11", "Graz", "anna.mueller@example.org"),
    ("annas_brother", "Peter", "Müller", "1983-02-28", "Graz", None),
    ("blank", None, "", "  ", "n/a", None),
    ("stranger_of_the_same_name", "Anna", "Müller", "1951-11-02", "Lienz", "a.m@example.net"),
]


def table(rows: list[tuple[str | None, ...]], names: str = "record_id first_name last_name birth_date place email") -> pa.Table:
    return pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(names.split(), zip(*rows, strict=True), strict=True)}
    )


def crowd(count: int, seed: int) -> list[tuple[str | None, ...]]:
    """Strangers among whom it can be learned how strangers compare: two records each, a quarter with an error."""
    draw = random.Random(seed)
    rows: list[tuple[str | None, ...]] = []
    for number in range(count):
        name = "".join(draw.choice("bdfgklmnprst") + draw.choice("aeiou") for _ in range(3))
        first = draw.choice(["Maria", "Josef", "Franz", "Eva", "Karl", "Ida", "Paul", "Rosa"])
        born = f"{draw.randint(1930, 2000)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        place = draw.choice(["Wien", "Linz", "Wels", "Steyr", "Villach"])
        rows.append((f"c{number}a", first, name, born, place, f"{name}{number}@example.com"))
        rows.append((f"c{number}b", first, name if draw.random() < 0.75 else name[1:], born, place, None))
    return rows


def grouping(answer: pa.Table) -> dict[str, str]:
    return dict(zip(answer["record_id"].to_pylist(), answer["person_id"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def small() -> pa.Table:
    return resolve({"crm": table(PEOPLE + crowd(100, 5))})


def test_the_same_person_is_found_through_case_accents_date_formats_and_typing_errors(small: pa.Table) -> None:
    who = grouping(small)
    assert who["anna_as_she_writes"] == who["anna_without_umlaut"] == who["anna_mistyped"]


def test_a_brother_and_a_stranger_of_the_same_name_stay_apart(small: pa.Table) -> None:
    who = grouping(small)
    assert len({who["anna_as_she_writes"], who["annas_brother"], who["stranger_of_the_same_name"]}) == 3


def test_every_record_comes_out_exactly_once_and_a_blank_one_is_alone_and_certain(small: pa.Table) -> None:
    rows = small.to_pylist()
    assert sorted(row["record_id"] for row in rows) == sorted(str(row[0]) for row in PEOPLE + crowd(100, 5))
    blank = next(row for row in rows if row["record_id"] == "blank")
    assert [row["person_id"] for row in rows].count(blank["person_id"]) == 1
    assert blank["probability"] == 1.0
    assert all(0 < row["probability"] <= 1 for row in rows)


@pytest.mark.parametrize("seed", [1, 2])
def test_order_of_rows_files_and_columns_changes_nothing(small: pa.Table, seed: int) -> None:
    rows = PEOPLE + crowd(100, 5)
    random.Random(seed).shuffle(rows)
    middle = len(rows) // 2
    first, second = table(rows[:middle]), table(rows[middle:])
    source = pa.array(["crm"] * len(rows), pa.string())
    second = second.select(["email", "record_id", "place", "birth_date", "last_name", "first_name"])
    parts = {"a": first.append_column("source", source[:middle]), "b": second.append_column("source", source[middle:])}
    assert resolve(parts).equals(small)


@pytest.fixture(scope="module")
def two_sources() -> tuple[dict[str, pa.Table], dict[str, str]]:
    """About 300 persons, each once in `left` and once in `right` with heavy errors: (tables, record to person)."""
    records, person = heavy(1200, 3, 4)
    truth = np.array(person)
    place = np.zeros(len(truth), dtype=np.int64)
    order = np.argsort(truth, kind="stable")
    starts = np.searchsorted(truth[order], truth[order])
    place[order] = np.arange(len(truth)) - starts
    tables = {"left": records.filter(pa.array(place == 0)), "right": records.filter(pa.array(place == 1))}
    return tables, dict(zip(records["record_id"].to_pylist(), map(str, truth.tolist()), strict=True))


def test_sources_without_duplicates_are_found_out_and_give_a_person_one_record_each(
    two_sources: tuple[dict[str, pa.Table], dict[str, str]],
) -> None:
    tables, truth = two_sources
    found = persons.resolve(tables)
    assert found.unique_sources == ["left", "right"]
    keys = list(zip(found.table["source"].to_pylist(), found.table["person_id"].to_pylist(), strict=True))
    assert len(set(keys)) == len(keys)
    agreed = measure(
        *(
            np.unique(labels, return_inverse=True)[1]
            for labels in (
                [truth[record] for record in found.table["record_id"].to_pylist()],
                found.table["person_id"].to_pylist(),
            )
        )
    )
    assert agreed.f1 > 0.85


def test_a_named_unique_source_gives_a_person_at_most_one_record_even_of_true_duplicates() -> None:
    rows = PEOPLE + crowd(100, 5)
    answer = resolve({"crm": table(rows)}, unique_sources=["crm"])
    assert len(answer["person_id"].unique()) == len(rows)


@pytest.mark.parametrize("seed", [11])
def test_made_up_records_with_heavy_errors_come_together(seed: int) -> None:
    records, person = heavy(500, seed, 8)
    answer = resolve({"made_up": records})
    truth = dict(zip(records["record_id"].to_pylist(), person.to_pylist(), strict=True))
    found = np.unique(answer["person_id"].to_pylist(), return_inverse=True)[1]
    assert measure(np.array([truth[record] for record in answer["record_id"].to_pylist()]), found).f1 >= 0.94


def test_a_higher_threshold_joins_less_and_only_what_the_lower_one_joined() -> None:
    rows = PEOPLE + crowd(100, 5)
    loose, strict = (grouping(resolve({"crm": table(rows)}, threshold=threshold)) for threshold in (0.5, 0.999))
    assert len(set(strict.values())) >= len(set(loose.values()))


def test_a_saved_model_gives_the_same_answer_again_and_its_file_the_same_bytes(tmp_path: Path, small: pa.Table) -> None:
    rows, kept = PEOPLE + crowd(100, 5), tmp_path / "model.json"
    assert resolve({"crm": table(rows)}, saved=kept).equals(small)
    written = kept.read_bytes()
    assert resolve({"crm": table(rows)}, saved=kept).equals(small)
    resolve({"crm": table(rows)}, saved=tmp_path / "again.json")
    assert kept.read_bytes() == written == (tmp_path / "again.json").read_bytes()


def test_a_saved_model_without_its_columns_is_refused(tmp_path: Path) -> None:
    resolve({"crm": table(crowd(60, 6))}, saved=tmp_path / "model.json")
    with pytest.raises(UsageError, match="compares by email"):
        resolve({"crm": table(crowd(60, 6)).drop_columns(["email"])}, saved=tmp_path / "model.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UsageError, match="not a model"):
        resolve({"crm": table(crowd(60, 6))}, saved=tmp_path / "other.json")


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        pytest.param(
            [("1", "a"), ("1", "b")], "record_id first_name", "more than once in their source: crm/1 x 2", id="same_id_twice"
        ),
        pytest.param([(None, "a"), ("1", "b")], "record_id first_name", "without a record_id", id="id_missing_in_a_row"),
        pytest.param([("1", "a")], "key first_name", "no column record_id", id="no_record_id_column"),
        pytest.param([("1", None), ("2", None)], "record_id first_name", "no usable column: first_name", id="nothing_filled"),
        pytest.param([("1",), ("2",)], "record_id", "nothing beside record_id", id="only_ids"),
    ],
)
def test_records_that_cannot_be_resolved_say_why(rows: list[tuple[str | None, ...]], names: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        resolve({"crm": table(rows, names)})
    assert refused.value.hint


def test_wrong_arguments_say_which_value() -> None:
    with pytest.raises(UsageError, match=r"threshold 1\.5"):
        resolve({"crm": table(PEOPLE)}, threshold=1.5)
    with pytest.raises(UsageError, match="source 'kyc'; sources: crm"):
        resolve({"crm": table(PEOPLE)}, unique_sources=["kyc"])


def public(*files: str) -> list[Path]:
    paths = [DATA / file for file in files]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        pytest.skip(f"PUBLIC DATA MISSING, the bounds on real data were NOT checked: {missing}")
    return paths


def test_fake_1000_reaches_its_bound() -> None:
    records = reading.read(public("splink_er/fake_1000.csv"), {"unique_id": "record_id"})["fake_1000"]
    answer = resolve({"fake_1000": records.drop_columns(["cluster"])})
    truth = dict(zip(records["record_id"].to_pylist(), records["cluster"].to_pylist(), strict=True))
    labels = [truth[record] for record in answer["record_id"].to_pylist()], answer["person_id"].to_pylist()
    assert measure(*(np.unique(label, return_inverse=True)[1] for label in labels)).f1 >= 0.935


def test_a_fifth_of_febrl_4_reaches_its_bound() -> None:
    tables = reading.read(public("febrl/dataset4a.csv", "febrl/dataset4b.csv"), {"rec_id": "record_id"})
    fifth = {
        name: records.filter(
            pa.array([record.split("-")[1].endswith(("1", "6")) for record in records["record_id"].to_pylist()])
        )
        for name, records in tables.items()
    }
    answer = resolve(fifth)
    labels = [record.split("-")[1] for record in answer["record_id"].to_pylist()], answer["person_id"].to_pylist()
    assert measure(*(np.unique(label, return_inverse=True)[1] for label in labels)).f1 >= 0.998


@pytest.mark.parametrize("rows", [[("1", "Ada")], [("1", "Ada"), ("2", "Ada")]], ids=["one_record", "two_that_are_all_alike"])
def test_too_few_records_to_learn_from_still_come_out_once_each(rows: list[tuple[str | None, ...]]) -> None:
    answer = resolve({"crm": table(rows, "record_id first_name")})
    assert answer["record_id"].to_pylist() == [row[0] for row in rows]
