"""Which holds reviewers lifted, worked out again from the file of verdicts and the raw data, by no code that installs releases.

Nothing but a hold can be lifted. A release counts for a row when the facts that the rule reads are, by the audit's own derivation, those that
the reviewer saw, the creative and its version are those that they saw, and enough of those who may decide it agree at the run's instant.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.audit.rulebook import instant

if TYPE_CHECKING:
    import polars as pl

REVIEW_RULE, REVIEW_CODE = "ENG-REVIEW", "REV_NOT_REVIEWED"
# Facts of the policy that the audit's rows hold under another name or in another form.
OTHERWISE = {
    "o_personal_rec": "is_personal_recommendation", "o_suitability_done": "has_suitability", "o_us_counsel_ok": "has_us_counsel",
    "o_significant": "is_significant", "o_human_review": "has_human_review", "o_reviewed": "has_human_review",
}  # fmt: skip
OF_THE_CREATIVE = ("c_channel", "c_locale", "c_title", "c_body", "o_disclosures", "c_why")


@dataclass(frozen=True)
class Verdicts:
    """What was said until the instant, as it stands: per item the last word of each reviewer."""

    by_item: dict[str, list[dict[str, Any]]]
    holds: dict[tuple[str, int], dict[str, Any]]  # (rule, version) of every hold of the pack: facts, roles
    two_from: float
    longest_days: float
    as_of: datetime
    merged: dict[str, str]  # who was merged into whom


def verdicts(
    file: Path, rules: list[dict[str, Any]], reviewing: dict[str, Any], as_of: datetime, merged: dict[str, str]
) -> Verdicts:
    """The verdicts in `file` that were given by `as_of` (naive UTC), and what of the pack they may be about."""
    numbers = {row["name"]: row["value"] for row in reviewing.get("numbers", [])}
    roles = {row["kind"]: set(row["roles"]) for row in reviewing.get("kinds", [])}
    holds = {
        (rule["id"], int(rule["v"])): {
            "facts": set(rule["facts"]),
            "roles": roles.get("hold_fincrime" if rule["vis"] == "restricted" else "hold", set()),
        }
        for rule in rules
        if rule["effect"] == "HOLD"
    }
    holds[(REVIEW_RULE, 1)] = {"facts": {"m_rank", "o_reviewed"}, "roles": roles.get("new_offer", set())}
    last: dict[str, dict[str, dict[str, Any]]] = {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    said = [line for line in lines if "verdict" in line and instant(line["at"]) <= as_of]
    for line in sorted(said, key=lambda one: instant(one["at"])):
        last.setdefault(line["item_id"], {})[line["reviewer"]] = line
    return Verdicts(
        {item: list(of.values()) for item, of in last.items()},
        holds,
        numbers.get("two_reviewers_from_rank", 0),
        numbers.get("longest_release_days", 0),
        as_of,
        merged,
    )


def is_upheld(rows: pl.DataFrame, known: Verdicts | None) -> pl.Series:
    """Of each row whether somebody's last word of it, or of its creative, is that it must not be shown."""
    import polars as pl

    refused = pl.lit(False)
    for said in (one for of_item in (known.by_item.values() if known else ()) for one in of_item if one["verdict"] == "uphold"):
        assert known is not None
        for creative_id, offer_id, version, seen_hash, *_ in said["creatives"]:
            same_offer = (pl.col("offer_id") == offer_id) & (pl.col("offer_version") == version)
            if said["kind"] in ("near_miss", "random"):
                refused |= same_offer & (pl.col("person_id") == known.merged.get(said["person_id"], said["person_id"]))
            elif said["kind"] == "high_risk_segment" and said.get("segment"):
                refused |= same_offer & (pl.col("segment") == said["segment"])
            elif said["kind"] == "new_offer":
                shown = rows.filter(pl.col("creative_id") == creative_id).head(1)  # its words are the same in every row
                if any(creative_hash(row) == seen_hash for row in shown.iter_rows(named=True)):
                    refused |= same_offer & (pl.col("creative_id") == creative_id)
    return rows.select(
        (refused & pl.col("decision_id").is_not_null().or_(pl.lit(True))).fill_null(True).alias("is_upheld")
    ).to_series()


def lift(
    found: pl.DataFrame, counts: dict[str, dict[str, int]], rows: pl.DataFrame, known: Verdicts
) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """(the violations that no release lifts, the counts without the lifted). Of what breaks nothing this costs nothing."""
    import polars as pl

    if found.is_empty() or not known.by_item:
        return found, counts
    names = {rule for rule, _ in known.holds}
    asked = (
        found.with_columns(_rule_id().alias("rule_id"))
        .filter(pl.col("rule_id").is_in(names), ~pl.col("code").str.ends_with("_UNKNOWN"))
        .select("decision_id", "rule_id", "code")
        .join(rows, on="decision_id", how="inner")
    )
    lifted = [
        (row["decision_id"], row["code"])
        for row in asked.unique(["decision_id", "code"]).iter_rows(named=True)
        if _is_released(row, known)
    ]
    if not lifted:
        return found, counts
    gone = pl.DataFrame(lifted, schema={"decision_id": pl.String, "code": pl.String}, orient="row")
    for code, number in gone.group_by("code").len().iter_rows():
        counts[code] = {**counts[code], "violations": counts[code]["violations"] - number}
    return found.join(gone, on=["decision_id", "code"], how="anti"), counts


def _rule_id() -> pl.Expr:
    import polars as pl

    return pl.when(pl.col("code") == REVIEW_CODE).then(pl.lit(REVIEW_RULE)).otherwise("rule")


def _is_released(row: dict[str, Any], known: Verdicts) -> bool:
    """Whether, of some item, everybody whose word counts releases this row and enough of them do."""
    return any(_releases(row, said, known) for said in known.by_item.values())


def _releases(row: dict[str, Any], said: list[dict[str, Any]], known: Verdicts) -> bool:
    if any(one["verdict"] != "release" for one in said):
        return False
    needed = 2 if row["m_rank"] is None or row["m_rank"] >= known.two_from else 1
    return sum(_names(row, one, known) for one in said) >= needed


def _names(row: dict[str, Any], one: dict[str, Any], known: Verdicts) -> bool:
    """Whether this verdict is about the row's hold, its facts and its creative, by somebody who may, and outlasts the row."""
    hold = known.holds.get((one["rule_id"], one["v"]))
    if hold is None or one["rule_id"] != row["rule_id"] or one["role"] not in hold["roles"] or one["expires"] is None:
        return False
    if one["person_id"] not in (None, row["person_id"]):
        return False
    facts = dict(pair.split("=", 1) for pair in (one["facts"] or "").split(";") if "=" in pair)
    given, ends = instant(one["at"]), instant(one["expires"])
    if (ends - given).days > known.longest_days or ends < row["valid_until"] or ends <= known.as_of:
        return False
    seen = [row["creative_id"], row["offer_id"], row["offer_version"], creative_hash(row)]
    return (
        set(facts) == hold["facts"]
        and hashlib.md5(one["facts"].encode()).hexdigest() == one["fact_hash"]
        and all(said == _told(name, row) for name, said in facts.items())
        and any(creative[:4] == seen for creative in one["creatives"])
    )


def creative_hash(row: dict[str, Any]) -> str:
    """What a creative says, where and in which language, as one hash."""
    said = [row[name] if not isinstance(row[name], list) else ",".join(row[name]) for name in OF_THE_CREATIVE]
    return hashlib.md5("|".join(text or "" for text in said).encode()).hexdigest()


def _told(fact: str, row: dict[str, Any]) -> str:
    """The audit's own value of a fact, written as the releases write it."""
    if fact == "u_adverse_media":
        return {True: "unresolved", False: "none", None: "?"}[row["u_adverse_media"]]
    value = row[OTHERWISE.get(fact, fact)]
    if fact in OTHERWISE and value is None:
        value = False  # no approval at all
    if value is None:
        return "?"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(sorted(value)) if isinstance(value, list) else str(value)
