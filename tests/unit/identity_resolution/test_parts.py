"""The parts of candor.identity.resolution, each against something slower or something written down."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from candor.cli import app
from candor.errors import UsageError
from candor.identity import answers
from candor.identity.resolution import blocking, clustering, evidence, kin, learning, model, reading, standardise
from candor.identity.resolution.columns import Column, parse_map, rename


def average_linkage(records: int, odds: dict[tuple[int, int], float], least: float, missing: float) -> list[int]:
    """The obvious way: look at every two groups, join the two that agree most on average, again and again."""
    groups = [[record] for record in range(records)]
    while True:
        best, pick = least, None
        for i, one in enumerate(groups):
            for j in range(i + 1, len(groups)):
                pairs = [odds.get((min(a, b), max(a, b)), missing) for a in one for b in groups[j]]
                mean = sum(pairs) / len(pairs)
                if mean > best or (mean == best and pick is None):
                    best, pick = mean, (i, j)
        if pick is None:
            return [next(min(group) for group in groups if record in group) for record in range(records)]
        groups[pick[0]] += groups.pop(pick[1])


@pytest.mark.parametrize("seed", range(20))
def test_groups_equal_those_of_joining_the_best_two_one_at_a_time(seed: int) -> None:
    draw = np.random.default_rng(seed)
    records = 14
    odds = {
        (a, b): float(np.round(draw.normal(-1, 6) * 1024) / 1024)
        for a in range(records)
        for b in range(a + 1, records)
        if draw.random() < 0.6
    }
    left, right = (np.array([pair[side] for pair in odds], dtype=np.int32) for side in (0, 1))
    clipped = {pair: float(np.clip(value, clustering.MOST_AGAINST, clustering.MOST_FOR)) for pair, value in odds.items()}
    found = clustering.cluster(records, left, right, np.array(list(odds.values())), least=0.0)
    assert found.tolist() == average_linkage(records, clipped, 0.0, clustering.NOT_COMPARED)


def test_one_wrong_pair_does_not_chain_two_persons() -> None:
    pairs = {(0, 1): 10.0, (0, 2): 10.0, (1, 2): 10.0, (3, 4): 10.0, (3, 5): 10.0, (4, 5): 10.0, (2, 3): 9.0}
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    assert clustering.cluster(6, left, right, np.array(list(pairs.values()))).tolist() == [0, 0, 0, 3, 3, 3]


def test_a_group_never_holds_two_records_of_a_unique_source_and_the_best_one_stays() -> None:
    left, right, odds = (np.array(values) for values in ([0, 0, 1], [1, 2, 2], [8.0, 5.0, 9.0]))
    assert clustering.cluster(3, left, right, odds).tolist() == [0, 0, 0]
    assert clustering.cluster(3, left, right, odds, unique=np.array([1, 1, 2])).tolist() == [0, 1, 1]


def test_pairs_within_groups_are_all_those_not_known_yet() -> None:
    group = np.array([0, 0, 2, 0, 2, 5])
    left, right = clustering.pairs_within(group, np.array([0], dtype=np.int32), np.array([3], dtype=np.int32), most=100)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(0, 1), (1, 3), (2, 4)]


def records_of(rows: dict[str, list[str | None]]) -> tuple[duckdb.DuckDBPyConnection, list[Column]]:
    connection = duckdb.connect(config={"threads": 1})
    count = len(next(iter(rows.values())))
    ids = pa.array([f"{number:05}" for number in range(count)])
    made = {name: pa.array(values, pa.string()) for name, values in rows.items()}
    standardise.load(connection, {"made": pa.table({"record_id": ids, **made})})
    return connection, standardise.standardise(connection)


@pytest.mark.parametrize(
    ("written", "given", "family", "more"),
    [
        pytest.param(
            "Sir Thomas Chaloner, 1st Baronet", "thomas", "chaloner", ["1st", "baronet", "sir"], id="titles_are_no_names"
        ),
        pytest.param("Chaloner, Thomas", "thomas", "chaloner", None, id="last_name_first_with_comma"),
        pytest.param("José  María O'Neill", "jose", "oneill", ["maria"], id="accents_apostrophe_middle_name"),
        pytest.param("Madonna", "madonna", None, None, id="one_word_is_a_first_name"),
    ],
)
def test_full_names_are_taken_apart(written: str, given: str, family: str | None, more: list[str] | None) -> None:
    connection, _ = records_of({"full_name": [written, "somebody else", "nobody at all"]})
    assert connection.execute("select given, family, more_names from records where uid = 0").fetchone() == (given, family, more)


@pytest.mark.parametrize(
    ("written", "born"),
    [
        ("1980-05-17", "19800517"), ("17/05/1980", "19800517"), ("17.5.1980", "19800517"), ("19800517", "19800517"), ("17 May 1980", "19800517"),
        ("1980", "19800000"), ("1980-05", "19800500"), ("19801399", "19801399"), ("1980-05-17 00:00:00", "19800517"),
        ("who knows", None), (" ", None),
    ],
)  # fmt: skip
def test_birth_dates_are_read_in_their_usual_forms(written: str, born: str | None) -> None:
    connection, _ = records_of({"birth_date": [written, "1990-12-31", "1991-11-30"]})
    assert connection.execute("select born from records where uid = 0").fetchone() == (born,)


def test_american_dates_are_read_month_first_when_the_column_shows_it() -> None:
    connection, _ = records_of({"birth_date": ["03/04/1990", "05/17/1980", "12/25/1981"]})
    assert connection.execute("select born from records where uid = 0").fetchone() == ("19900304",)


def test_the_day_that_stands_for_an_unknown_day_is_found() -> None:
    days = [f"19{year:02}-01-01" for year in range(40, 80)] + [
        f"1950-{month:02}-{day:02}" for month in range(2, 12) for day in range(1, 11)
    ]
    connection, _ = records_of({"birth_date": days})
    assert connection.execute("select distinct born_day from records where born_is_vague").fetchall() == [("0101",)]


@pytest.mark.parametrize("surnames", [["Smith"], ["Smith", "Jones"]], ids=["everybody_smith", "two_names"])
def test_a_name_that_everybody_bears_does_not_explode_the_pairs(surnames: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "PAIRS_PER_RECORD", 2)
    count = 3000
    connection, columns = records_of(
        {
            "last_name": [surnames[number % len(surnames)] for number in range(count)],
            "first_name": [["John", "Mary", "Ann"][number % 3] for number in range(count)],
            "birth_date": [
                f"{1930 + number // 2 % 60}-{1 + number // 2 % 12:02}-{1 + number // 2 % 28:02}" for number in range(count)
            ],
            "place": [f"place{number // 2}" for number in range(count)],
        }
    )
    blocks = blocking.block(connection, columns)
    assert count // 2 <= blocks.pairs <= blocking.PAIRS_PER_RECORD * count
    assert connection.execute("select count(*) from pairs where r = l + 1 and l % 2 = 0").fetchone() == (count // 2,)


def pairs_of(level: list[list[int]]) -> evidence.Pairs:
    count = len(level)
    return evidence.Pairs(np.zeros(count, dtype=np.int32), np.ones(count, dtype=np.int32), np.array(level, dtype=np.int8))


def test_learning_finds_the_probabilities_that_pairs_were_drawn_with() -> None:
    draw = np.random.default_rng(4)
    columns = [Column(name, "category", "other") for name in ("x_a", "x_b", "x_c", "x_d", "x_e")]
    m, u, share, count = 0.85, 0.02, 0.2, 60_000
    true = draw.random((count, 1)) < share
    agree = np.where(true, draw.random((count, 5)) < m, draw.random((count, 5)) < u)
    strangers = draw.random((200_000, 5)) < u
    found = learning.learn(
        columns, pairs_of((~agree).astype(int).tolist()), pairs_of((~strangers).astype(int).tolist()), count, [None] * 5
    )
    assert [float(values[0, 0]) for values in found.m] == pytest.approx([m] * 5, abs=0.02)
    assert [float(values[0, 0]) for values in found.u] == pytest.approx([u] * 5, abs=0.003)
    assert found.prior == pytest.approx(share, abs=0.01)


def test_splink_scores_pairs_as_learning_does_with_frequencies_and_dependence() -> None:
    draw = np.random.default_rng(9)
    count = 300
    towns = draw.integers(0, 12, count)
    connection, columns = records_of(
        {
            "first_name": [["Ada", "Adam", "Eve", None][value] for value in draw.integers(0, 4, count)],
            "last_name": [["Lee", "Leigh", "Marsh", "Ford"][value] for value in draw.integers(0, 4, count)],
            "postal_code": [
                f"{1000 + 10 * town + extra}" for town, extra in zip(towns, draw.integers(0, 2, count), strict=True)
            ],
            "place": [f"town{town:02} on the water" for town in towns],
        }
    )
    strangers = evidence.strangers(connection, columns, seed=1)
    names = [column.name for column in columns]
    depends: list[learning.Dependence | None] = [None] * len(columns)
    depends[names.index("place")] = learning.Dependence(on=names.index("postal_code"), agrees=2)
    codes = [evidence.value_codes(connection, column) for column in columns]
    frequency: list[np.ndarray | None] = [learning.frequencies(code) for code in codes]
    weights = learning.learn(columns, strangers, strangers, len(strangers), frequency, depends)
    some = strangers.take(np.arange(0, len(strangers), 7))
    splink = model.score(connection, columns, weights, some, frequency)
    np.testing.assert_allclose(splink, learning.score(columns, some, weights, frequency), atol=1e-6)


def test_a_name_borne_by_one_person_ten_times_is_as_rare_as_one_borne_once() -> None:
    codes, person = np.array([0] * 10 + [1, 2], dtype=np.int32), np.array([0] * 10 + [10, 11])
    assert learning.frequencies(codes, person).tolist() == pytest.approx([1 / 3] * 12)


def test_nicknames_are_learned_from_persons_and_chance_companions_are_not() -> None:
    first = ["William", "Bill", "William"] * 8 + ["John", "Albert"] * 4 + ["John"] * 30 + ["Albert"] * 30
    connection, columns = records_of({"first_name": first, "place": [f"p{number}" for number in range(len(first))]})
    group = np.array(
        [number // 3 * 3 for number in range(24)] + [24 + number // 2 * 2 for number in range(8)] + list(range(32, 92))
    )
    assert kin.learn(connection, columns, group) == [0]
    assert connection.execute("select distinct given, kin_given from records where kin_given is not null order by 1").fetchall() == [
        ("bill", ["william"]), ("william", ["bill"]),
    ]  # fmt: skip


def test_files_are_read_with_their_stem_as_source_and_usual_headers_understood(tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_text("id; Surname ;dob\n007;Bond;1920-11-11\n", encoding="utf-8")
    pyarrow.parquet.write_table(pa.table({"record_id": [7], "zip": [1010.0]}), tmp_path / "kyc.parquet")
    with pytest.raises(UsageError, match="no column record_id"):
        reading.read([tmp_path / "crm.csv"])
    tables = reading.read([tmp_path / "crm.csv", tmp_path / "kyc.parquet"], {"id": "record_id"})
    assert tables["crm"].to_pylist() == [{"record_id": "007", "last_name": "Bond", "birth_date": "1920-11-11"}]
    assert tables["kyc"].to_pylist() == [{"record_id": "7", "postal_code": "1010"}]


@pytest.mark.parametrize(
    ("content", "mapping", "message"),
    [
        pytest.param(b"", {}, "empty file", id="no_bytes"),
        pytest.param(b"record_id,name\n", {}, "no rows", id="header_only"),
        pytest.param(b"record_id,name\n1,J\xf6rg\n2,Eva\n", {}, "cannot read", id="not_utf_8"),
        pytest.param(
            b"record_id,name\n1,Eva\n", {"vorname": "first_name"}, "'vorname', which no file has", id="unknown_mapped_column"
        ),
        pytest.param(b"record_id,a,b\n1,x,y\n", {"a": "place", "b": "place"}, "would all be 'place'", id="two_columns_to_one"),
    ],
)
def test_files_that_cannot_be_used_say_why(tmp_path: Path, content: bytes, mapping: dict[str, str], message: str) -> None:
    (tmp_path / "crm.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message) as refused:
        reading.read([tmp_path / "crm.csv"], mapping)
    assert refused.value.hint


def test_map_arguments_and_other_names() -> None:
    assert parse_map(["Cust No=record_id", "ort=place"]) == {"Cust No": "record_id", "ort": "place"}
    with pytest.raises(UsageError, match="'ort'"):
        parse_map(["ort"])
    # place is taken by what was mapped, so the second name for a place stays a column of its own
    assert rename(["ort", "city"], {"ort": "place"}, file="crm") == {"ort": "place", "city": "city"}


def test_the_command_keeps_to_the_limits_and_writes_every_record_and_exits_2_with_a_message_on_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    limits = {"CANDOR_STATE_DIR": str(tmp_path / "var"), "CANDOR_MEMORY_LIMIT": "1GiB", "CANDOR_THREADS": "3"}
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    kept, found = [], standardise.standardise

    def seen(connection: duckdb.DuckDBPyConnection) -> list[Column]:
        settings = ("threads", "memory_limit", "temp_directory")
        kept.append(connection.execute(f"select {', '.join(f'current_setting({name!r})' for name in settings)}").fetchone())
        return found(connection)

    monkeypatch.setattr(standardise, "standardise", seen)
    records = tmp_path / "crm.csv"
    records.write_text(
        "key,first_name,last_name,born\n" + "".join(f"{n},Eva{n // 2},Berg{n // 2},19{n // 2:02}-02-03\n" for n in range(60))
    )
    call = ["identity", "resolve", str(records), "--out", str(tmp_path / "who.parquet")]
    done = CliRunner().invoke(app, [*call, "--map", "key=record_id", "--map", "born=birth_date"])
    assert done.exit_code == 0, done.output
    written = pyarrow.parquet.read_table(tmp_path / "who.parquet")
    assert written.column_names == ["source", "record_id", "person_id", "probability"]
    assert written.num_rows == 60
    assert len(written["person_id"].unique()) == 30
    assert kept == [(3, "1.0 GiB", str(tmp_path / "var" / "tmp"))]
    assert [path.name for path in tmp_path.glob(".*")] == []
    refused = CliRunner().invoke(app, call)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.exit_code == 2


def test_an_answer_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, later = pa.table({"record_id": ["a"]}), pa.table({"record_id": ["a", "b"]})
    answers.write_parquet(earlier, tmp_path / "who.parquet")

    def full(table: pa.Table, path: Path, **_: object) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(pyarrow.parquet, "write_table", full)
        with pytest.raises(OSError, match="no space left"):
            answers.write_parquet(later, tmp_path / "who.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "who.parquet").equals(earlier)
    assert [path.name for path in tmp_path.iterdir()] == ["who.parquet"]
