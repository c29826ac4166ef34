"""The rule pack's conformance cases through the compiled SQL: exactly the codes that each case expects, at every grain.

Facts that the dbt models derive (age, permissions, quiet hours, channel, end) are worked out here a second time, in plain Python.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import yaml

from candor.policy import compiling, explain, load
from candor.policy.grains import GRAINS

HERE = Path(__file__).parent
POLICY = load(HERE.parents[2] / "policy", "crypto")
# The cases run from 2023 on; the pack in force is dated to its quarter.
WIDE = replace(POLICY, valid_from=datetime.fromisoformat("2023-01-01"), valid_to=datetime.fromisoformat("2028-01-01"))
BASE = yaml.safe_load((HERE / "base.yml").read_text(encoding="utf-8"))
CASES = yaml.safe_load((HERE / "cases.yml").read_text(encoding="utf-8"))
LINES = {line.product_line: line for line in POLICY.product_lines}
RULE_CHANNELS = {channel: rule_channel for channel, rule_channel, *_ in POLICY.channels} | {"inapp": "inapp"}

USER = {
    "person_id": "varchar", "place_id": "varchar", "creative_id": "varchar", "offer_class": "varchar", "rule_channel": "varchar",
    "c_as_of": "timestamp", "c_channel": "varchar", "u_is_test": "boolean", "u_sanctions_status": "varchar", "u_wallet_sanctioned": "boolean",
    "c_list_parse_complete": "boolean", "u_embargo": "boolean", "u_fincrime_hold": "boolean", "u_adverse_media": "varchar",
    "u_minor_signal": "boolean", "u_vuln_flag": "boolean", "u_harm_signal": "boolean", "u_self_excluded": "boolean", "u_erasure": "boolean",
    "u_dm_objection": "boolean", "u_profiling_objection": "boolean", "u_kyc_tier": "integer", "u_kyc_expires_at": "timestamp",
    "u_kyc_conflict": "boolean", "d_age": "integer", "u_regimes": "varchar[]", "u_perm_regimes": "varchar[]", "u_client_class": "varchar",
    "u_risk_profile": "varchar", "u_stage": "varchar", "u_approp": "varchar", "u_tcpa_pewc": "boolean", "u_contacts_24h": "integer",
    "u_contacts_7d": "integer", "d_channel_ok": "boolean", "d_quiet_house_violations": "integer", "d_quiet_us_violations": "integer",
    "d_perm_missing": "integer", "o_is_promotion": "boolean", "o_incentive": "varchar", "o_starts_at": "timestamp", "o_ends_at": "timestamp",
    "o_pressure": "varchar[]", "o_disclosures": "varchar[]", "o_why": "boolean", "o_creative_approved": "boolean",
    "o_creative_expires": "timestamp", "m_product": "varchar", "m_rank": "integer", "m_min_kyc": "integer", "m_approp": "boolean",
    "m_profiles": "varchar[]", "m_stages": "varchar[]", "o_silos_in_time": "boolean", "o_silos_delivered": "boolean",
}  # fmt: skip


def utc(text: str | None) -> datetime | None:
    return (
        None if text is None else datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)
    )


def local(zone: str, instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def age(born: str | None, zones: list[str] | None, as_of: datetime) -> int | None:
    if born is None:
        return None
    days = [local(zone, as_of).date() for zone in zones] if zones else [(as_of - timedelta(hours=12)).date()]
    birth = date.fromisoformat(str(born))
    return min(day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day)) for day in days)


def regimes(person: dict[str, Any]) -> tuple[list[str] | None, list[str] | None]:
    places = [person["residence"], *person["other_countries"]]
    if any(place not in POLICY.regime_map for place in places):
        return None, None
    return (
        sorted({regime for place in places for regime in POLICY.regime_map[place][0]}),
        sorted({POLICY.regime_map[place][1] for place in places}),
    )


def violations(names: set[str], zones: list[str] | None, as_of: datetime) -> int | None:
    if not zones:
        return None
    found = 0
    for zone in zones:
        clock = local(zone, as_of)
        for regime, days, opens, closes in POLICY.quiet_hours:
            if regime in names and clock.isoweekday() in days:
                shuts = datetime.combine(clock.date(), time.fromisoformat(closes)) - timedelta(
                    minutes=POLICY.latency_margin_min
                )
                found += not (datetime.combine(clock.date(), time.fromisoformat(opens)) <= clock < shuts)
    return found


def missing(permitting: list[str] | None, client_class: str | None, product: str | None, as_of: datetime) -> int | None:
    if permitting is None or client_class is None or product not in LINES:
        return None
    granted = {
        regime for regime, whom, products, start, end in POLICY.permissions if whom == client_class and product in products and start <= as_of < end
    }  # fmt: skip
    return len(set(permitting) - granted)


def both(first: bool | None, second: bool | None) -> bool | None:
    return False if first is False or second is False else None if first is None or second is None else True


def channel_ok(channel: str | None, person: dict[str, Any], permitting: list[str] | None) -> bool | None:
    if channel in ("inapp", "chatbot"):
        return True
    if channel in ("sms", "push"):
        consent = person[f"consent_{channel}"]
        return None if consent is None else consent == "granted"
    if channel != "email" or permitting is None:
        return None
    subscribed = None if person["unsub_email"] is None else not person["unsub_email"]
    if all(regime.startswith("US") for regime in permitting):
        return subscribed
    consent = person["consent_email"]
    opted = None if consent is None else consent == "granted" or (consent == "none" and person["soft_opt_in"])
    return both(subscribed, opted)


def end(offer: dict[str, Any], zones: list[str] | None) -> datetime | None:
    fixed = utc(offer["to"])
    if offer["end_local"] is None:
        return fixed
    wall = datetime.fromisoformat(offer["end_local"])
    ends = [
        wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for zone in zones or []
    ]  # fold 0: the first
    return min([fixed, *(ends or [wall - timedelta(hours=14)])])


def row(case: dict[str, Any]) -> dict[str, Any]:
    person = {**BASE["user"], **BASE["personas"][case["p"]], **case.get("u", {})}
    offer = {**BASE["offer"], **BASE["offers"][case["o"]], **case.get("of", {})}
    as_of = utc(case.get("at", BASE["as_of"]))
    for fact, hours in case.get("age", {}).items():
        assert fact.removeprefix("u_") in person, f"{case['id']} ages {fact}, which no person has"
        if hours > POLICY.facts[fact].max_age_hours:
            person[fact.removeprefix("u_")] = None
    everywhere, permitting = regimes(person)
    channel = RULE_CHANNELS.get(case.get("ch", BASE["channel"]))
    line = LINES.get(offer["product"])
    held = {f"u_{name}": value for name, value in person.items() if f"u_{name}" in USER}
    return held | {
        "person_id": case["id"], "place_id": case["id"], "creative_id": case["id"], "offer_class": case["id"], "rule_channel": channel,
        "c_as_of": as_of, "c_channel": channel, "u_is_test": False, "c_list_parse_complete": case.get("list_ok", True),
        "u_kyc_expires_at": utc(person["kyc_expires_at"]), "d_age": age(person["dob"], person["tzs"], as_of), "u_regimes": everywhere,
        "u_perm_regimes": permitting, "d_channel_ok": channel_ok(channel, person, permitting),
        "d_quiet_house_violations": violations({"*"}, person["tzs"], as_of),
        "d_quiet_us_violations": violations({name for name in everywhere or [] if name.startswith("US")}, person["tzs"], as_of),
        "d_perm_missing": missing(permitting, person["client_class"], offer["product"], as_of), "o_is_promotion": offer["is_promotion"],
        "o_incentive": offer["incentive"], "o_starts_at": utc(offer["from"]), "o_ends_at": end(offer, person["tzs"]),
        "o_pressure": offer["pressure"], "o_disclosures": offer["disclosures"], "o_why": offer["why"],
        "o_creative_approved": offer["creative_approved"], "o_creative_expires": utc(offer["creative_expires"]),
        "m_product": line and line.product_line, "m_rank": line and line.rank, "m_min_kyc": line and line.min_kyc,
        "o_silos_in_time": offer.get("silos_in_time", True), "o_silos_delivered": offer.get("silos_delivered", True),
        "m_approp": line and line.approp, "m_profiles": line and list(line.profiles), "m_stages": line and list(line.stages),
    }  # fmt: skip


def hits(policy: Any, rows: list[dict[str, Any]]) -> dict[str, list[tuple[str, str, str]]]:
    """(code, effect, visibility) by case, from the SQL of every grain over the same rows."""
    connection = duckdb.connect(":memory:")
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"create table facts ({', '.join(f'{name} {kind}' for name, kind in USER.items())})")
    marks = ", ".join("?" for _ in USER)
    connection.executemany(f"insert into facts values ({marks})", [[made.get(name) for name in USER] for made in rows])
    found: dict[str, list[tuple[str, str, str]]] = {made["person_id"]: [] for made in rows}
    for grain in GRAINS:
        for suffix in ("", "_by_promotion"):
            connection.execute(f"create view eval_{grain}{suffix} as from facts")
        key = "creative_id" if grain.startswith("offer") else "person_id"
        sql = compiling.grain_sql(policy, grain)
        for case, code, effect, visibility in connection.execute(
            f"select {key}, code, effect, visibility from ({sql})"
        ).fetchall():
            found[case].append((code, effect, visibility))
    connection.close()
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, list[tuple[str, str, str]]]:
    return hits(WIDE, [row(case) for case in CASES])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_case_gives_exactly_the_codes_it_expects(case: dict[str, Any], found: dict[str, list[tuple[str, str, str]]]) -> None:
    codes = sorted({code for code, *_ in found[case["id"]]})
    if "c" in case:
        assert codes == sorted(case["c"]), case["t"]
    assert set(case.get("inc", [])) <= set(codes), case["t"]
    effects = {effect for _, effect, _ in found[case["id"]]}
    decision = "BLOCK" if "BLOCK" in effects else "HOLD" if "HOLD" in effects else "ALLOW"
    assert decision == case["d"], case["t"]


@pytest.mark.parametrize("case", [case for case in CASES if "ex" in case], ids=lambda case: case["id"])
def test_a_person_is_told_only_safe_codes_that_are_known(
    case: dict[str, Any], found: dict[str, list[tuple[str, str, str]]]
) -> None:
    told = [code for code, *_ in found[case["id"]] if explain(code, POLICY)["may_be_told"]]
    assert ("SPECIFIC" if told else "GENERIC") == case["ex"], case["t"]


@pytest.mark.parametrize("case", [case for case in CASES if "ob" in case], ids=lambda case: case["id"])
def test_every_obligation_of_a_case_is_asked_for_when_the_creative_carries_none(case: dict[str, Any]) -> None:
    bare = row({**case, "of": {**case.get("of", {}), "disclosures": []}})
    asked = {code.removeprefix("DISC_MISSING_") for code, *_ in hits(WIDE, [bare])[case["id"]]}
    ours = {obligation for rule in POLICY.rules for obligation in rule.obligations}
    assert asked == set(case["ob"]) & ours


def test_every_rule_has_cases_and_every_case_it_names_exists() -> None:
    known = {case["id"] for case in CASES}
    pack = yaml.safe_load((HERE.parents[2] / "policy" / "pack.yaml").read_text(encoding="utf-8"))
    assert {rule["id"] for rule in pack["rules"] if not rule["tests"]} == set()
    assert {test for rule in pack["rules"] for test in rule["tests"]} <= known


@pytest.mark.parametrize("fact", sorted(name for name in USER if name[0] in "uo" and name not in ("u_is_test", "o_ends_at")))
def test_an_unknown_fact_never_helps(fact: str, found: dict[str, list[tuple[str, str, str]]]) -> None:
    """I-3: whoever was blocked or held stays so when one of their facts becomes unknown."""
    rows = [{**row(case), fact: None} for case in CASES]
    without = hits(WIDE, rows)
    freed = [case["id"] for case in CASES if found[case["id"]] and not without[case["id"]]]
    assert freed == []


def test_rules_in_any_order_and_twice_give_the_same_hits(found: dict[str, list[tuple[str, str, str]]]) -> None:
    """I-2, apart from the number of equal hits."""
    turned = hits(replace(WIDE, rules=tuple(reversed(WIDE.rules)) + WIDE.rules), [row(case) for case in CASES])
    assert {case: set(given) for case, given in turned.items()} == {case: set(given) for case, given in found.items()}


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-22T23:59:59", True),
        ("2026-11-23T00:00:00", False),
        ("2027-02-20T23:59:59", False),
        ("2027-02-21T00:00:00", True),
    ],
)
def test_outside_its_dates_the_pack_blocks_everything(instant: str, expected: bool) -> None:
    education = {**row(CASES[1]), "c_as_of": datetime.fromisoformat(instant)}
    codes = {code for code, *_ in hits(POLICY, [education])[education["person_id"]]}
    assert ("PACK_OUT_OF_DATE" in codes) is expected
