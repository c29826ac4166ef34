"""What an edge list may look like, what is refused, and what is said about it."""

from __future__ import annotations

from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from candor.errors import UsageError
from candor.identity.wallets import cluster_transfers, reading

EVM = "0xAbCdef0123456789abcdef0123456789ABCDEF01"


def test_two_spellings_of_one_evm_address_are_one_node_and_both_are_written(made):
    found = cluster_transfers(pa.table({"from_id": [EVM, EVM.lower(), "A"], "to_id": ["b", "c", "a"]}))
    clusters = made.clusters_of(found)
    assert clusters[EVM] == clusters[EVM.lower()] == min(EVM, EVM.lower())
    assert clusters["A"] == "A", "the case of an id that is no EVM address is part of it"
    counts = dict(zip(found.nodes["node_id"].to_pylist(), found.nodes["counterparties"].to_pylist(), strict=True))
    assert counts[EVM] == counts[EVM.lower()] == 2


def test_ids_come_back_exactly_as_they_were_given_and_each_once():
    table = pa.table({"from_id": ["é", "two words", EVM, "two words"], "to_id": ["10", "010", "é", "10"]})
    assert cluster_transfers(table).nodes["node_id"].to_pylist() == sorted(["é", "two words", EVM, "10", "010"], key=str.encode)


def test_rows_without_an_id_are_refused_and_counted():
    table = pa.table({"from_id": ["a", None, "c", " "], "to_id": ["b", "b", None, "d"]})
    found = cluster_transfers(table)
    assert found.intake.refused == {"id_missing": 3}
    assert found.nodes["node_id"].to_pylist() == ["a", "b"]


def test_a_wallet_that_only_sent_to_itself_is_written_alone(made):
    found = cluster_transfers(made.table_of("a>a b>c"))
    assert made.clusters_of(found)["a"] == "a"
    assert found.nodes["counterparties"].to_pylist() == [0, 1, 1]


def test_repeated_rows_change_nothing(made):
    table = made.random_table(3, timed=True)
    assert cluster_transfers(pa.concat_tables([table, table])).nodes == cluster_transfers(table).nodes


def test_zero_amounts_and_values_that_are_no_numbers_are_taken_as_unknown_and_counted():
    table = pa.table({"from_id": ["a", "b", "c", "d"], "to_id": ["x"] * 4, "amount": ["0", "-1", "many", None]})
    found = cluster_transfers(table)
    assert found.intake.unreadable == {"amount": 2}, "a negative one and a word; zero and nothing are no mistakes"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(["1970-01-01 00:01:00", "1970-01-01T00:02:00Z"], [60.0, 120.0], id="text"),
        pytest.param(["60", "1.2e2"], [60.0, 120.0], id="numbers_as_text"),
        pytest.param([60, 120], [60.0, 120.0], id="block_numbers"),
        pytest.param([datetime(1970, 1, 1, 0, 1), datetime(1970, 1, 1, 0, 2)], [60.0, 120.0], id="timestamps"),  # noqa: DTZ001
        pytest.param(["never", ""], [np.nan, np.nan], id="not_a_time"),
    ],
)
def test_times_come_as_text_numbers_or_timestamps(values, expected):
    table = pa.table({"from_id": ["a", "b"], "to_id": ["c", "d"], "occurred_at": values})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("given", table)
        rows = reading.intern(connection, "given")
    np.testing.assert_array_equal(rows.occurred, expected)


def test_unknown_columns_are_ignored_and_named():
    found = cluster_transfers(pa.table({"from_id": ["a"], "to_id": ["b"], "gas": [21000], "Kind": ["ethereum:ETH"]}))
    assert found.intake.ignored == ("gas",)
    assert found.intake.used == ("from_id", "to_id", "kind")


def test_columns_may_have_other_names(made):
    table = pa.table({"sender": ["a"], "receiver": ["b"], "from_id": ["not this one"]})
    found = cluster_transfers(table, mapping={"sender": "from_id", "receiver": "to_id"})
    assert list(made.clusters_of(found)) == ["a", "b"]


@pytest.mark.parametrize(
    ("columns", "mapping", "said"),
    [
        pytest.param({"from_id": ["a"]}, {}, "no column to_id", id="a_column_missing"),
        pytest.param(
            {"a": ["a"], "b": ["b"]}, {"c": "from_id"}, "the column 'c', which the file does not have", id="not_there"
        ),
        pytest.param({"a": ["a"], "b": ["b"]}, {"a": "sender"}, "'sender', which means nothing", id="a_name_of_nothing"),
        pytest.param({"a": ["a"], "b": ["b"]}, {"a": "to_id", "b": "to_id"}, "to_id' to more than one", id="a_name_twice"),
        pytest.param({"from_id": pa.array([], "string"), "to_id": pa.array([], "string")}, {}, "has no rows", id="empty"),
        pytest.param({"from_id": [None], "to_id": ["b"]}, {}, "no row with both ids (1 rows refused)", id="nothing_left"),
    ],
)
def test_an_edge_list_that_cannot_be_used_says_why_and_what_to_do(columns, mapping, said):
    with pytest.raises(UsageError) as raised:
        cluster_transfers(pa.table({name: pa.array(values) for name, values in columns.items()}), mapping=mapping)
    assert said in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize("seed", range(5))
def test_sorted_distinct_rows_are_those_of_a_plain_sort(seed):
    rng = np.random.default_rng(seed)
    source, target, kind = rng.integers(0, 4, (3, 300)).astype(np.int32)
    occurred = np.where(rng.random(300) < 0.3, np.nan, rng.integers(0, 3, 300).astype(float))
    amount = np.where(rng.random(300) < 0.3, np.nan, rng.integers(0, 3, 300).astype(float))

    def key(row):
        return tuple((value != value, 0 if value != value else value) for value in row)

    plain = sorted({key(row) for row in zip(source, target, occurred, amount, kind, strict=True)})
    found = reading._distinct(4, source, target, kind, occurred, amount)
    got = [key((a, b, t, x, k)) for a, b, k, t, x in zip(*found, strict=True)]
    assert got == plain
