"""A hand-made world that the audit can look at: raw segments, identities, policy, and one offer per channel that may go out."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from candor import audit, runs, settings, withholding
from candor.audit.raw import _contract, _polars_type
from candor.erasure import suppressed
from candor.errors import AuditFailed
from candor.warehouse import connect

AS_OF = datetime(2026, 11, 23, 15, tzinfo=UTC)
NOW = AS_OF.replace(tzinfo=None)
LONG_AGO = datetime(2025, 1, 1)  # noqa: DTZ001  naive UTC, as in the warehouse
# Every text that some market asks for.
DISCLOSURES = [
    "WHY_THIS_OFFER", "AD_LABEL", "OPT_OUT", "UK_RISK_WARNING", "UK_RISK_SUMMARY", "MICA_AD_LABEL", "NY_LICENCE_LEGEND", "SG_RISK_WARNING",
    "ASCI_DISCLAIMER", "VARA_DISCLAIMER", "VARA_AD_LABEL", "CFD_RISK_WARNING",
]  # fmt: skip
CHANNELS = ("web", "email", "sms", "push")
POLICY = Path(__file__).parents[3] / "policy"


def prices(*moves: float) -> list[dict[str, Any]]:
    """Hourly bars of the market basket for 100 calm days up to now; the last of them move by this much, from the open to the close."""
    calm = 24 * 100 - len(moves)
    closes = [100.0, *(100.0 + 0.1 * (hour % 2 == 0) for hour in range(calm))]
    for move in moves:
        closes.append(closes[-1] * (1 + move))
    rows = []
    for asset in ("BTC", "ETH"):
        for hour, (opened, close) in enumerate(pairwise(closes)):
            bar = {"open_usd": opened, "high_usd": max(opened, close), "low_usd": min(opened, close), "close_usd": close}
            start = NOW - timedelta(hours=24 * 100 - hour)
            values = {name: Decimal(f"{value:.6f}") for name, value in bar.items()}
            rows.append({"asset": asset, "bar_start": start, "interval": "1h", **values})
    return rows


CALM = prices()


ASSESSED = [
    ("risk_awareness", "passed", NOW - timedelta(days=30)),
    ("knowledge_test", "passed", NOW - timedelta(days=30)),
    ("target_market", "inside", NOW - timedelta(days=30)),
    ("travel_rule", "verified", NOW - timedelta(days=30)),
    ("uk_category", "high_net_worth", NOW - timedelta(days=300)),
    ("personal_risk_warning", "shown", NOW - timedelta(days=30)),
    ("direct_offer_request", "requested", NOW - timedelta(hours=48)),
    ("direct_offer_reconfirmed", "reconfirmed", NOW - timedelta(hours=24)),
    ("trust", "40", NOW - timedelta(days=29)),
]


def _person(name: str, country: str, region: str | None, zone: str, phone: str) -> dict[str, list[dict[str, Any]]]:
    account, contact, email = f"ac-{name}", f"co-{name}", f"{name}@example.com"
    consent = {"contact_id": contact, "account_id": None, "email": None, "status": "granted", "recorded_at": LONG_AGO}
    taken = {"account_id": account, "offer_id": None, "taken_at": NOW - timedelta(days=30), "expires_at": None}
    return {
        "exchange.accounts": [
            {
                "account_id": account,
                "email": email,
                "phone": phone,
                "birth_date": date(1985, 5, 5),
                "country_code": country,
                "region_code": region,
                "time_zone": zone,
                "created_at": LONG_AGO,
                "source_updated_at": LONG_AGO,
            }
        ],
        "wallets.wallet_links": [
            {
                "link_id": f"wl-{name}",
                "wallet_address": f"0x{name:a<40}",
                "chain": "ethereum",
                "account_id": account,
                "linked_at": LONG_AGO,
            }
        ],
        "crm.consents": [
            {**consent, "consent_id": f"{name}-{purpose}-{channel}", "purpose": purpose, "channel": channel}
            for purpose, channel in (
                ("marketing", "email"),
                ("marketing", "sms"),
                ("marketing", "push"),
                ("telemarketing", "sms"),
            )
        ],
        "compliance.kyc_records": [
            {
                "kyc_id": f"ky-{name}",
                "account_id": account,
                "birth_date": date(1985, 5, 5),
                "residence_country": country,
                "residence_region": region,
                "nationality": country,
                "risk_band": "medium",
                "risk_scored_at": NOW - timedelta(days=29),
                "pep": "none",
                "tier": 2,
                "status": "verified",
                "client_class": "retail",
                "verified_at": LONG_AGO,
                "expires_at": NOW + timedelta(days=500),
                "source_updated_at": LONG_AGO,
            }
        ],
        "compliance.assessments": [
            {
                **taken,
                "assessment_id": f"as-{name}-profile",
                "kind": "risk_profile",
                "product_line": None,
                "result": "aggressive",
            },
            *(
                {
                    **taken,
                    "assessment_id": f"as-{name}-{line}",
                    "kind": "appropriateness",
                    "product_line": line,
                    "result": "passed",
                }
                for line in ("spot", "derivatives", "staking")
            ),
            *(
                {
                    **taken,
                    "assessment_id": f"as-{name}-{kind}",
                    "kind": kind,
                    "product_line": None,
                    "result": result,
                    "taken_at": at,
                }
                for kind, result, at in ASSESSED
            ),
        ],
    }


def _catalogue() -> dict[str, list[dict[str, Any]]]:
    return {
        "catalogue.offers": [
            {
                "offer_id": "spot1",
                "version": 1,
                "product_line": "spot",
                "is_promotion": True,
                "incentive": "none",
                "is_direct_offer": False,
                "asset_kind": "other",
                "pays_interest": False,
                "interest_payer": None,
                "leverage": Decimal(1),
                "is_credit": False,
                "requires_transfer": False,
                "is_personal_recommendation": False,
                "is_significant": False,
                "is_gambling_style": False,
                "is_third_party_share": False,
                "is_au_financial_product": False,
                "has_personal_price": False,
                "uses_features": [],
                "brand_values": ["transparency"],
                "target_market": "adults with an account",
                "negative_target_market": "minors",
                "starts_at": LONG_AGO,
                "ends_at": NOW + timedelta(days=30),
                "ends_local": None,
                "source_updated_at": LONG_AGO,
            }
        ],
        "catalogue.creatives": [
            {
                "creative_id": f"cr-{channel}",
                "offer_id": "spot1",
                "offer_version": 1,
                "channel": channel,
                "locale": "en-GB",
                "title": "Spot",
                "body": "Trade spot.",
                "disclosures": DISCLOSURES,
                "pressure_flags": None,
                "why_template": "You looked at spot.",
            }
            for channel in CHANNELS
        ],
        "catalogue.approvals": [
            {
                "approval_id": f"ap-{kind}",
                "offer_id": "spot1",
                "offer_version": 1,
                "creative_id": None,
                "kind": kind,
                "regime": regime,
                "evidence": f"{route}file-{kind}",
                "valid_from": LONG_AGO,
                "valid_to": NOW + timedelta(days=60),
            }
            for kind, regime, route in (
                ("compliance", None, ""),
                ("brand", None, ""),
                ("uk_route", "GB", "authorised:"),
                ("white_paper", "EEA", ""),
                ("fair_lending", "US", ""),
            )
        ],
        "market.prices": CALM,
        "compliance.screening_runs": [
            {
                "screening_run_id": f"sr-{scope}",
                "scope": scope,
                "list_parse_complete": True,
                "screened_at": NOW - timedelta(hours=3),
            }
            for scope in ("accounts", "wallets")
        ],
    }


EMPTY = (
    "crm.contacts",
    "crm.preferences",
    "crm.messages",
    "compliance.screening_hits",
    "compliance.restrictions",
    "events.events",
    "surveys.responses",
    "exchange.trades",
    "exchange.ledger_entries",
)


@dataclass
class World:
    """Tables of raw rows, feeds, identities, arms and staged rows; change it, then `audited()`."""

    settings: settings.Settings
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    identifiers: list[tuple[str, str, str]] = field(default_factory=list)
    likely: set[str] = field(default_factory=set)  # identifiers that only likeness ties to their person
    stages: dict[str, str] = field(default_factory=dict)
    arms: list[tuple[str, str]] = field(default_factory=list)
    past: list[dict[str, Any]] = field(default_factory=list)
    withheld: list[tuple[str, str, datetime | None, datetime | None]] = field(default_factory=list)  # person, quarter, from, to
    staged: list[dict[str, Any]] = field(default_factory=list)
    phones: list[tuple[str, str]] = field(default_factory=list)
    penalties: dict[str, int] = field(
        default_factory=dict
    )  # person: what the run took off the rank of their offers; else nothing
    policy: Callable[[Path], None] = field(default_factory=lambda: _as_it_is)
    learns_first: bool = False  # whether the shop's ratio of promotions to education holds

    def edit(self, table: str, match: str = "", /, **changes: Any) -> None:
        """Change the rows of `table` one of whose values contains `match`."""
        rows = [row for row in self.tables[table] if any(match in str(value) for value in row.values())]
        assert rows, f"{table} has no row with {match!r}"
        for row in rows:
            row.update(changes)

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def restrict(self, kind: str, **changes: Any) -> None:
        row = {"restriction_id": f"re-{kind}", "account_id": "ac-gb", "wallet_address": None, "email": None, "kind": kind}
        when = {"status": "open", "starts_at": LONG_AGO, "ends_at": None, "source_updated_at": LONG_AGO}
        self.add("compliance.restrictions", **{**row, **when, **changes})

    def offer(self, person: str = "gb", channel: str = "web", **changes: Any) -> None:
        windowed = channel in ("sms", "push")
        row = {
            "decision_id": f"d-{person}-{channel}-{len(self.staged)}",
            "run_id": None,
            "person_id": f"p-{person}",
            "channel": channel,
            "market": "GB",
            "segment": "aggressive:experienced",
            "slot": 1,
            "rank": 1,
            "offer_id": "spot1",
            "offer_version": 1,
            "creative_id": f"cr-{channel}",
            "locale": "en-GB",
            "title": "Spot",
            "body": "Trade spot.",
            "reason_text": "You looked at spot.",
            "disclosures": json.dumps(DISCLOSURES, separators=(",", ":")),
            "arm": "treated",
            "valid_from": NOW,
            "valid_until": NOW + timedelta(hours=24),
            "send_after": NOW + timedelta(minutes=30) if windowed else None,
            "send_before": NOW + timedelta(hours=4) if windowed else None,
            "model_version": "m1",
            "policy_version": "v1",
        }
        self.staged.append({**row, **changes})

    def found(self) -> set[str]:
        """The codes of all violations, after the audit; none means that it passed."""
        with contextlib.suppress(AuditFailed):
            self.audited()
        return set(self.violations()["code"].to_list())

    def violations(self) -> pl.DataFrame:
        return pl.read_parquet(next(self.settings.restricted_published_dir.glob("*/audit_violations.parquet")))

    def audited(self) -> dict[str, Any]:
        self.write()
        return audit.run(AS_OF, self.settings)

    def write(self) -> None:
        """Raw segments, state, identities and staged rows, as the stages before the audit leave them."""
        snapshot = self.settings.state_dir / "policy" / "v1"
        shutil.copytree(POLICY, snapshot, dirs_exist_ok=True)
        if not self.learns_first:  # most worlds have one promotion and no lesson beside it
            shop = snapshot / "shops" / "crypto.yml"
            lines = shop.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith("promotions_per_education")]
            assert len(kept) == len(lines) - 1
            shop.write_text("".join(kept), encoding="utf-8")
        self.policy(snapshot)
        deliveries = [self._segment(table) for table in sorted({*self.tables, *EMPTY})]
        with connect(self.settings, restricted=True) as connection:
            runs.prepare(connection)
            withholding.prepare(connection)
            suppressed.prepare(connection)
            if self.withheld:
                connection.executemany(
                    "insert into vault.state.withheld (person_id, quarter, batch_seq, starts_at, ends_at) values (?, ?, 1, ?, ?)",
                    self.withheld,
                )
            connection.executemany("insert into state.deliveries values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)", deliveries)
            pinned = runs.pin(connection, AS_OF, policy_version="v1")
            for row in self.staged:
                row["run_id"] = row["run_id"] or pinned.run_id
            self._tables(connection)

    def _segment(self, table: str) -> list[Any]:
        source, name = table.split(".")
        declared = _contract()[source]
        columns = declared["tables"][name]["columns"]
        schema = {column: _polars_type(kind) for column, kind in columns.items()}
        feed = {"extracted_at": NOW - timedelta(minutes=20), "is_complete": True, "covers_from": None, "covers_to": None}
        feed.update(self.feeds.get(table, {}))
        rows = [{column: row.get(column) for column in schema} for row in self.tables.get(table, [])]
        folder = self.settings.restricted_raw_dir if declared.get("restricted") else self.settings.raw_dir
        path = folder / source / name / "seg1.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        delivery = f"{feed['extracted_at']:%Y-%m-%dT%H%M%SZ}"
        pl.DataFrame(rows, schema=schema).with_columns(
            pl.lit(feed["extracted_at"]).cast(pl.Datetime("us")).alias("_extracted_at"),
            pl.lit(f"{source}/{name}/{delivery}/rows.parquet").alias("_file"),
        ).write_parquet(path)
        window = [feed["is_complete"], feed["covers_from"], feed["covers_to"]]
        return [
            f"{table}/{delivery}@x",
            source,
            name,
            delivery,
            feed["extracted_at"],
            table,
            1,
            len(rows),
            len(rows),
            *window,
            "seg1",
        ]

    def _tables(self, connection: Any) -> None:
        text = pl.String
        tables = {
            "identity.person_identifiers": pl.DataFrame(
                self.identifiers, schema={"person_id": text, "identifier_kind": text, "identifier": text}, orient="row"
            ).with_columns(
                evidence_rank=pl.when(pl.col("identifier").is_in(list(self.likely))).then(10).otherwise(5).cast(pl.Int8)
            ),
            "identity.evidence_classes": pl.DataFrame({"evidence_rank": [5, 10], "is_weak": [False, True]}),
            "core.people": pl.DataFrame(
                list(self.stages.items()), schema={"person_id": text, "lifecycle_stage": text}, orient="row"
            ),
            "state.phone_numbers": pl.DataFrame(
                self.phones, schema={"phone_std": text, "phone_country": text}, orient="row"
            ).with_columns(pl.lit(True).alias("is_valid"), raw=pl.col("phone_std"), country=pl.col("phone_country")),
            "decisions.staged_offers": pl.DataFrame(self.staged or [self._empty_row()], infer_schema_length=None)
            .with_columns(pl.col("send_after", "send_before").cast(pl.Datetime("us")), pl.col("offer_version").cast(pl.Int64))
            .head(len(self.staged)),
        }
        tables["decisions.ledger"] = pl.DataFrame(
            [
                (row["decision_id"], row["person_id"], row["offer_id"], "spot", True, self.penalties.get(row["person_id"], 0))
                for row in self.staged
            ],
            schema={
                "decision_id": text,
                "person_id": text,
                "offer_id": text,
                "product_line": text,
                "is_promotion": pl.Boolean,
                "penalty_bp": pl.Int32,
            },
            orient="row",
        )
        if self.past:
            tables["state.decisions"] = pl.DataFrame(self.past)
        for name, frame in tables.items():
            connection.execute(f"create schema if not exists {name.split('.')[0]}")
            connection.register("frame", frame.to_arrow())
            connection.execute(f"create or replace table {name} as select * from frame")
            connection.unregister("frame")
        if self.arms:
            connection.executemany("insert into state.arms values (?, ?, 1)", self.arms)

    def _empty_row(self) -> dict[str, Any]:
        blank = World(self.settings)
        blank.offer(run_id="", send_after=NOW, send_before=NOW)
        return blank.staged[0]

    def is_alone(self) -> bool:
        """Whether the world differs from the usual one in something that all persons share: feeds, screening runs, policy."""
        usual = _catalogue()["compliance.screening_runs"]
        is_calm = self.tables["market.prices"] is CALM
        return (
            bool(self.feeds)
            or self.learns_first
            or self.policy is not _as_it_is
            or self.tables["compliance.screening_runs"] != usual
            or not is_calm
        )

    def without_people(self) -> World:
        """This world with nobody and no offer in it, for others to be taken in."""
        for table in self.tables:
            if table not in ("compliance.screening_runs", "market.prices"):
                self.tables[table] = []
        self.identifiers, self.stages, self.arms = [], {}, []
        return self

    def take_in(self, other: World, suffix: str) -> None:
        """Add the people, offers and rows of `other` under names of their own."""
        for table, rows in other.tables.items():
            if table not in ("compliance.screening_runs", "market.prices"):
                self.tables.setdefault(table, []).extend(_renamed(row, suffix) for row in rows)
        self.identifiers += [
            (person + suffix, kind, _renamed({_COLUMN_OF.get(kind, kind): value}, suffix)[_COLUMN_OF.get(kind, kind)])
            for person, kind, value in other.identifiers
        ]
        self.likely |= {
            _renamed({_COLUMN_OF.get(kind, kind): value}, suffix)[_COLUMN_OF.get(kind, kind)]
            for _, kind, value in other.identifiers
            if value in other.likely
        }
        self.stages |= {person + suffix: stage for person, stage in other.stages.items()}
        self.penalties |= {person + suffix: points for person, points in other.penalties.items()}
        self.arms += [(person + suffix, arm) for person, arm in other.arms]
        self.withheld += [(person + suffix, *when) for person, *when in other.withheld]
        self.past += [_renamed(row, suffix) for row in other.past]
        self.staged += [_renamed(row, suffix) for row in other.staged]
        self.phones = sorted({*self.phones, *other.phones})


_COLUMN_OF = {"wallet": "wallet_address"}
_SHARED = {"screening_run_id", "run_id"}


def _renamed(row: dict[str, Any], suffix: str) -> dict[str, Any]:
    """The row with every id in it made another's, in the way each kind of id allows."""

    def other(column: str, value: Any) -> Any:
        if not isinstance(value, str) or column in _SHARED:
            return value
        if column == "email":
            return value.replace("@", f"{suffix}@")
        if column == "wallet_address" or column.endswith("_id"):
            return value.rstrip() + suffix
        return value

    return {column: other(column, value) for column, value in row.items()}


def _as_it_is(folder: Path) -> None:
    """The policy as the repository has it."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two persons, one in London and one in New York State, to whom spot1 may be shown everywhere; nothing is staged yet."""
    return usual_world(tmp_path)


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path], World]:
    """The usual world in a folder of the caller's choice."""
    return usual_world


def usual_world(tmp_path: Path) -> World:
    made = World(replace(settings.load({"CANDOR_STATE_DIR": str(tmp_path)}), memory_limit="1GB"))
    people = {"gb": ("GB", None, "Europe/London", "+447700900001"), "ny": ("US", "US-NY", "America/New_York", "+12125550100")}
    for name, given in people.items():
        for table, rows in _person(name, *given).items():
            made.tables.setdefault(table, []).extend(rows)
        kinds = {"account_id": f"ac-{name}", "contact_id": f"co-{name}", "email": f"{name}@example.com", "phone": given[3]}
        kinds["wallet"] = f"0x{name:a<40}"
        made.identifiers += [(f"p-{name}", kind, value) for kind, value in kinds.items()]
        made.stages[f"p-{name}"] = "experienced"
        made.arms.append((f"p-{name}", "treated"))
        made.phones.append((given[3], given[0]))
    made.tables |= _catalogue()
    return made
