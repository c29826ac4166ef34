"""A day from landing to the serving store, on a small shop."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import polars as pl

from benchmarks.candidates import bare_join
from candor import reporting, warehouse
from tests.integration.conftest import BEFORE, DAY, Shop


def _stage(shop: Shop, run_id: str, name: str) -> dict:
    return json.loads((shop.settings.reports_dir / run_id / "stages" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_day_before_the_first_champion_publishes_nothing_and_says_why(shop: Shop) -> None:
    # the day before the policy's valid_from is also the day on which the first model is trained
    with warehouse.reading(shop.settings) as connection:
        valid_from = connection.execute("select valid_from from policy.pack").fetchone()[0]
        before = connection.execute("select run_id from state.batches where as_of = ?", [warehouse.utc(BEFORE)]).fetchall()
    assert before == [(shop.run_id_before,)]
    assert warehouse.utc(BEFORE) < valid_from <= warehouse.utc(DAY)

    told = reporting.collect(BEFORE, shop.settings)
    assert told["status"] == "no champion"
    assert told["published"] == {}
    assert not (shop.settings.published_dir / shop.run_id_before).exists()
    assert "none promoted" in _stage(shop, shop.run_id_before, "champion")["error"]
    reasons = _stage(shop, shop.run_id_before, "eligibility")
    assert reasons["status"] == "done"


def test_every_row_read_was_loaded_or_quarantined(shop: Shop) -> None:
    with warehouse.reading(shop.settings) as connection:
        read, loaded, quarantined = connection.execute(
            "select sum(rows_read)::bigint, sum(rows_loaded)::bigint, sum(rows_quarantined)::bigint "
            "from state.deliveries inner join state.pins using (delivery_id) where as_of = ?",
            [warehouse.utc(DAY)],
        ).fetchone()
    assert read == loaded + quarantined
    assert loaded > 100_000
    assert quarantined > 0, "the shop lands malformed rows, so some must have been refused"
    said = _stage(shop, shop.run_id, "ingest")["result"]
    assert (said["rows_read"], said["rows_loaded"], said["rows_quarantined"]) == (read, loaded, quarantined)


def test_every_published_row_was_audited_and_the_summary_counts_what_was_published(shop: Shop) -> None:
    told = reporting.collect(DAY, shop.settings)
    offers = pl.read_parquet(shop.published / "offers.parquet")
    audit = json.loads((shop.settings.reports_dir / shop.run_id / "audit.json").read_text(encoding="utf-8"))
    assert told["status"] == "done"
    assert offers.height > 100
    assert (audit["rows_audited"], audit["violations"]) == (offers.height, 0)
    assert told["published"]["offers"] == {"offers": offers.height, "people": offers["person_id"].n_unique()}
    assert sum(row["offers"] for row in told["published"]["by_channel"]) == offers.height
    assert sum(row["offers"] for row in told["published"]["by_segment"]) == offers.height
    with closing(sqlite3.connect(shop.store)) as store:
        served = store.execute("select count(*), count(distinct person_id) from offers where run_id = ?", [shop.run_id])
        assert served.fetchone() == (offers.height, offers["person_id"].n_unique())
        assert store.execute("select run_id, rows, is_current from runs").fetchall() == [(shop.run_id, offers.height, 1)]


def test_what_is_published_is_what_the_ledger_chose_for_treated_people(shop: Shop) -> None:
    offers = pl.read_parquet(shop.published / "offers.parquet")
    ledger = pl.read_parquet(shop.published / "ledger.parquet")
    arms = pl.read_parquet(shop.published / "arms.parquet")
    chosen = ledger.filter(pl.col("is_chosen"), pl.col("arm") == "treated")
    assert sorted(offers["decision_id"]) == sorted(chosen["decision_id"])
    held_out = arms.filter(pl.col("arm") == "held_out")["person_id"]
    assert held_out.len() > 0
    assert offers.filter(pl.col("person_id").is_in(held_out.implode())).height == 0


def test_the_bare_join_that_candidates_are_measured_by_looks_at_every_pair_of_the_day(shop: Shop) -> None:
    pairs, passed, seconds = bare_join(shop.settings)
    with warehouse.reading(shop.settings, restricted=True) as connection:
        ((people,),) = connection.execute("select count(*) from vault.eligibility.person_facts").fetchall()
        ((offers,),) = connection.execute("select count(distinct (offer_id, channel)) from eligibility.candidates").fetchall()
    assert pairs % people == 0
    assert pairs >= people * offers > 0
    assert 0 < passed < pairs
    assert seconds > 0
