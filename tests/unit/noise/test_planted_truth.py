"""What the truth folder says about records, versions and machines is what was landed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from simulation import generate, truth

PEOPLE, DAYS, SEED = 600, 3, 23


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate(people=PEOPLE, days=DAYS, seed=SEED, landing=folder / "landing", truth=folder / "truth")
    return folder


def kept(shop: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(shop / "truth" / name / "*.parquet")


def test_every_address_of_an_account_is_claimed_in_one_form_or_is_no_address(shop: Path) -> None:
    landed = pl.read_parquet(shop / "landing" / "exchange" / "accounts" / "*" / "*.parquet")
    claims = kept(shop, "record_claims").filter((pl.col("record_kind") == "account_id") & (pl.col("kind") == "email"))
    per_record = claims.group_by("record_id").len()
    assert per_record["len"].max() == 1
    written = landed.filter(pl.col("email").is_not_null()).group_by("account_id").agg(pl.col("email").first())
    unclaimed = written.join(claims, left_on="account_id", right_on="record_id", how="anti")
    assert 0 < len(unclaimed) < len(written) * 0.05, "about half a per cent of addresses are planted malformed"
    assert not unclaimed["email"].str.contains("@", literal=True).any()


def test_a_second_account_claims_an_address_of_its_own_and_its_owners_phone(shop: Path) -> None:
    people = kept(shop, "people").filter(pl.col("second_account_id").is_not_null() & ~pl.col("is_test"))
    claims = kept(shop, "record_claims").join(people, left_on="record_id", right_on="second_account_id", how="inner")
    assert len(claims) > 0
    emails = claims.filter(pl.col("kind") == "email")
    assert (emails["identifier"] == "x" + emails["account_email"]).all()
    assert (claims["true_person"] == claims["true_person_right"]).all()


def test_recycled_numbers_are_claimed_by_two_people() -> None:
    crowd = pl.DataFrame(
        {
            "true_person": ["closed", "now"], "phone": ["+447712345678", "+447787654321"], "account_id": ["a1", "a2"],
            "second_account_id": pl.Series([None, None], dtype=pl.String), "contact_id": ["c1", "c2"],
        }
    )  # fmt: skip
    accounts = pl.DataFrame({"account_id": ["a1", "a2"], "email": ["n/a", " Now@X.Example "], "phone": ["+447712345678"] * 2})
    contacts = pl.DataFrame({"contact_id": ["c1", "c2"], "email": [None, None], "phone": ["07712345678", "+447787"]})
    contacts = contacts.with_columns(pl.col("email").cast(pl.String))
    claims = truth.claims(crowd, accounts, contacts).select("true_person", "record_id", "identifier").rows()
    assert claims == [
        ("closed", "a1", "+447712345678"),
        ("now", "a2", "now@x.example"),
        ("now", "a2", "+447712345678"),
        ("closed", "c1", "+447712345678"),  # written in national form; the number of c2 is cut short and claims nothing
    ]


def test_wallets_are_claimed_in_one_form_by_whoever_linked_them_and_the_hot_wallet_and_the_mistyped_by_nobody() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example of ERC-55
    crowd = pl.DataFrame({"true_person": ["ada", "bo"], "account_id": ["a1", "a2"], "device_id": ["d1", "d2"]})
    links = pl.DataFrame(
        [("a1", None, right), ("a1", None, right.lower()), (None, "d2", "0x" + right[2:].upper()), ("a2", None, right.replace("A", "a", 1)),
         ("a1", None, "0xhot"), ("a2", None, "SoLana1111")],
        schema={"account_id": pl.String, "device_id": pl.String, "wallet_address": pl.String}, orient="row",
    )  # fmt: skip
    claims = truth.wallet_claims(crowd, links, "0xhot").select("true_person", "record_kind", "identifier").rows()
    assert claims == [
        ("ada", "account_id", right.lower()),
        ("bo", "account_id", "SoLana1111"),
        ("bo", "device_id", right.lower()),
    ]


def test_versions_count_what_was_planted_and_each_landed_row_is_one(shop: Path) -> None:
    versions = kept(shop, "versions")
    landed = pl.read_parquet(shop / "landing" / "compliance" / "kyc_records" / "*" / "*.parquet")
    mine = versions.filter(pl.col("table") == "compliance.kyc_records")
    assert len(mine) >= len(landed)
    assert set(landed["kyc_id"]) <= set(mine["key"])
    assert set(versions["table"].unique()) == set(truth.VERSION_KEYS)


def test_every_machine_in_the_events_has_a_kind_and_no_person_has_one(shop: Path) -> None:
    bots, people = kept(shop, "bots"), kept(shop, "people")
    events = pl.read_parquet(shop / "landing" / "events" / "events" / "*" / "*.parquet")
    rows = kept(shop, "events_rows").filter(pl.col("kind") == "bot")
    machines = events.join(rows, on="event_id", how="semi")["anonymous_id"].unique()
    assert set(machines) <= set(bots["anonymous_id"])
    assert not set(bots["anonymous_id"]) & (set(people["anonymous_id"]) | set(people["second_anonymous_id"]))
    assert set(bots["kind"]) <= {"declared", "slow", "fast"}
