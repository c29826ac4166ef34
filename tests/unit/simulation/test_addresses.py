"""Planted addresses are what the standards say, wrong where they are meant to be, and stand in the landed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from candor.standardise.addresses import judge
from candor.standardise.email_domains import is_disposable
from simulation import addresses, generate, rates
from simulation.tools import hexes


@pytest.mark.parametrize("seed", range(3))
def test_checksums_are_right_except_where_they_are_spoilt(seed):
    rng = np.random.default_rng(seed)
    plain, spoilt = hexes(rng, 300, 40, "0x"), np.arange(300) % 3 == 0
    made = addresses.checksummed(plain, spoilt)
    assert made.str.to_lowercase().equals(plain)
    wrong = np.array([judged.reason == "checksum" for judged in judge(made.to_list())])
    assert not wrong[~spoilt].any()
    # Of some the first letter is the only one that is upper case: without it they claim no checksum. That is one in a thousand.
    assert wrong[spoilt].mean() > 0.95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "form"), [(addresses.bech32, "bech32_bc"), (addresses.solana, "solana")], ids=["bech32", "solana"]
)
def test_other_chains_have_valid_addresses_each_their_own(make, form, seed):
    made = make(np.random.default_rng(seed), 300)
    assert set(judge(made.to_list())) == {(form, None)}
    assert made.n_unique() == 300
    assert len(make(np.random.default_rng(seed), 0)) == 0


def read(folder: Path, table: str) -> pl.DataFrame:
    files = sorted((folder / "landing" / table.replace(".", "/")).rglob("part-*"))
    readers = {
        ".parquet": pl.read_parquet,
        ".csv": lambda file: pl.read_csv(file, infer_schema=False),
        ".jsonl": pl.read_ndjson,
    }
    frames = [readers[file.suffix](file) for file in files if file.stat().st_size]
    return pl.concat([frame for frame in frames if len(frame)], how="diagonal_relaxed")


def test_unusual_values_are_landed_at_their_rates(tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "HISTORY_DAYS", 2)
    people = 4000
    generate(people=people, days=1, seed=5, landing=tmp_path / "landing", truth=tmp_path / "truth")

    links = read(tmp_path, "wallets.wallet_links").unique("link_id")
    own = links.filter(~pl.col("link_id").str.starts_with("wh"))
    judged = pl.DataFrame(judge(own["wallet_address"].to_list()), schema={"form": pl.String, "reason": pl.String}, orient="row")
    count = judged["form"].value_counts()
    shares = {form: number / len(own) for form, number in count.rows()}
    assert shares["bech32_bc"] == pytest.approx(rates.OTHER_WALLET_SHARE, abs=0.008)
    assert shares["solana"] == pytest.approx(rates.OTHER_WALLET_SHARE, abs=0.008)
    assert 0 < (judged["reason"] == "checksum").sum() / len(own) < 2.5 * rates.WRONG_CHECKSUM_SHARE

    accounts = read(tmp_path, "exchange.accounts").unique("account_id")
    domains = accounts["email"].drop_nulls().str.strip_chars().str.to_lowercase().str.extract("@([^@]+)$", 1).drop_nulls()
    assert sum(map(is_disposable, domains)) / people == pytest.approx(rates.DISPOSABLE_EMAIL_SHARE, abs=0.004)
    assert domains.str.starts_with("firm").sum() / people == pytest.approx(rates.ROLE_EMAIL_SHARE, abs=0.004)
    births = accounts["birth_date"].cast(pl.String).is_in(["1970-01-01", "1900-01-01"]).sum()
    assert births / len(accounts) == pytest.approx(rates.PLACEHOLDER_BIRTH_SHARE, abs=0.004)
