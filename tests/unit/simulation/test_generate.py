"""What the made-up shop promises: the contract, the calendar, the planted rates, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from simulation import activity, campaign, catalogue, generate, landing, rates
from simulation import people as population
from simulation.tools import DAY, generator, micros

ENDS_AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
PEOPLE, DAYS = 1500, 12
NEVER_LATE = [
    ("compliance.kyc_records", "source_updated_at"),
    ("compliance.restrictions", "source_updated_at"),
    ("compliance.assessments", "taken_at"),
    ("compliance.screening_runs", "screened_at"),
    ("crm.consents", "recorded_at"),
    ("crm.preferences", "recorded_at"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    generate(people=PEOPLE, days=DAYS, seed=11, landing=folder / "landing", truth=folder / "truth")
    return folder


def deliveries(shop: Path, table: str) -> list[Path]:
    source, name = table.split(".")
    return sorted((shop / "landing" / source / name).iterdir())


def read(delivery: Path) -> pl.DataFrame:
    frames = []
    for file in sorted(delivery.glob("part-*")):
        if file.suffix == ".parquet":
            frames.append(pl.read_parquet(file))
        elif file.suffix == ".csv":
            frames.append(pl.read_csv(file, infer_schema=False))
        elif file.stat().st_size:
            frames.append(pl.read_ndjson(file, infer_schema_length=None))
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def whole(shop: Path, table: str) -> pl.DataFrame:
    frames = [read(delivery) for delivery in deliveries(shop, table)]
    return pl.concat([frame for frame in frames if len(frame)], how="diagonal_relaxed")


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def instants(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.to_datetime(time_zone="UTC", time_unit="us")
    return column


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        generate(people=120, days=3, seed=seed, landing=tmp_path / name / "landing", truth=tmp_path / name / "truth")
    assert digest(tmp_path / "first") == digest(tmp_path / "again")
    assert digest(tmp_path / "first") != digest(tmp_path / "other")


def test_people_of_several_chunks_are_all_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "CHUNK_PEOPLE", 100)
    counts = generate(people=250, days=2, seed=5, landing=tmp_path / "landing", truth=tmp_path / "truth")
    people = pl.read_parquet(tmp_path / "truth" / "people" / "*.parquet")
    assert people["true_person"].n_unique() == len(people) == 250
    assert people["account_id"].n_unique() == 250
    assert counts["planted"]["hub_links"] == pytest.approx(
        250 * (1 - rates.NO_ACCOUNT_SHARE + rates.SECOND_ACCOUNT_SHARE), abs=15
    )
    runs = whole(tmp_path, "compliance.screening_runs")
    assert runs["screening_run_id"].n_unique() == len(runs), "every chunk wrote the screening runs again"


@pytest.mark.parametrize("table", sorted(landing.contract_columns()))
def test_every_table_lands_whole_and_then_gapless_with_the_contracts_columns(shop: Path, table: str) -> None:
    folders = deliveries(shop, table)
    assert len(folders) == DAYS + 1, "one whole extract, then one increment a day"
    expected, previous = list(landing.contract_columns()[table]), None
    for day, folder in enumerate(folders):
        manifest = json.loads((folder / "_manifest.json").read_text())
        extracted = datetime.strptime(folder.name, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
        as_of = ENDS_AT - timedelta(days=DAYS - day)
        assert timedelta(minutes=5) <= as_of - extracted <= timedelta(minutes=40)
        assert manifest["complete"] is True
        assert manifest.get("covers_from") == previous
        assert manifest["covers_to"] == extracted.strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = read(folder)
        assert manifest["rows"] == len(rows)
        assert len(rows) == 0 or rows.columns == expected
        previous = manifest["covers_to"]


@pytest.mark.parametrize(("table", "column"), NEVER_LATE, ids=[table for table, _ in NEVER_LATE])
def test_what_restricts_is_never_late(shop: Path, table: str, column: str) -> None:
    for folder in deliveries(shop, table)[1:]:
        manifest = json.loads((folder / "_manifest.json").read_text())
        rows = read(folder)
        if len(rows):
            happened = instants(rows[column])
            begin, end = datetime.fromisoformat(manifest["covers_from"]), datetime.fromisoformat(manifest["covers_to"])
            assert happened.max() <= end
            assert happened.min() > begin - timedelta(minutes=6)


def test_events_come_with_the_delivery_of_when_they_were_received_some_of_them_days_late(shop: Path) -> None:
    late = 0
    for folder in deliveries(shop, "events.events")[1:]:
        manifest, rows = json.loads((folder / "_manifest.json").read_text()), read(folder)
        assert rows["received_at"].max() <= datetime.fromisoformat(manifest["covers_to"])
        late += int((rows["occurred_at"] < datetime.fromisoformat(manifest["covers_from"])).sum())
    assert late > 50
    assert not whole(shop, "events.events")["occurred_at"].is_sorted()


def test_planted_shares_hold(shop: Path) -> None:
    planted = json.loads((shop / "truth" / "planted.json").read_text())["planted"]
    tables = ("events.events", "exchange.trades", "exchange.ledger_entries", "wallets.transfers")
    copies = sum(planted[f"{table}.duplicate"] for table in tables)
    outdated = sum(planted[f"{table}.superseded"] for table in ("accounts", "contacts", "messages"))
    rows = sum(planted[f"{table}.rows"] for table in tables)
    versions = sum(planted[f"{table}.versions"] for table in ("accounts", "contacts", "messages"))
    assert 0.28 <= (copies + outdated) / (rows + versions) <= 0.32
    assert planted["people_sharing"] / PEOPLE >= 0.13  # 15 % of many people; 1,500 leave room for chance
    assert planted["people_split"] / PEOPLE >= 0.09
    assert planted["hub_links"] > 0.9 * PEOPLE
    assert planted["assignments.held_out"] / planted["assignments"] == pytest.approx(rates.HELD_OUT_SHARE, abs=0.05)


def test_truth_about_rows_fits_what_was_landed(shop: Path) -> None:
    rows = pl.read_parquet(shop / "truth" / "events_rows" / "*.parquet")
    landed = whole(shop, "events.events")
    last = micros(datetime.strptime(deliveries(shop, "events.events")[-1].name, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC))
    assert len(rows.filter(pl.col("known_at") <= last)) == len(landed)
    once = rows.filter(pl.col("kind") != "duplicate")
    assert once["event_id"].n_unique() == len(once), "an id that is no copy occurs twice"
    assert set(rows["kind"].unique()) == {"genuine", "duplicate", "test", "dead_session", "bot"}


def test_a_fifth_of_the_machines_stays_below_an_event_an_hour() -> None:
    from simulation import mess

    begin = micros(ENDS_AT) - 60 * DAY
    made, kinds = mess.bots(50, begin, begin + 60 * DAY, generator(1, "bots"), "who", "salt")
    hourly = made.group_by("anonymous_id", pl.col("occurred_at").dt.truncate("1h")).len()
    fastest = hourly.group_by("anonymous_id").agg(pl.col("len").max())
    slow = fastest.filter(pl.col("len") <= 5)["anonymous_id"]
    assert len(slow) == 10
    assert set(kinds.filter(pl.col("kind") == "slow")["anonymous_id"]) == set(slow)
    declared = made.filter(pl.col("user_agent").str.contains("(?i)bot|curl|python"))["anonymous_id"].unique()
    assert 10 <= len(declared) <= 30
    assert set(kinds.filter(pl.col("kind") == "declared")["anonymous_id"]) == set(declared)


def test_shared_identifiers_are_landed_as_shared(shop: Path) -> None:
    truth = pl.read_parquet(shop / "truth" / "person_identifiers" / "*.parquet")
    holders = truth.group_by("kind", "identifier").len().filter(pl.col("len") > 1)
    assert {"device_id", "email"} <= set(holders["kind"])
    device = holders.filter(pl.col("kind") == "device_id")["identifier"]
    seen = whole(shop, "events.events").filter(pl.col("device_id").is_in(device.implode()) & pl.col("account_id").is_not_null())
    assert seen.group_by("device_id").agg(pl.col("account_id").n_unique()).filter(pl.col("account_id") > 1).height > 10


def test_landing_holds_no_column_of_the_truth_and_truth_may_not_lie_in_it(shop: Path, tmp_path: Path) -> None:
    secret = set(pl.read_parquet(shop / "truth" / "people" / "*.parquet").columns) | {
        "p_shown",
        "p_held_out",
        "harmed",
        "kind_of_row",
    }
    allowed = {"account_id", "contact_id", "device_id", "anonymous_id", "phone", "created_at", "is_test"}
    for table in landing.contract_columns():
        for delivery in (deliveries(shop, table)[0], deliveries(shop, table)[-1]):
            assert not (set(read(delivery).columns) & secret) - allowed
    with pytest.raises(ValueError, match="must not lie in what is delivered"):
        generate(people=10, days=1, seed=1, landing=tmp_path / "l", truth=tmp_path / "l" / "truth")


def test_a_shop_is_not_made_over_another(shop: Path) -> None:
    with pytest.raises(FileExistsError, match="is not empty"):
        generate(people=10, days=1, seed=1, landing=shop / "landing", truth=shop / "truth2")


@pytest.mark.parametrize("offer_id", ["spot_btc", "edu_basics", "perp_2x"])
def test_outcomes_happen_as_often_as_the_truth_says(offer_id: str) -> None:
    begin = micros(ENDS_AT)
    crowd = population.make(20_000, 0, 9, begin - 60 * DAY, 60).with_columns(created_at=pl.lit(begin - 400 * DAY))
    place = next(place for place, offer in enumerate(catalogue.OFFERS) if offer["offer_id"] == offer_id)
    line = catalogue.LINES.index(catalogue.OFFERS[place]["product_line"])
    expected = dict(zip(("held_out", "shown"), population.probabilities(crowd, offer_id), strict=True))
    for arm in ("held_out", "shown"):
        rng = generator(9, "check", offer_id, arm)
        count = len(crowd)
        made = pl.DataFrame(
            {
                "person": np.arange(count),
                "offer": np.full(count, place),
                "is_shown": np.full(count, arm == "shown"),
                "at": np.full(count, begin),
            }
        )
        won, lost = campaign.outcomes(crowd, made, rng)
        done = campaign.without(activity.uses(crowd, begin, begin + 7 * DAY, rng, history=False), lost)
        done = pl.concat([done, won.select("person", "line", "at")]).filter(
            (pl.col("line") == line) & (pl.col("at") <= begin + 7 * DAY)
        )
        rate, truth = done["person"].n_unique() / count, float(expected[arm].mean())
        assert abs(rate - truth) < 3.5 * (truth / count) ** 0.5, f"{arm}: {rate:.4f} seen, {truth:.4f} true"


def test_the_uplift_differs_between_people_and_is_negative_for_a_few() -> None:
    crowd = population.make(5_000, 0, 2, micros(ENDS_AT), 60)
    truth = population.responses(crowd)
    uplift = (truth["p_shown"] - truth["p_held_out"]).to_numpy()
    assert 0.02 < (uplift < -0.0005).mean() < 0.12
    assert (np.abs(uplift) <= 0.0005).mean() > 0.15
    assert (uplift > 0.03).mean() > 0.15
    assert 0.02 < truth["harmed"].mean() < 0.10
    assert truth["p_held_out"].is_between(0, 1).all()
    assert truth["p_shown"].is_between(0, 1).all()


def test_contacting_pays_for_about_half_of_person_and_offer() -> None:
    crowd = population.make(5_000, 0, 2, micros(ENDS_AT), 60).filter("has_account")
    pays = []
    for offer in catalogue.DRAWABLE:
        held_out, shown = population.probabilities(crowd, offer["offer_id"])
        pays.append(((shown - held_out) * offer["unit_value_usd"] > offer["cost_usd"]).mean())
    assert 0.35 <= float(np.mean(pays)) <= 0.65
