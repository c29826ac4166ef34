"""A run asks the wallet graph about its own transfers; what it suspects stays in the vault."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import duckdb
import numpy as np
import pytest

from candor import identity

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)


@pytest.fixture
def connection():
    made = duckdb.connect(":memory:", config={"threads": 1})
    made.execute("attach ':memory:' as vault")
    made.execute("create schema staging")
    made.execute(
        "create table staging.stg_wallets__transfers (from_wallet_std varchar, to_wallet_std varchar, chain_std varchar, asset_std varchar, "
        "occurred_at timestamp, amount decimal(38, 12), is_testnet boolean, from_wallet_valid boolean, to_wallet_valid boolean)"
    )
    return made


def clusters(connection) -> dict[str, str]:
    return dict(connection.execute("select node_id, cluster_id from vault.identity.wallet_clusters").fetchall())


def test_a_shop_without_transfers_has_empty_tables(connection):
    assert identity.cluster_wallets(connection, AS_OF) == {
        "wallets": 0, "wallet_hubs": 0, "wallet_groups": 0, "wallets_suspected": 0,
    }  # fmt: skip
    assert clusters(connection) == {}


def test_a_farm_that_one_wallet_funds_and_another_collects_is_one_group_and_an_exchanges_customers_are_not(connection):
    rows = []
    for farmer in range(12):
        rows.append(("funder", f"farm{farmer}", "ETH", f"2026-11-01 10:{farmer:02}:00", "0.5"))
        rows.append((f"farm{farmer}", "collector", "ETH", f"2026-11-02 10:{farmer:02}:00", "0.49"))
    rng = np.random.default_rng(3)
    for customer in range(300):
        days, hours = rng.integers(1, 29, 3), rng.integers(0, 24, 3)
        amounts = np.round(rng.lognormal(0, 1.5, 3), 6)
        for place, other in enumerate(["exchange", *(f"shop{shop}" for shop in rng.integers(0, 90, 2))]):
            ends = (other, f"customer{customer}") if place == 0 else (f"customer{customer}", other)
            rows.append(
                (*ends, "ETH", f"2026-10-{days[place]:02} {hours[place]:02}:{customer % 60:02}:00", str(amounts[place]))
            )
    connection.executemany(
        "insert into staging.stg_wallets__transfers select ?, ?, 'ethereum', ?, ?::timestamp, ?::decimal(38, 12), false, true, true",
        rows,
    )
    counts = identity.cluster_wallets(connection, AS_OF)
    found = clusters(connection)
    assert len({found[f"farm{farmer}"] for farmer in range(12)}) == 1
    # Of strangers who share a shop by chance a few look like friends; never all, and never many together.
    together = Counter(found[f"customer{customer}"] for customer in range(300))
    assert len(together) >= 285
    assert max(together.values()) <= 6
    assert counts["wallets"] == len(found)
    assert counts["wallets_suspected"] >= 12


def test_what_is_later_than_the_run_malformed_or_play_money_says_nothing(connection):
    connection.execute(
        """
        insert into staging.stg_wallets__transfers values
            ('a', 'b', 'ethereum', 'ETH', '2026-11-24', 1, false, true, true),
            ('c', 'd', 'sepolia', 'ETH', '2026-11-01', 1, true, true, true),
            ('e', 'f', 'ethereum', 'ETH', '2026-11-01', 1, false, false, true)
        """
    )
    assert identity.cluster_wallets(connection, AS_OF)["wallets"] == 0
