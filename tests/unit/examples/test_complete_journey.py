"""The adapter keeps every row, moves whole weeks, and says what it assumed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import yaml

from candor.settings import PROJECT_ROOT
from examples import complete_journey


@pytest.fixture(scope="module")
def facts() -> dict[str, tuple[pl.DataFrame, str]]:
    return complete_journey.facts()


def test_every_redemption_and_every_discounted_basket_is_a_ledger_entry_once(facts) -> None:
    entries = facts["exchange.ledger_entries"][0]
    assert dict(entries.group_by("kind").len().iter_rows()) == {"coupon_redeemed": 2102, "reward": 9827}
    assert entries["entry_id"].is_unique().all()
    assert entries.filter(kind="reward")["amount_usd"].min() > 0


def test_weekdays_stay_because_dates_move_by_whole_weeks() -> None:
    assert complete_journey.shift().days % 7 == 0


def test_each_campaign_is_an_offer_with_a_product_line_whose_outcome_needs_it() -> None:
    shop = yaml.safe_load((PROJECT_ROOT / "policy" / "shops" / "retail.yml").read_text(encoding="utf-8"))
    needs = {row["product"] for row in shop["product_lines"] if row.get("outcome_needs_offer")}
    assert set(complete_journey.offers()["catalogue.offers"]["product_line"]) == needs


def test_what_is_landed_is_complete_day_by_day_and_the_assumptions_lie_beside_it(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    counts = complete_journey.land(landing)
    manifests = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(landing.glob("exchange/ledger_entries/*/_manifest.json"))
    ]
    assert sum(manifest["rows"] for manifest in manifests) == counts["exchange.ledger_entries"] == 11929
    assert "covers_from" not in manifests[0]
    assert all(later["covers_from"] == earlier["covers_to"] for earlier, later in pairwise(manifests))
    assert (landing / "_assumptions.txt").read_text(encoding="utf-8").splitlines() == complete_journey.ASSUMED["assumptions"]
