"""What happens when a day's offers are published: the next day is delivered, as the true people would have it."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from simulation import generate, landing, respond

ENDS_AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
NEXT = ENDS_AT + timedelta(days=1)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lived")
    generate(people=400, days=4, seed=21, landing=folder / "landing", truth=folder / "truth")
    return folder


@pytest.fixture
def shop(lived: Path, tmp_path: Path) -> Path:
    shutil.copytree(lived, tmp_path / "shop")
    return tmp_path / "shop"


def publish(shop: Path, as_of: datetime, *, offer_id: str = "spot_btc", arm: str = "treated") -> Path:
    people = pl.read_parquet(shop / "truth" / "people" / "*.parquet").filter("has_account")
    persons = pl.concat_str(pl.lit("p"), pl.col("account_id"))
    folder = shop / f"published-{as_of:%d}"
    folder.mkdir(exist_ok=True)
    lookup = people.select(identifier_kind=pl.lit("account_id"), identifier="account_id", person_id=persons)
    lookup.write_parquet(folder / "person_lookup.parquet")
    rows = [
        people.select(
            decision_id=pl.concat_str(pl.lit(f"d{as_of:%d}-{channel}-"), "account_id"),
            person_id=persons,
            channel=pl.lit(channel),
            offer_id=pl.lit(offer_id),
            arm=pl.lit(arm),
            valid_from=pl.lit(as_of.replace(tzinfo=None)),
            valid_until=pl.lit(as_of.replace(tzinfo=None) + timedelta(days=1)),
            send_after=pl.lit(as_of.replace(tzinfo=None) + timedelta(hours=2)),
        )
        for channel in ("web", "email")
    ]
    pl.concat(rows).write_parquet(folder / "offers.parquet")
    return folder


def next_delivery(shop: Path, table: str, as_of: datetime) -> Path:
    source, name = table.split(".")
    folders = sorted((shop / "landing" / source / name).iterdir())
    return next(folder for folder in folders if f"{as_of:%Y-%m-%dT}" in folder.name)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_next_day_of_every_table_goes_on_where_the_last_ended(shop: Path) -> None:
    respond(published=publish(shop, ENDS_AT), landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    for table, columns in landing.contract_columns().items():
        before = json.loads((next_delivery(shop, table, ENDS_AT) / "_manifest.json").read_text())
        folder = next_delivery(shop, table, NEXT)
        manifest = json.loads((folder / "_manifest.json").read_text())
        assert manifest["covers_from"] == before["covers_to"], table
        extracted = datetime.fromisoformat(manifest["covers_to"])
        assert timedelta(minutes=5) <= NEXT - extracted <= timedelta(minutes=40), table
        for file in folder.glob("*.parquet"):
            assert dict(pl.read_parquet_schema(file)) == columns, table


def test_offers_lead_to_events_messages_and_outcomes(shop: Path) -> None:
    published = publish(shop, ENDS_AT)
    counts = respond(published=published, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    decided = set(pl.read_parquet(published / "offers.parquet")["decision_id"])
    events = pl.read_parquet(next_delivery(shop, "events.events", NEXT) / "*.parquet")
    shown = events.filter((pl.col("event_name") == "offer_shown") & pl.col("decision_id").is_in(list(decided)))
    assert shown.height > 50
    assert (shown["occurred_at"] > ENDS_AT + timedelta(hours=2)).all(), "nobody sees an offer before send_after"
    messages = pl.read_csv(next_delivery(shop, "crm.messages", NEXT) / "part-0.csv")
    assert set(messages["decision_id"].drop_nulls()) & decided
    assert counts["planted"]["outcomes_won"] > 0


def test_who_is_held_out_is_shown_nothing(shop: Path) -> None:
    published = publish(shop, ENDS_AT, arm="held_out")
    counts = respond(published=published, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    assert counts["planted"]["offers_published"] > 300
    assert counts["planted"]["offers_shown"] == 0


def test_the_same_answer_twice_is_the_same_bytes(shop: Path) -> None:
    published = publish(shop, ENDS_AT)
    respond(published=published, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    once = digest(shop)
    respond(published=published, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    assert digest(shop) == once


def test_an_offer_shown_again_within_its_window_moves_nobody_again(shop: Path) -> None:
    won = []
    for day in range(5):
        as_of = ENDS_AT + timedelta(days=day)
        counts = respond(published=publish(shop, as_of), landing=shop / "landing", truth=shop / "truth", as_of=as_of, seed=day)
        won.append(counts["planted"]["outcomes_won"])
    # Everybody with e-mail is shown it on the first day; later only those who came by for the first time are left.
    assert won[0] > 0
    assert sum(won[2:]) < won[0]


def test_days_without_offers_go_on(shop: Path) -> None:
    respond(published=None, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)
    counts = respond(published=None, landing=shop / "landing", truth=shop / "truth", as_of=NEXT, seed=1)
    assert counts["rows"]["events.events"] > 0
    assert counts["rows"]["compliance.screening_runs"] == 2
    bars = pl.read_parquet(next_delivery(shop, "market.prices", NEXT + timedelta(days=1)) / "*.parquet")
    assert bars.group_by("asset").len()["len"].unique().to_list() == [24]


def test_a_day_that_was_not_lived_up_to_is_named(shop: Path) -> None:
    with pytest.raises(ValueError, match="has not lived up to 2026-11-25"):
        respond(published=None, landing=shop / "landing", truth=shop / "truth", as_of=NEXT + timedelta(days=1), seed=1)


def test_an_offer_that_the_shop_does_not_have_is_named(shop: Path) -> None:
    published = publish(shop, ENDS_AT, offer_id="free_moon")
    with pytest.raises(ValueError, match="free_moon"):
        respond(published=published, landing=shop / "landing", truth=shop / "truth", as_of=ENDS_AT, seed=1)


def test_what_compliance_scores_is_scored_again_before_it_is_stale(shop: Path) -> None:
    days = [ENDS_AT + timedelta(days=day) for day in range(8)]
    for day in days[:-1]:
        respond(published=None, landing=shop / "landing", truth=shop / "truth", as_of=day, seed=1)
    folders = {"kyc_records": "risk_scored_at", "assessments": "taken_at"}
    for table, column in folders.items():
        rows = pl.read_parquet(shop / "landing" / "compliance" / table / "*" / "*.parquet")
        rows = rows.filter(pl.col("kind") == "trust") if table == "assessments" else rows.drop_nulls("risk_scored_at")
        for day in (days[0], days[-1]):
            last = rows.filter(pl.col(column) <= day).group_by("account_id").agg(pl.col(column).max())
            old = (last[column] < day - timedelta(days=30)).mean()
            assert 0 < old < 0.06, f"{table}: {old:.0%} of scores are older than 30 days on {day:%d %B}"
        again = rows.filter(pl.col(column) > ENDS_AT)
        assert len(again) > 50
        assert again["account_id"].is_unique().all()
