"""Random cases decided by the rules and, row by row, by a slow reading of the rule texts: decision, codes, obligations, penalty, explanation.

`python -m benchmarks.policy_oracle --cases 1000000 --seed 7` prints one line per batch, with its seed, and exit code 1 when a case differs.
The oracle derives age, regimes, permissions, quiet hours, consent and ends in plain Python, states every rule by hand, and shares no line
with the compiled SQL. `benchmarks.policy_cases` makes the cases.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time as clock
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.policy_cases import (
    BUREAU,
    CHANNELS,
    DAY,
    HOUR,
    INDIAN,
    OBSERVED,
    POLICY,
    PRESSURE,
    Row,
    as_table,
    cases,
    tables,
    year_before,
)

Truth = bool | None


def _legal(day: str, zone: str) -> datetime:
    """The UTC instant at which that date begins where the law is made."""
    return datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def conj(*values: Truth) -> Truth:
    return False if False in values else None if None in values else True


def disj(*values: Truth) -> Truth:
    return True if True in values else None if None in values else False


def no(value: Truth) -> Truth:
    return None if value is None else not value


def one_of(value: Any, *accepted: Any) -> Truth:
    return None if value is None else value in accepted


def at_least(value: Any, least: Any) -> Truth:
    return None if value is None or least is None else value >= least


def below(value: Any, limit: Any) -> Truth:
    return no(at_least(value, limit))


def has_any(values: Any, *wanted: str) -> Truth:
    return None if values is None else any(one in values for one in wanted)


def known(row: Row) -> Row:
    """Each fact as it may be believed: not too old, not of the future, of its domain, whole."""
    at, made = row["c_as_of"], {}
    for name, value in row.items():
        observed = row.get(name + OBSERVED)
        limit = tables().ages.get(name)
        if observed is not None and (observed > at or (limit is not None and at - observed > limit * HOUR)):
            value = None
        if isinstance(value, list) and name[:2] in ("u_", "o_") and None in value:
            value = None
        made[name] = None if name in tables().domains and value not in tables().domains[name] else value
    return made


def _local(zone: str, at: datetime) -> datetime:
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _regimes(f: Row) -> tuple[set[str] | None, set[str] | None]:
    """(regimes whose rules apply, regimes that must permit)."""
    home, others = f["u_residence"], f["u_other_countries"]
    if home is None or others is None:
        return None, None
    signals = {home if place == home.split("-")[0] else place for place in [home, *others]}
    if not signals <= tables().markets.keys():
        return None, None
    rows = [tables().markets[place] for place in signals]
    return {regime for row in rows for regime in row["regimes"]}, {row["permission"] for row in rows}


def _quiet(zones: list[str] | None, at: datetime, counts: Any) -> int | None:
    if zones is None:
        return None
    locals_ = [_local(zone, at) for zone in zones]
    return sum(
        counts(regime) and local.isoweekday() in days and not opens <= local.time() < shuts
        for local in locals_
        for regime, days, opens, shuts in tables().quiet
    )


def _not_over(f: Row, zones: list[str] | None) -> Truth:
    at, fixed = f["c_as_of"], None if f["o_to"] is None else f["c_as_of"] < f["o_to"]
    if f["o_end_local"] is None:
        return fixed
    text = f["o_end_local"].replace("T", " ")
    wall = datetime.fromisoformat(text[:10]) + DAY if text[11:16] == "24:00" else datetime.fromisoformat(text)
    ends = [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for zone in zones or []]
    return conj(at < min(ends or [wall - 14 * HOUR]), fixed)


def _channel_ok(f: Row, channel: str | None, permitting: set[str] | None) -> Truth:
    if channel in ("inapp", "chatbot", "public_ad"):
        return True
    if channel == "email":
        if permitting is None:
            return None
        subscribed = no(f["u_unsub_email"])
        if all(regime.split("-")[0] in tables().opt_out for regime in permitting):
            return subscribed
        consent = f["u_consent_email"]
        return conj(subscribed, disj(one_of(consent, "granted"), conj(f["u_soft_opt_in"], one_of(consent, "none"))))
    column = {"sms": "u_consent_sms", "push": "u_consent_push", "third_party_ad": "u_consent_thirdparty"}.get(channel or "")
    return None if column is None else one_of(f[column], "granted")


def judged(f: Row) -> Iterator[tuple[str, str, str, list[Truth], dict[str, Any], list[Any]]]:
    """Per rule: id, effect, visibility, its conditions, {code: requirement}, obligations (name or (name, condition))."""
    at = f["c_as_of"]
    zones = f["u_tzs"] if f["u_tzs"] and "Mars/Olympus" not in f["u_tzs"] else None
    regimes, permitting = _regimes(f)
    channel = CHANNELS.get(f["c_channel"])
    line: dict[str, Any] = tables().lines.get(f["o_product"], {})
    product = f["o_product"] if line else None
    rank, vol_max = line.get("rank"), line.get("vol_max")
    promotion, incentive, whom = f["o_is_promotion"], f["o_incentive"], f["u_client_class"]
    retail = one_of(whom, "retail")
    given = no(one_of(incentive, "none"))
    risky = disj(at_least(rank, 2), given)
    needs_kyc = below(0, line.get("min_kyc"))
    priced = at_least(rank, 1)
    asset = f["o_asset_kind"]
    days = [_local(zone, at).date() for zone in zones] if zones else [(at - 12 * HOUR).date()]
    born = f["u_dob"]
    age = None if born is None else min(day.year - born.year - ((day.month, day.day) < (born.month, born.day)) for day in days)
    lacking = None
    if permitting is not None and whom is not None and product is not None:
        granted = {regime for regime, who, products, since, until in tables().permissions
                   if who == whom and product in products and since <= at < until}  # fmt: skip
        lacking = len(permitting - granted)
    quiet_house = _quiet(zones, at, lambda regime: regime == "*")
    quiet_us = _quiet(zones, at, lambda regime: regime.split("-")[0] == "US" and regime in (regimes or ()))

    def within(*names: str) -> Truth:
        return has_any(regimes, *names)

    def since(day: str, zone: str) -> bool:
        return at >= _legal(day, zone)

    safe, internal, restricted = "safe", "internal", "restricted"
    yield "ENG-PACK", "BLOCK", internal, [], {"PACK_OUT_OF_DATE": tables().judges[0] <= at < tables().judges[1]}, []
    yield "ENG-PRODUCT", "BLOCK", internal, [], {"ENG_UNKNOWN_PRODUCT": product is not None}, []
    yield "ENG-START", "BLOCK", internal, [], {"OFFER_NOT_STARTED": at_least(at, f["o_from"])}, []
    yield "ENG-END", "BLOCK", internal, [], {"OFFER_EXPIRED": _not_over(f, zones)}, []
    yield "ENG-SILO-LATE", "HOLD", internal, [], {"DQ_SILO_LATE": f["o_silos_in_time"]}, []
    yield "ENG-SILO-MISSING", "HOLD", internal, [], {"DQ_SILO_MISSING": f["o_silos_delivered"]}, []
    if f["o_is_promotion"] is not False:
        looked_at = disj(below(rank, 4), f["o_reviewed"])
        yield "ENG-REVIEW", "HOLD", internal, [f["o_is_promotion"]], {"REV_NOT_REVIEWED": looked_at}, []
    yield "ENG-CHAT", "BLOCK", safe, [], {"ENG_CHAT_REFUSED": disj(no(one_of(channel, "chatbot")), no(f["u_refuses_chat"]))}, []
    yield "ENG-TEST", "BLOCK", internal, [], {"ENG_TEST_PERSON": no(f["u_is_test"])}, []
    if f["o_is_promotion"] is not False:
        yield "ENG-WITHHOLD", "BLOCK", restricted, [f["o_is_promotion"]], {"ENG_STANDING_WITHHOLD": no(f["u_is_withheld"])}, []

    sanctions, listed = f["u_sanctions_status"], f["u_wallet_sanctioned"]
    yield (
        "FC-001",
        "BLOCK",
        restricted,
        [],
        {"FC_SANCTIONED": no(one_of(sanctions, "confirmed")), "FC_WALLET_LISTED": no(listed)},
        [],
    )
    yield "FC-002", "HOLD", restricted, [], {"FC_SANCTIONS_POTENTIAL": no(one_of(sanctions, "potential"))}, []
    yield "FC-003", "BLOCK", restricted, [], {
        "FC_SCREEN_STALE": sanctions is not None and listed is not None, "FC_LIST_INCOMPLETE": f["c_list_parse_complete"]}, []  # fmt: skip
    yield "FC-004", "BLOCK", restricted, [], {"FC_EMBARGO": no(f["u_embargo"])}, []
    yield "FC-005", "HOLD", restricted, [promotion], {
        "FC_FATF_CFA": disj(no(one_of(f["u_fatf"], "CFA")), f["u_edd_approved"]),
        "FC_FATF_IM": disj(no(one_of(f["u_fatf"], "IM")), below(rank, 3), at_least(f["u_kyc_tier"], 2))}, []  # fmt: skip
    at_home = conj(one_of(f["u_pep"], "domestic"), within("GB") is True, one_of(f["u_aml_band"], "low"))
    yield "FC-006", "HOLD", restricted, [promotion, disj(at_least(rank, 3), given)], {
        "FC_PEP_EDD": disj(one_of(f["u_pep"], "none"), f["u_edd_approved"], at_home)}, []  # fmt: skip
    yield "FC-007", "HOLD", restricted, [promotion], {"FC_ADVERSE_MEDIA": one_of(f["u_adverse_media"], "none")}, []
    yield "FC-008", "HOLD", restricted, [promotion], {"FC_AML_BAND": one_of(f["u_aml_band"], "low", "medium")}, []
    yield "FC-009", "BLOCK", restricted, [promotion], {"FC_RESTRICTED_HOLD": no(f["u_fincrime_hold"])}, []
    yield "FC-010", "BLOCK", internal, [promotion, f["o_requires_transfer"]], {"FC_TRAVEL_RULE": f["u_travel_ready"]}, []

    yield "KYC-001", "BLOCK", safe, [promotion, needs_kyc], {"KYC_TIER_LOW": at_least(f["u_kyc_tier"], line.get("min_kyc"))}, []
    yield "KYC-002", "BLOCK", safe, [promotion, needs_kyc], {"KYC_EXPIRED": below(at, f["u_kyc_expires_at"])}, []
    yield "KYC-003", "HOLD", internal, [promotion, needs_kyc], {"ID_KYC_CONFLICT": no(f["u_kyc_conflict"])}, []
    yield "AGE-001", "BLOCK", safe, [], {"AGE_UNDER_18": at_least(age, 18), "AGE_MINOR_SIGNAL": no(f["u_minor_signal"])}, []
    yield "JUR-001", "BLOCK", safe, [], {"JUR_UNKNOWN": bool(regimes)}, []
    yield "JUR-002", "HOLD", internal, [promotion, risky], {"JUR_CONFLICT": no(f["u_country_conflict"])}, []
    yield "JUR-003", "BLOCK", safe, [], {"JUR_NO_PERMISSION": one_of(lacking, 0)}, []

    uk, uk_retail = [promotion, within("GB")], [promotion, within("GB"), retail]
    if since("2023-10-08", "Europe/London"):
        routes = ["authorised", "s21_approved", "exempt"] + ([] if since("2027-10-25", "Europe/London") else ["mlr_registered"])
        yield "UK-001", "BLOCK", internal, [*uk, priced], {"UK_NO_S21_ROUTE": one_of(f["o_uk_route"], *routes)}, []
        yield "UK-002", "BLOCK", safe, [*uk_retail, given], {"UK_INCENTIVE_BAN": below(rank, 1)}, []
        yield "UK-003", "BLOCK", internal, [*uk_retail, priced], {}, ["UK_RISK_WARNING", "UK_RISK_SUMMARY"]
        direct, first = f["o_is_dofp"], f["u_first_time"]
        asked, stated = f["u_dofp_requested_at"], f["u_uk_cat_at"]
        yield (
            "UK-004",
            "BLOCK",
            safe,
            [*uk_retail, conj(direct, first)],
            {
                "UK_COOLING_OFF": None if asked is None else at - asked >= 24 * HOUR,
                "UK_COOLING_OFF_NOT_RECONFIRMED": f["u_dofp_reconfirmed"],
            },
            [],
        )
        category = one_of(f["u_uk_cat"], "restricted", "hnw", "sophisticated", "certified_sophisticated")
        yield (
            "UK-005",
            "BLOCK",
            safe,
            [*uk_retail, direct],
            {
                "UK_NOT_CATEGORISED": conj(category, below(year_before(at), stated)),
                "UK_NO_PERSONAL_RISK_WARNING": disj(f["u_prw_shown"], no(first)),
            },
            [],
        )
        yield "UK-006", "BLOCK", safe, [*uk_retail, direct], {"UK_APPROPRIATENESS": one_of(f["u_approp"], "passed")}, []
    if since("2021-01-06", "Europe/London"):
        yield "UK-007", "BLOCK", safe, [*uk_retail, one_of(product, "derivatives")], {"UK_DERIVATIVES_BAN": False}, []

    eea = [promotion, within("EEA")]
    stable = one_of(asset, "emt", "art")
    if since("2024-12-30", "Europe/Brussels"):
        yield "EU-001", "BLOCK", internal, [*eea, conj(priced, no(one_of(asset, "none")))], {}, [
            "MICA_AD_LABEL", ("MICA_ART7_STATEMENT", conj(one_of(asset, "other"), f["o_is_dofp"])), ("MICA_ART53_REDEMPTION", one_of(asset, "emt")),
            ("MICA_ART29_REDEMPTION", one_of(asset, "art")), ("MICA_UNREGULATED_NOTICE", one_of(product, "nft", "defi", "earn_yield"))]  # fmt: skip
        yield (
            "EU-002",
            "BLOCK",
            internal,
            [*eea, conj(one_of(asset, "other", "emt", "art"), priced)],
            {"EU_NO_WHITEPAPER": f["o_wp_published"]},
            [],
        )
    if since("2024-06-30", "Europe/Brussels"):
        yield "EU-003", "BLOCK", safe, [*eea, stable], {"EU_STABLECOIN_INTEREST": no(f["o_pays_interest"])}, []
    if since("2018-08-01", "Europe/Paris"):
        yield "EU-004", "BLOCK", safe, [*eea, retail, one_of(product, "derivatives")], {
            "EU_LEVERAGE_CAP": None if f["o_leverage"] is None else f["o_leverage"] <= 2, "EU_CFD_INCENTIVE": one_of(incentive, "none"),
            "EU_CFD_APPROPRIATENESS": one_of(f["u_approp"], "passed")}, ["CFD_RISK_WARNING"]  # fmt: skip
    yield (
        "EU-005",
        "HOLD",
        internal,
        [promotion, within("EEA", "GB"), f["o_personal_rec"]],
        {"ADVICE_NO_SUITABILITY": f["o_suitability_done"]},
        [],
    )
    if since("2025-03-31", "Europe/Brussels"):
        yield "EU-006", "BLOCK", safe, [*eea, stable], {"EU_EMT_UNAUTHORISED": f["o_emt_authorised"]}, []

    us, ny = [promotion, within("US")], [promotion, within("US-NY")]
    text, leveraged = one_of(channel, "sms"), None if f["o_leverage"] is None else f["o_leverage"] > 1
    if since("2015-06-24", "America/New_York"):
        yield "US-001", "BLOCK", internal, [*ny, priced], {}, ["NY_LICENCE_LEGEND"]
    yield (
        "US-002",
        "BLOCK",
        safe,
        [*us, retail, disj(one_of(product, "derivatives"), leveraged)],
        {"US_OFF_EXCHANGE_LEVERAGE": f["o_us_venue_ok"]},
        [],
    )
    yield (
        "US-003",
        "HOLD",
        internal,
        [*us, retail, one_of(product, "staking", "earn_yield")],
        {"US_YIELD_REVIEW": f["o_us_counsel_ok"]},
        [],
    )
    if since("2027-01-18", "America/New_York"):
        yield "US-004", "BLOCK", safe, [*us, conj(one_of(asset, "emt"), f["o_pays_interest"])], {
            "US_STABLECOIN_YIELD": no(one_of(f["o_interest_payer"], "issuer"))}, []  # fmt: skip
    yield "US-005", "BLOCK", internal, [*us, disj(one_of(product, "borrow"), f["o_credit"])], {
        "US_PROHIBITED_BASIS": no(f["o_prohibited_basis"]), "US_CONSUMER_REPORT_MARKETING": no(has_any(f["o_features"], *BUREAU))}, []  # fmt: skip
    yield "US-006", "BLOCK", safe, [*us, text], {"US_TCPA_NO_CONSENT": f["u_tcpa_pewc"], "US_DNC": no(f["u_dnc"])}, []
    yield "US-007", "BLOCK", internal, [*us, text], {"US_QUIET_HOURS": one_of(quiet_us, 0)}, []
    yield "US-008", "BLOCK", safe, [*us, one_of(channel, "third_party_ad"), f["o_third_party_share"]], {
        "US_GPC_OPTOUT": no(f["u_gpc"]), "US_GLBA_OPTOUT": no(f["u_glba_optout"])}, []  # fmt: skip
    if since("2025-11-10", "America/New_York"):
        yield "US-009", "BLOCK", internal, [*ny, conj(f["o_personal_price"], no(f["o_glba_exempt"]))], {}, ["NY_ALGO_PRICE"]

    unlevered = None if leveraged is None else not leveraged
    plain = conj(no(f["o_credit"]), unlevered, no(one_of(product, "borrow", "derivatives")))
    if since("2022-01-17", "Asia/Singapore"):
        yield (
            "SG-001",
            "BLOCK",
            safe,
            [promotion, within("SG"), one_of(channel, "third_party_ad", "public_ad"), priced],
            {"SG_PUBLIC_PROMO": False},
            [],
        )
    if since("2025-06-19", "Asia/Singapore"):
        yield (
            "SG-002",
            "BLOCK",
            safe,
            [promotion, within("SG"), retail, risky],
            {
                "SG_INCENTIVE_BAN": one_of(incentive, "none"),
                "SG_CREDIT_LEVERAGE": plain,
                "SG_LEND_STAKE": no(one_of(product, "staking", "earn_yield")),
                "SG_RISK_AWARENESS": f["u_risk_awareness"],
            },
            ["SG_RISK_WARNING"],
        )
    if since("2023-06-01", "Asia/Hong_Kong"):
        hong_kong = [promotion, within("HK"), at_least(rank, 2)]
        yield "HK-001", "BLOCK", safe, hong_kong, {"HK_GIFT_BAN": one_of(incentive, "none", "fee_discount")}, []
        yield (
            "HK-002",
            "BLOCK",
            safe,
            hong_kong,
            {
                "HK_KNOWLEDGE": f["u_hk_knowledge"],
                "HK_PI_ONLY": disj(no(one_of(product, "derivatives")), one_of(whom, "professional")),
            },
            [],
        )
    yield (
        "AU-001",
        "BLOCK",
        internal,
        [promotion, within("AU"), retail, conj(at_least(rank, 2), f["o_au_fin_product"])],
        {
            "AU_OUTSIDE_TMD": f["u_au_tmd_fit"],
            "AU_HAWKING": disj(no(one_of(channel, "chatbot")), one_of(f["u_consent_chat"], "granted")),
        },
        [],
    )
    yield (
        "CA-001",
        "BLOCK",
        safe,
        [promotion, within("CA"), retail, at_least(rank, 2)],
        {
            "CA_GAMBLING_STYLE": conj(no(f["o_gambling_style"]), no(one_of(incentive, "monetary", "nonmonetary", "referral"))),
            "CA_LEVERAGE": plain,
        },
        [],
    )
    if since("2022-04-01", "Asia/Kolkata"):
        yield (
            "IN-001",
            "BLOCK",
            internal,
            [promotion, within("IN"), priced],
            {"IN_BANNED_TERMS": no(has_any(f["o_pressure"], *INDIAN))},
            ["ASCI_DISCLAIMER"],
        )
    if since("2024-10-01", "Asia/Dubai"):
        yield "AE-001", "BLOCK", internal, [promotion, within("AE"), priced], {"AE_ANONYMITY_COIN": no(one_of(asset, "aec"))}, [
            "VARA_DISCLAIMER", "VARA_AD_LABEL"]  # fmt: skip

    yield "PRV-001", "BLOCK", safe, [], {"PRV_NO_CHANNEL_CONSENT": _channel_ok(f, channel, permitting)}, []
    yield "PRV-002", "BLOCK", safe, [], {
        "PRV_OBJECTED": conj(no(f["u_dm_objection"]), no(f["u_profiling_objection"])), "PRV_ERASURE": no(f["u_erasure"])}, []  # fmt: skip
    features = f["o_features"]
    yield (
        "PRV-003",
        "BLOCK",
        internal,
        [promotion],
        {"PRV_SENSITIVE_FEATURE": None if features is None else not tables().sensitive & set(features)},
        [],
    )
    yield (
        "PRV-004",
        "HOLD",
        internal,
        [promotion, within("EEA", "GB", "US-CA"), f["o_significant"]],
        {"PRV_AUTOMATED_DECISION": f["o_human_review"]},
        [],
    )
    yield "VUL-001", "BLOCK", restricted, [promotion, risky], {"VUL_FLAG": no(f["u_vuln_flag"])}, []
    yield "VUL-002", "BLOCK", restricted, [promotion, risky], {"VUL_HARM_SIGNAL": no(f["u_harm_signal"])}, []
    yield "VUL-003", "BLOCK", safe, [], {"VUL_SELF_EXCLUDED": no(f["u_self_excluded"])}, []
    suits = {"SUI_PROFILE": has_any([f["u_risk_profile"]], *line["profiles"]) if line and f["u_risk_profile"] else None,
             "SUI_STAGE": has_any([f["u_stage"]], *line["stages"]) if line and f["u_stage"] else None,
             "SUI_APPROPRIATENESS": disj(no(line.get("approp")), one_of(f["u_approp"], "passed"))}  # fmt: skip
    yield "SUI-001", "BLOCK", safe, [promotion, priced], suits, []
    yield "SUI-002", "BLOCK", safe, [promotion, below(vol_max, 2)], {"SUI_VOLATILITY": at_least(vol_max, f["c_vol_rank"])}, []
    yield "BRD-001", "BLOCK", safe, [promotion], {
        "BRD_FREQ_CAP": disj(no(one_of(channel, "email", "sms", "push")), conj(below(f["u_contacts_24h"], 1), below(f["u_contacts_7d"], 3))),
        "BRD_HIGHRISK_CAP": disj(below(rank, 4), below(f["u_highrisk_30d"], 1)),
        "BRD_QUIET_HOURS": disj(no(one_of(channel, "sms", "push")), one_of(quiet_house, 0))}, []  # fmt: skip
    for code, penalty, met in (
        ("BRD_FATIGUE", 3000, below(f["u_dismiss_30d"], 3)), ("BRD_NEG_FEEDBACK", 2500, one_of(f["u_neg_fb_30d"], 0)),
        ("BRD_LOW_TRUST", 2000, at_least(f["u_trust"], 40)),
        ("BRD_STRESSED_SPOT", 1500, disj(no(one_of(product, "spot")), below(f["c_vol_rank"], 2))),
    ):  # fmt: skip
        yield "BRD-002", str(penalty), safe, [promotion], {code: met}, []
    yield "BRD-003", "BLOCK", internal, [], {"BRD_MANIPULATIVE": no(has_any(f["o_pressure"], *PRESSURE))}, []
    yield "BRD-004", "BLOCK", internal, [promotion], {
        "BRD_NOT_APPROVED": conj(f["o_creative_approved"], below(at, f["o_creative_expires"])), "BRD_NO_EXPLANATION": f["o_why"]}, [
        "WHY_THIS_OFFER", "AD_LABEL", "OPT_OUT"]  # fmt: skip


def decide(row: Row) -> Row:
    """What the rule texts say of one case: decision, codes, released, penalty_bp, obligations, explanation."""
    f = known(row)
    blocks: set[str] = set()
    holds: set[str] = set()
    released: set[str] = set()
    duties: set[str] = set()
    told, penalty = False, 0
    lifted = {one["rule"] for one in row.get("c_releases") or [] if one["until"] is not None and f["c_as_of"] < one["until"]}
    for rule, effect, visibility, conditions, requirements, obligations in judged(f):
        if False in conditions:
            continue
        for code, met in requirements.items():
            if met is True:
                continue
            said = code if met is False and None not in conditions else f"{code}_UNKNOWN"
            if effect.isdigit():
                penalty += int(effect)
                continue
            (blocks if effect == "BLOCK" else released if rule in lifted else holds).add(said)
            counted = effect == "BLOCK" or rule not in lifted
            told |= counted and visibility == "safe" and not said.endswith("_UNKNOWN")
        for obligation in obligations:
            name, condition = obligation if isinstance(obligation, tuple) else (obligation, True)
            if condition is not False:
                duties.add(name)
                if f["o_disclosures"] is None or name not in f["o_disclosures"]:
                    blocks.add(f"DISC_MISSING_{name}")
    return {
        "decision": "BLOCK" if blocks else "HOLD" if holds else "ALLOW", "codes": sorted(blocks | holds), "released": sorted(released),
        "penalty_bp": min(9000, penalty), "obligations": sorted(duties),
        "explanation": None if not blocks and not holds else "SPECIFIC" if told else "GENERIC",
    }  # fmt: skip


def differing(rows: list[Row], decided: list[Row]) -> list[tuple[Row, Row, Row]]:
    """(case, what the oracle says, what was decided) of every case in which the two differ in any field."""
    by_id = {row["case_id"]: row for row in decided}
    made = []
    for row in rows:
        expected, got = decide(row), by_id[row["case_id"]]
        if any(got[field] != value for field, value in expected.items()):
            made.append((row, expected, got))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    firsts = range(0, given.cases, given.batch)
    batches = [(given.seed * 1_000 + number, min(given.batch, given.cases - first)) for number, first in enumerate(firsts)]
    codes: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    total, differences, started = 0, 0, clock.perf_counter()
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for seed, count, lines, counted, decided in pool.imap(_batch, batches):
            total, differences = total + count, differences + len(lines)
            codes.update(counted)
            decisions.update(decided)
            print(*lines[:3], sep="\n", end="\n" if lines else "")
            print(
                f"seed {seed}: {count:,} cases, {len(lines):,} differ; {total:,} in {clock.perf_counter() - started:.0f} s",
                flush=True,
            )
    print(f"{total:,} cases, {differences:,} differ; decisions {dict(sorted(decisions.items()))}")
    print(f"{len(codes)} codes, the rarest: {', '.join(f'{code} {count}' for code, count in codes.most_common()[-5:])}")
    raise SystemExit(1 if differences else 0)


def _batch(given: tuple[int, int]) -> tuple[int, int, list[str], Counter[str], Counter[str]]:
    """(seed, cases, a text per case that differs, how many cases have each code, and each decision)."""
    from candor.policy import evaluation, load

    rows = cases(*given)
    decided = evaluation.evaluate_rows(load(POLICY, "crypto"), as_table(rows))
    lines = [
        f"  {row['case_id']} differs:\n    oracle  {expected}\n    decided {got}\n    case {row}"
        for row, expected, got in differing(rows, decided)
    ]
    codes = Counter(code for row in decided for code in row["codes"])
    return (*given, lines, codes, Counter(row["decision"] for row in decided))


if __name__ == "__main__":
    main()
