"""The policy's tables as the audit reads them: plain YAML of the run's own snapshot, loaded by no code of the policy engine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from candor.errors import PolicyError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class QuietHours:
    """One row of the quiet-hours table: in `regime` (or everywhere, "*"), on these ISO weekdays, a message may be sent in [open, close)."""

    regime: str
    weekdays: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True)
class Rulebook:
    """What the rules look up. Instants are naive UTC."""

    product_lines: dict[str, dict[str, Any]]
    regime_map: dict[str, dict[str, Any]]
    permissions: list[dict[str, Any]]
    quiet_hours: list[QuietHours]
    latency_margin_min: int
    email_optout_regimes: list[str]
    channels: dict[str, dict[str, Any]]
    limits: dict[str, int]
    staleness: list[dict[str, Any]]  # of limits.yml: offers (education, promotions), from_rank, hours, hours_stressed
    pack_valid_from: datetime
    pack_valid_to: datetime
    brand: dict[str, Any]  # brand.yml as it is
    explanations: dict[str, Any]  # explanations.yml as it is
    market_basket: list[dict[str, Any]]
    promotions_per_education: dict[str, float | None]  # by lifecycle stage; None, or no stage at all: no limit
    sensitive_features: list[str]
    fatf: list[dict[str, Any]]  # the lists of fatf.yml, instants read
    pack_rules: list[dict[str, Any]]  # the pack's rules as they are
    reviewing: dict[str, Any]  # review.yml as it is; empty for a policy from before it
    leaves_out: dict[str, str]  # rules of the pack that the shop leaves out, with its reasons
    content_hash: str

    def fatf_at(self, when: datetime) -> dict[str, list[str]]:
        """The countries of each list that holds then, by the list's name."""
        holding = [row for row in self.fatf if row["from"] <= when and (row["to"] is None or when < row["to"])]
        return {row["list"]: row["countries"] for row in holding}

    def product_frame(self) -> pl.DataFrame:
        """One row per product line: m_rank, m_min_kyc, m_approp, m_vol_max, m_profiles, m_stages."""
        import polars as pl

        return pl.DataFrame(
            [
                {
                    "product_line": name,
                    "m_rank": row["rank"],
                    "m_min_kyc": row["min_kyc"],
                    "m_approp": row["approp"],
                    "m_vol_max": row["vol_max"],
                    "m_profiles": row["profiles"],
                    "m_stages": row["stages"],
                }
                for name, row in self.product_lines.items()
            ],
            schema={
                "product_line": pl.String,
                "m_rank": pl.Int64,
                "m_min_kyc": pl.Int64,
                "m_approp": pl.Boolean,
                "m_vol_max": pl.Int64,
                "m_profiles": pl.List(pl.String),
                "m_stages": pl.List(pl.String),
            },
        )


def load(folder: Path, shop: str) -> Rulebook:
    """The rulebook in `folder`. Raises PolicyError when a table is missing or a code was read as something else than text."""
    shop_tables = _read(folder / "shops" / f"{shop}.yml")
    pack_file = _read(folder / shop_tables.get("pack", "pack.yaml"))
    pack = pack_file["pack"]
    channels = _read(folder / "channels.yml")["channels"]
    limits = _read(folder / "limits.yml")
    for key in shop_tables["regime_map"]:
        if not isinstance(key, str):
            raise PolicyError(
                f"market key {key!r} of shops/{shop}.yml is not text", hint="quote it: unquoted NO is false in YAML 1.1"
            )
    files = sorted(path for path in folder.rglob("*.y*ml") if path.is_file())
    digest = hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
    return Rulebook(
        product_lines={row["product"]: row for row in shop_tables["product_lines"]},
        regime_map=shop_tables["regime_map"],
        permissions=[{**row, "from": instant(row["from"]), "to": instant(row["to"])} for row in shop_tables["permissions"]],
        quiet_hours=[
            QuietHours(row["regime"], frozenset(row["dow"]), _clock(row["open"]), _clock(row["close"]))
            for row in shop_tables["quiet_hours"]
        ],
        latency_margin_min=int(shop_tables["latency_margin_min"]),
        email_optout_regimes=list(shop_tables["email_optout_regimes"]),
        channels={row["channel"]: row for row in channels},
        limits={row["name"]: row["value"] for row in limits["limits"]},
        staleness=limits["staleness"],
        pack_valid_from=instant(pack["valid_from"]),
        pack_valid_to=instant(pack["valid_to"]),
        brand=_read(folder / "brand.yml"),
        explanations=_read(folder / "explanations.yml"),
        sensitive_features=list(shop_tables["sensitive_features"]),
        market_basket=shop_tables.get("market_basket") or [],
        promotions_per_education=shop_tables.get("promotions_per_education") or {},
        fatf=_fatf(folder / "fatf.yml"),
        pack_rules=pack_file["rules"],
        reviewing=_read(folder / "review.yml") if (folder / "review.yml").is_file() else {},
        leaves_out=_leaves_out(shop_tables, pack_file["rules"], f"shops/{shop}.yml"),
        content_hash=digest,
    )


def _leaves_out(shop_tables: dict[str, Any], rules: list[dict[str, Any]], file: str) -> dict[str, str]:
    """The rules not to apply. Raises PolicyError unless each is a rule of the pack about product lines that the shop does not have."""
    left_out = shop_tables.get("leaves_out") or {}
    sold = {row["product"] for row in shop_tables["product_lines"]}
    for rule_id in left_out:
        concerned = [set(rule["scope"]["products"] or sold) for rule in rules if rule["id"] == rule_id]
        if not concerned or any(products & sold for products in concerned):
            raise PolicyError(
                f"{file} leaves out {rule_id}, which {'concerns what the shop sells' if concerned else 'the pack does not have'}",
                hint="a shop may leave out only rules about product lines that it does not have",
            )
    return dict(left_out)


def _fatf(path: Path) -> list[dict[str, Any]]:
    """The lists; none without the file, so that nobody's standing is known."""
    if not path.is_file():
        return []
    return [
        {**row, "from": instant(row["from"]), "to": None if row["to"] is None else instant(row["to"])}
        for row in _read(path)["lists"]
    ]


def instant(text: Any) -> datetime:
    """The instant written in a policy file, as naive UTC. A file that leaves out the zone is refused: the law is local."""
    read = text if isinstance(text, datetime) else datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    if read.tzinfo is None:
        raise PolicyError(f"an instant of the policy has no zone: {text}", hint="write 2028-01-01T00:00Z")
    return read.astimezone(UTC).replace(tzinfo=None)


def _clock(text: Any) -> time:
    hours, minutes = str(text).split(":")
    return time(int(hours), int(minutes))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PolicyError(
            f"the run's policy has no {path.name} in {path.parent}", hint="run ingest again: it keeps the policy's files"
        )
    return yaml.safe_load(path.read_text(encoding="utf-8"))
