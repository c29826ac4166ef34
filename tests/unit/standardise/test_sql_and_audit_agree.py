"""dbt and the audit standardise with code of their own; on the same texts they must come to the same keys."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import jinja2
import polars as pl
import pytest

from candor.audit.consent import normal_email, normal_wallet

PROJECT = Path(__file__).parents[3] / "dbt_project"
WALLETS = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0X5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED", " 0xabc ", "0xNOHEX",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
    "QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A", "BITCOINCASH:QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A", "ADDR1QQQQQQQQQ", "", "vitalik.eth",
]  # fmt: skip
LOCAL, HOSTS = "aB.c+d-_1", ["gmail.com", "GoogleMail.com", "outlook.com", "me.com", "example.org", "proton.me"]


def macro(name: str, *arguments: object) -> str:
    """The SQL of one macro of the project, as every run has it: everything cleaned; jinja alone is enough for those that ask dbt for nothing."""
    source = (PROJECT / "macros" / "standardise.sql").read_text(encoding="utf-8")
    environment = jinja2.Environment()
    environment.globals["cleaning"] = lambda: {"standardises": True}
    module = environment.from_string(source).module
    return str(getattr(module, name)(*arguments))


@pytest.fixture(scope="module")
def providers() -> pl.DataFrame:
    return pl.read_csv(PROJECT / "seeds" / "email_providers.csv")


def both(texts: list[str], sql: str, expression: pl.Expr, providers: pl.DataFrame) -> tuple[list, list]:
    frame = pl.DataFrame({"x": texts}, schema={"x": pl.String}).with_row_index("n")
    connection = duckdb.connect(":memory:")
    connection.register("texts", frame.to_arrow())
    connection.register("providers", providers.to_arrow())
    rows = connection.execute(
        f"select {sql} from texts left join providers on {macro('email_domain', 'x')} = domain order by n"
    )
    return [row[0] for row in rows.fetchall()], frame.select(expression.alias("key"))["key"].to_list()


@pytest.mark.parametrize("seed", range(3))
def test_wallets_have_one_key(seed, providers):
    dice = random.Random(seed)
    made = ["".join(dice.choice((c.lower(), c.upper(), c)) for c in dice.choice(WALLETS)) for _ in range(200)]
    by_sql, by_audit = both(WALLETS + made, macro("wallet_std", "x"), normal_wallet("x"), providers)
    assert by_sql == by_audit


@pytest.mark.parametrize("seed", range(3))
def test_every_valid_email_has_one_key(seed, providers):
    dice = random.Random(seed)
    made = ["".join(dice.choices(LOCAL, k=dice.randint(1, 8))) + "@" + dice.choice(HOSTS) for _ in range(500)]
    made += ["+tag@gmail.com", " J.Doe+Shop@GoogleMail.com ", "+@outlook.com"]
    by_sql, by_audit = both(made, macro("email_std", "x", "providers"), normal_email("x", providers), providers)
    compared = [(text, one, other) for text, one, other in zip(made, by_sql, by_audit, strict=True) if one is not None]
    assert len(compared) > 100
    assert [row for row in compared if row[1] != row[2]] == []
