"""Phone numbers are read as their country writes them, each pair asked once."""

from __future__ import annotations

import duckdb
import pytest

from candor.standardise import phones


@pytest.mark.parametrize(
    ("raw", "country", "expected"),
    [
        pytest.param("020 7946 0958", "GB", ("+442079460958", "GB", True, None), id="national_number_of_the_rows_country"),
        pytest.param("+44 (0)20 7946-0958", "DE", ("+442079460958", "GB", True, None), id="the_prefix_beats_the_rows_country"),
        pytest.param("+442079460958", "", ("+442079460958", "GB", True, None), id="no_country_needed_with_a_prefix"),
        pytest.param("020 7946 0958", "", (None, None, False, "unknown_country_code"), id="no_country_and_no_prefix"),
        pytest.param("020 7946 0958", "XX", (None, None, False, "unknown_country_code"), id="no_such_country"),
        pytest.param("call me", "GB", (None, None, False, "not_a_number"), id="words"),
        pytest.param("", "GB", (None, None, False, "not_a_number"), id="nothing"),
        pytest.param("0000000000", "GB", (None, None, False, "no_such_number"), id="only_zeros"),
        pytest.param(
            "+1 204 234 5678", "US", ("+12042345678", "CA", True, None), id="a_canadian_number_in_a_us_row_is_canadian"
        ),
        pytest.param("+800 1234 5678", "GB", ("+80012345678", None, True, None), id="a_number_of_no_country"),
    ],
)
def test_a_phone_number_is_read_as_its_country_writes_it(raw, country, expected):
    assert phones.phone(raw, country) == expected


@pytest.fixture
def connection():
    connection = duckdb.connect(":memory:")
    connection.execute("create schema raw")
    for table in phones.SOURCES:
        connection.execute(f"create table {table} (phone varchar, country_code varchar)")
    yield connection
    connection.close()


def test_each_pair_is_asked_once_and_its_answer_kept(connection, monkeypatch):
    asked = []
    answer = phones.phone
    monkeypatch.setattr(phones, "phone", lambda raw, country: asked.append((raw, country)) or answer(raw, country))
    connection.execute(
        "insert into raw.exchange__accounts values ('020 7946 0958', 'GB'), ('020 7946 0958', 'GB'), ('020 7946 0958', null), (null, 'GB')"
    )
    connection.execute("insert into raw.crm__contacts values ('020 7946 0958', 'GB'), ('call me', 'GB')")

    assert phones.refresh(connection) == 3
    assert phones.refresh(connection) == 0
    connection.execute("insert into raw.crm__contacts values ('030 123456', 'DE')")
    assert phones.refresh(connection) == 1

    assert sorted(asked) == [("020 7946 0958", ""), ("020 7946 0958", "GB"), ("030 123456", "DE"), ("call me", "GB")]
    kept = connection.execute("select raw, country, phone_std, is_valid from state.phone_numbers order by all").fetchall()
    assert kept == [
        ("020 7946 0958", "", None, False),
        ("020 7946 0958", "GB", "+442079460958", True),
        ("030 123456", "DE", "+4930123456", True),
        ("call me", "GB", None, False),
    ]
