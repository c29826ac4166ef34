"""Wallet addresses are asked once, only where SQL cannot judge them, and those of the vault stay in it."""

from __future__ import annotations

import duckdb
import pytest

from candor.standardise import wallets

WRONG_CASE = "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
RIGHT_CASE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
BITCOIN = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
TRON = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"


@pytest.fixture
def connection(tmp_path):
    connection = duckdb.connect(":memory:")
    connection.execute(f"attach '{tmp_path / 'vault.duckdb'}' as vault")
    connection.execute("create schema raw; create schema vault.raw")
    connection.execute("create table raw.wallets__wallet_links (wallet_address varchar)")
    connection.execute("create table raw.wallets__transfers (from_address varchar, to_address varchar)")
    for table in ("screening_hits", "restrictions"):
        connection.execute(f"create table vault.raw.compliance__{table} (wallet_address varchar)")
    yield connection
    connection.close()


def test_only_what_sql_cannot_judge_is_asked_and_only_once(connection):
    lower, upper = RIGHT_CASE.lower(), "0X" + RIGHT_CASE[2:].upper()
    connection.executemany(
        "insert into raw.wallets__wallet_links values (?)",
        [(text,) for text in (lower, upper, f" {RIGHT_CASE} ", RIGHT_CASE, WRONG_CASE, "0xabc", None)],
    )
    connection.execute("insert into raw.wallets__transfers values (?, ?), (?, 'nobody')", [lower, BITCOIN, RIGHT_CASE])

    assert wallets.refresh(connection) == 4
    assert wallets.refresh(connection) == 0
    connection.execute("insert into raw.wallets__transfers values (?, ?)", [TRON, BITCOIN])
    assert wallets.refresh(connection) == 1

    assert connection.execute("select * from state.wallet_addresses").fetchall() == [
        (WRONG_CASE, "evm", False, "checksum"),
        (RIGHT_CASE, "evm", True, None),
        (BITCOIN, "base58check_0", True, None),
        ("nobody", None, False, "not_an_address"),
        (TRON, "base58check_65", True, None),
    ]


def test_addresses_that_compliance_names_are_kept_in_the_vault_alone(connection):
    connection.execute("insert into vault.raw.compliance__screening_hits values (?)", [BITCOIN])
    connection.execute("insert into vault.raw.compliance__restrictions values (?)", [WRONG_CASE])
    wallets.refresh(connection)
    assert wallets.refresh(connection, vault=True) == 2

    assert connection.execute("select raw from state.wallet_addresses").fetchall() == []
    assert connection.execute("select raw, reason from vault.state.wallet_addresses").fetchall() == [
        (WRONG_CASE, "checksum"),
        (BITCOIN, None),
    ]
