"""Random cases for the rules: a green person and offer somewhere, with from none to many facts changed, unknown or of another time.

Values are in and out of range, unknown, stale, from the future, lists with something unknown in them, and at both sides of every edge.
Half of the cases start where some narrow rule applies. Of the policy folder only tables are read (shops/crypto.yml, domains and ages of
facts.yml, dates of the pack), as plain YAML. `benchmarks.policy_oracle` decides them by hand.
"""
# ruff: noqa: DTZ001  # naive UTC, as in the whole warehouse

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from candor.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
POLICY = PROJECT_ROOT / "policy"
OBSERVED = "__observed_at"


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Tables:
    lines: dict[str, dict[str, Any]]
    markets: dict[str, dict[str, Any]]
    permissions: list[tuple[str, str, frozenset[str], datetime, datetime]]
    quiet: list[tuple[str, frozenset[int], time, time]]
    opt_out: frozenset[str]
    sensitive: frozenset[str]
    domains: dict[str, list[Any]]
    ages: dict[str, int]
    judges: tuple[datetime, datetime]


@cache
def tables() -> Tables:
    """What the rules look up."""
    shop = yaml.safe_load((POLICY / "shops" / "crypto.yml").read_text(encoding="utf-8"))
    facts = yaml.safe_load((POLICY / "facts.yml").read_text(encoding="utf-8"))["facts"]
    pack = yaml.safe_load((POLICY / "pack.yaml").read_text(encoding="utf-8"))["pack"]
    margin = timedelta(minutes=shop["latency_margin_min"])
    return Tables(
        lines={row["product"]: row for row in shop["product_lines"]},
        markets=shop["regime_map"],
        permissions=[
            (row["regime"], row["client_class"], frozenset(row["products"]), _utc(row["from"]), _utc(row["to"]))
            for row in shop["permissions"]
        ],
        quiet=[
            (
                row["regime"], frozenset(row["dow"]), time.fromisoformat(row["open"]),
                (datetime.combine(date(2026, 1, 1), time.fromisoformat(row["close"])) - margin).time(),
            )
            for row in shop["quiet_hours"]
        ],
        opt_out=frozenset(shop["email_optout_regimes"]),
        sensitive=frozenset(shop["sensitive_features"]),
        domains={name: row["domain"] for name, row in facts.items() if "domain" in row},
        ages={name: row["max_age_hours"] for name, row in facts.items() if "max_age_hours" in row},
        judges=(_utc(pack["judges_from"]), _utc(pack["judges_to"])),
    )  # fmt: skip


TEXTS = [
    "UK_RISK_WARNING", "UK_RISK_SUMMARY", "MICA_AD_LABEL", "MICA_ART7_STATEMENT", "MICA_ART53_REDEMPTION", "MICA_ART29_REDEMPTION",
    "MICA_UNREGULATED_NOTICE", "CFD_RISK_WARNING", "NY_LICENCE_LEGEND", "NY_ALGO_PRICE", "SG_RISK_WARNING", "ASCI_DISCLAIMER", "VARA_DISCLAIMER",
    "VARA_AD_LABEL", "WHY_THIS_OFFER", "AD_LABEL", "OPT_OUT",
]  # fmt: skip
PRESSURE = ["countdown", "scarcity", "fomo", "guaranteed_return", "confirmshaming", "hidden_cost", "obstructed_optout"]
INDIAN = ["word_currency", "word_securities", "word_custodian", "word_depositories"]
BUREAU = ["bureau_score", "bureau_inquiries", "affiliate_eligibility_score"]
# A person and an offer with nothing against them: what a case starts from.
GREEN: Row = {
    "u_sanctions_status": "clear", "u_wallet_sanctioned": False, "u_embargo": False, "u_fatf": "none", "u_pep": "none", "u_edd_approved": False,
    "u_adverse_media": "none", "u_aml_band": "low", "u_fincrime_hold": False, "u_kyc_tier": 2, "u_kyc_expires_at": datetime(2030, 1, 1),
    "u_kyc_conflict": False, "u_dob": date(1985, 5, 5), "u_minor_signal": False, "u_other_countries": [], "u_country_conflict": False,
    "u_client_class": "retail", "u_first_time": False, "u_uk_cat": "hnw", "u_dofp_reconfirmed": True, "u_prw_shown": True, "u_approp": "passed",
    "u_risk_awareness": True, "u_hk_knowledge": True, "u_au_tmd_fit": True, "u_risk_profile": "aggressive", "u_stage": "experienced",
    "u_vuln_flag": False, "u_harm_signal": False, "u_self_excluded": False, "u_consent_email": "granted", "u_consent_sms": "granted",
    "u_consent_push": "granted", "u_consent_chat": "granted", "u_consent_thirdparty": "granted", "u_soft_opt_in": False, "u_unsub_email": False,
    "u_tcpa_pewc": True, "u_dnc": False, "u_dm_objection": False, "u_profiling_objection": False, "u_erasure": False, "u_gpc": False,
    "u_glba_optout": False, "u_travel_ready": True, "u_contacts_24h": 0, "u_contacts_7d": 0, "u_highrisk_30d": 0, "u_dismiss_30d": 0,
    "u_neg_fb_30d": 0, "u_trust": 80.0, "u_is_test": False, "c_list_parse_complete": True, "c_vol_rank": 0,
    "o_is_promotion": True, "o_is_dofp": False, "o_incentive": "none", "o_asset_kind": "other", "o_emt_authorised": True, "o_pays_interest": False,
    "o_interest_payer": "platform", "o_leverage": 1.0, "o_us_venue_ok": True, "o_us_counsel_ok": True, "o_wp_published": True,
    "o_personal_rec": False, "o_suitability_done": True, "o_credit": False, "o_prohibited_basis": False, "o_features": ["asset_views_30d"],
    "o_requires_transfer": False, "o_uk_route": "s21_approved", "o_creative_approved": True, "o_creative_expires": datetime(2030, 1, 1),
    "o_why": True, "o_pressure": [], "o_gambling_style": False, "o_third_party_share": False, "o_personal_price": False, "o_glba_exempt": False,
    "o_significant": False, "o_human_review": True, "o_au_fin_product": True, "o_from": datetime(2015, 1, 1), "o_to": datetime(2030, 1, 1),
    "o_end_local": None, "o_disclosures": TEXTS, "o_product": "spot", "c_channel": "web", "o_silos_in_time": True, "o_silos_delivered": True,
    "o_reviewed": True,
}  # fmt: skip
ZONE_OF = {
    "GB": "Europe/London", "DE": "Europe/Berlin", "FR": "Europe/Paris", "BE": "Europe/Brussels", "US-NY": "America/New_York",
    "US-TX": "America/Chicago", "US-FL": "America/New_York", "US-CA": "America/Los_Angeles", "SG": "Asia/Singapore", "HK": "Asia/Hong_Kong",
    "AU": "Australia/Sydney", "CA-ON": "America/Toronto", "IN": "Asia/Kolkata", "AE-DU": "Asia/Dubai", "MM": "Asia/Yangon",
    "VN": "Asia/Ho_Chi_Minh", "IR": "Asia/Tehran",
}  # fmt: skip
ZONES = [*ZONE_OF.values(), "Australia/Lord_Howe", "Pacific/Kiritimati", "Etc/GMT+12", "Mars/Olympus"]
CHANNELS = {
    "web": "inapp", "app": "inapp", "inapp": "inapp", "email": "email", "sms": "sms", "push": "push", "chatbot": "chatbot",
    "third_party_ad": "third_party_ad", "public_ad": "public_ad",
}  # fmt: skip
# Instants at which something begins or ends: the pack, permissions, each dated rule.
EDGES = [
    "2022-12-31T23:59:59Z", "2023-01-01T00:00:00Z", "2027-12-31T23:59:59Z", "2028-01-01T00:00:00Z", "2026-07-01T07:00:00Z", "2027-04-08T14:00:00Z",
    "2026-02-10T16:00:00Z", "2023-01-01T00:00:01Z", "2024-02-29T12:00:00Z", "2023-10-07T23:00:00Z", "2027-10-24T23:00:00Z",
    "2024-12-29T23:00:00Z", "2024-06-29T22:00:00Z", "2025-03-30T22:00:00Z", "2027-01-18T05:00:00Z", "2025-11-10T05:00:00Z", "2025-06-18T16:00:00Z",
    "2023-05-31T16:00:00Z", "2024-09-30T20:00:00Z",
]  # fmt: skip


def year_before(at: datetime) -> datetime:
    """The same day last year; of 29 February the 28th."""
    return at.replace(year=at.year - 1, day=28 if (at.month, at.day) == (2, 29) else at.day)


# Where a narrow rule applies: what makes it so, and the facts that it reads. A share of the cases starts from one of these.
NARROW: list[tuple[Row, list[str]]] = [
    ({"u_residence": "US-TX", "c_channel": "sms"}, ["u_tcpa_pewc", "u_dnc", "u_tzs", "c_as_of"]),
    ({"u_residence": "US-TX", "o_product": "borrow", "o_features": ["asset_views_30d"]}, ["o_prohibited_basis", "o_features", "o_credit"]),
    ({"u_residence": "US-CA", "o_product": "spot", "o_credit": True}, ["o_features", "o_prohibited_basis", "u_other_countries"]),
    ({"u_residence": "US-TX", "o_product": "derivatives"}, ["o_us_venue_ok", "o_leverage", "u_client_class"]),
    ({"u_residence": "US-TX", "o_leverage": 1.5}, ["o_us_venue_ok", "o_leverage"]),
    ({"u_residence": "US-TX", "o_product": "staking"}, ["o_us_counsel_ok", "u_client_class"]),
    ({"u_residence": "US-TX", "o_product": "earn_yield"}, ["o_us_counsel_ok", "u_stage"]),
    ({"u_residence": "US-TX", "o_product": "stablecoin", "o_asset_kind": "emt", "o_pays_interest": True, "o_interest_payer": "issuer"},
     ["c_as_of", "o_interest_payer", "o_pays_interest"]),
    ({"u_residence": "US-FL", "c_channel": "third_party_ad", "o_third_party_share": True}, ["u_gpc", "u_glba_optout", "o_third_party_share"]),
    ({"u_residence": "US-NY", "o_personal_price": True}, ["o_glba_exempt", "o_disclosures", "o_personal_price", "c_as_of"]),
    ({"u_residence": "US-NY"}, ["o_disclosures", "c_as_of"]),
    ({"u_residence": "US-CA", "o_significant": True}, ["o_human_review", "o_significant"]),
    ({"u_residence": "US-FL", "c_channel": "email", "u_consent_email": "none"}, ["u_unsub_email", "u_other_countries"]),
    ({"u_residence": "GB", "c_channel": "email", "u_consent_email": "none", "u_soft_opt_in": True},
     ["u_unsub_email", "u_soft_opt_in", "u_consent_email"]),
    ({"u_residence": "GB", "o_is_dofp": True, "u_first_time": True}, ["u_dofp_reconfirmed", "u_prw_shown", "u_first_time", "c_as_of"]),
    ({"u_residence": "GB", "o_is_dofp": True, "u_first_time": True, "u_dofp_reconfirmed": False, "u_prw_shown": False}, ["c_as_of"]),
    ({"u_residence": "GB", "o_is_dofp": True, "u_uk_cat": "none", "u_approp": "failed"}, ["c_as_of"]),
    ({"u_residence": "GB", "o_uk_route": "none"}, ["o_product", "o_uk_route", "c_as_of"]),
    ({"u_residence": "GB", "o_is_dofp": True}, ["u_uk_cat", "u_approp", "u_first_time", "u_prw_shown"]),
    ({"u_residence": "GB", "o_incentive": "monetary", "o_product": "education"}, ["o_incentive", "o_product", "c_as_of"]),
    ({"u_residence": "GB", "o_product": "derivatives"}, ["u_client_class", "c_as_of"]),
    ({"u_residence": "GB", "o_uk_route": "mlr_registered"}, ["o_uk_route", "c_as_of"]),
    ({"u_residence": "GB", "o_personal_rec": True}, ["o_suitability_done", "o_personal_rec"]),
    ({"u_residence": "GB", "o_product": "staking", "u_pep": "domestic"}, ["u_aml_band", "u_edd_approved", "u_pep", "u_other_countries"]),
    ({"u_residence": "DE", "o_product": "staking", "u_pep": "domestic"}, ["u_edd_approved", "o_incentive"]),
    ({"u_residence": "VN", "o_product": "staking", "u_fatf": "IM", "u_kyc_tier": 1}, ["u_kyc_tier", "u_fatf", "o_product"]),
    ({"u_residence": "MM", "u_fatf": "CFA"}, ["u_edd_approved", "u_fatf"]),
    ({"u_residence": "DE", "o_product": "derivatives", "o_leverage": 2.0}, ["o_leverage", "o_incentive", "u_approp", "o_disclosures", "c_as_of"]),
    ({"u_residence": "DE", "o_product": "derivatives", "o_leverage": 3.0, "o_incentive": "monetary", "u_approp": "failed"},
     ["c_as_of"]),
    ({"u_residence": "GB", "o_asset_kind": "emt", "o_pays_interest": True, "o_interest_payer": "issuer"}, ["c_as_of", "o_interest_payer"]),
    ({"u_residence": "DE", "o_asset_kind": "emt"}, ["o_pays_interest", "o_emt_authorised", "o_wp_published", "o_disclosures", "c_as_of"]),
    ({"u_residence": "FR", "o_asset_kind": "art"}, ["o_pays_interest", "o_emt_authorised", "o_wp_published", "o_disclosures", "c_as_of"]),
    ({"u_residence": "BE", "o_asset_kind": "other", "o_is_dofp": True}, ["o_wp_published", "o_disclosures", "o_is_dofp", "c_as_of"]),
    ({"u_residence": "DE", "o_asset_kind": "nft", "o_product": "nft"}, ["o_disclosures", "o_product", "o_asset_kind"]),
    ({"u_residence": "SG", "c_channel": "public_ad"}, ["c_channel", "c_as_of", "o_product"]),
    ({"u_residence": "SG", "c_channel": "third_party_ad"}, ["c_as_of", "o_is_promotion"]),
    ({"u_residence": "SG", "o_product": "education", "o_incentive": "fee_discount"}, ["o_incentive", "o_product", "c_as_of"]),
    ({"u_residence": "SG"}, ["o_credit", "o_leverage", "u_risk_awareness", "o_disclosures", "o_product", "c_as_of"]),
    ({"u_residence": "HK", "o_incentive": "nonmonetary"}, ["o_incentive", "c_as_of", "o_product"]),
    ({"u_residence": "HK", "o_product": "derivatives", "u_client_class": "professional"}, ["u_client_class", "u_hk_knowledge", "c_as_of"]),
    ({"u_residence": "AU", "c_channel": "chatbot", "u_consent_chat": "none"}, ["u_consent_chat", "o_au_fin_product", "u_au_tmd_fit"]),
    ({"u_residence": "CA-ON"}, ["o_gambling_style", "o_incentive", "o_credit", "o_leverage", "o_product"]),
    ({"u_residence": "IN", "o_pressure": ["word_currency"]}, ["o_pressure", "o_disclosures", "c_as_of"]),
    ({"u_residence": "AE-DU"}, ["o_asset_kind", "o_disclosures", "c_as_of"]),
    ({"o_requires_transfer": True}, ["u_travel_ready", "o_requires_transfer"]),
    ({"c_channel": "push"}, ["u_contacts_24h", "u_contacts_7d", "u_tzs", "u_consent_push"]),
    ({"o_product": "nft", "u_residence": "DE"}, ["u_highrisk_30d", "c_vol_rank"]),
    ({"o_product": "spot"}, ["u_dismiss_30d", "u_neg_fb_30d", "u_trust", "c_vol_rank"]),
    ({"o_product": "derivatives", "u_residence": "US-TX"}, ["c_vol_rank", "u_risk_profile", "u_stage"]),
    ({"o_product": "education", "o_is_promotion": True}, ["u_vuln_flag", "u_harm_signal", "u_country_conflict", "o_incentive"]),
]  # fmt: skip
# Where law made for a place begins.
BEGINNINGS: dict[str, list[str]] = {
    "GB": ["2023-10-07T23:00:00Z", "2027-10-24T23:00:00Z", "2021-01-06T00:00:00Z"], "US": ["2027-01-18T05:00:00Z", "2025-11-10T05:00:00Z",
    "2015-06-24T04:00:00Z"], "EU": ["2024-12-29T23:00:00Z", "2024-06-29T22:00:00Z", "2025-03-30T22:00:00Z", "2018-07-31T22:00:00Z"],
    "SG": ["2025-06-18T16:00:00Z", "2022-01-16T16:00:00Z"], "HK": ["2023-05-31T16:00:00Z"], "IN": ["2022-03-31T18:30:00Z"],
    "AE": ["2024-09-30T20:00:00Z"],
}  # fmt: skip


def _beginning(place: str, of: random.Random) -> datetime:
    """An instant within a second of the beginning of some law of the place."""
    listed = BEGINNINGS.get(place[:2]) or BEGINNINGS["EU"]
    return _utc(of.choice(listed)) + of.choice([-1, 0, 1]) * SECOND


def _other(name: str, at: datetime, of: random.Random) -> Any:
    """Another value of the fact: at an edge, outside its domain, or none at all."""
    if of.random() < 0.3:
        return None
    known = tables().domains.get(name)
    around = [at + of.choice([-1, 0, 1]) * SECOND, at + of.choice([-1, 1]) * of.randrange(1, 40) * DAY]
    if known is not None:
        return of.choice([*known, *known, 7 if isinstance(known[0], int) else "something_else"])
    if isinstance(GREEN.get(name), bool):
        return not GREEN[name] if of.random() < 0.8 else GREEN[name]
    choices: dict[str, list[Any]] = {
        "o_product": [*tables().lines, "lottery"], "c_channel": [*CHANNELS, "carrier_pigeon"],
        "u_kyc_expires_at": around, "o_creative_expires": around, "o_from": around, "o_to": around,
        "u_uk_cat": ["restricted", "sophisticated", "certified_sophisticated", "none"],
        "o_uk_route": ["authorised", "mlr_registered", "exempt", "none"],
        "u_dob": [_birthday(at, of), _birthday(at, of), date(2008, 2, 29), date(2010, 1, 1)],
        "u_other_countries": [["US"], ["GB", None], [of.choice(list(ZONE_OF))], [of.choice(list(ZONE_OF)), "ZZ"], ["DE", "SG"]],
        "o_leverage": [1.0, 1.5, 2.0, 2.0000001, 3.0, 20.0], "u_trust": [39.9, 40.0, 39.0, 41.0], "o_features": [[], [of.choice(BUREAU)],
            [of.choice(sorted(tables().sensitive)), "asset_views_30d"], ["asset_views_30d", None]],
        "o_pressure": [[of.choice(PRESSURE)], [of.choice(INDIAN), "loud"], ["loud"], [None]],
        "o_disclosures": [[], [text for text in TEXTS if text != of.choice(TEXTS)], [text for text in TEXTS if of.random() < 0.8], [*TEXTS, None]],
        "o_end_local": ["2026-11-01 01:30:00", "2027-03-14 02:30:00", f"{at.date()} 24:00", f"{at + of.randrange(-15, 15) * HOUR:%Y-%m-%dT%H:%M:%S}"],
    }  # fmt: skip
    return of.choice(choices[name]) if name in choices else of.choice([0, 1, 2, 3, 4])


def _birthday(at: datetime, of: random.Random) -> date:
    """Eighteen years ago, a day more or less."""
    return (at + of.choice([-1, 0, 1]) * DAY).date().replace(year=at.year - 18, day=min(at.day + of.choice([0, 1]), 28))


def _instant(of: random.Random) -> datetime:
    kind = of.random()
    if kind < 0.2:
        return _utc(of.choice(EDGES)) + of.choice([-1, 0, 0, 1]) * SECOND
    if kind < 0.3:  # clocks change in New York, or in Berlin and London
        return (
            of.choice([datetime(2026, 11, 1, 3), datetime(2027, 3, 28), datetime(2027, 3, 14, 5)])
            + of.randrange(5 * 3600) * SECOND
        )
    if kind < 0.5:  # at an edge of some quiet hours somewhere
        at = datetime(2026, 11, 23) + of.randrange(7) * DAY + of.randrange(24) * HOUR
        return at + of.choice([0, 10, 20, 30, 50]) * timedelta(minutes=1) + of.choice([-1, 0, 1]) * SECOND
    return datetime(2023, 6, 1) + of.randrange(4 * 365 * 86400) * SECOND


def case(case_id: str, of: random.Random) -> Row:
    """One case: a green person and offer somewhere, with from none to many facts changed, unknown or of another time."""
    at = _instant(of)
    place = of.choice(list(ZONE_OF))
    narrow, reads = of.choice(NARROW) if of.random() < 0.5 else ({}, [])
    place = narrow.get("u_residence", place)
    if "c_as_of" in reads and of.random() < 0.6:
        at = _beginning(place, of)
    made = {"case_id": case_id, "c_as_of": at, **GREEN}
    made["u_residence"] = place if of.random() < 0.97 else of.choice([None, "ZZ", "US", "AE"])
    zones = of.random()
    made["u_tzs"] = (
        [ZONE_OF[place]]
        if zones < 0.7
        else of.choice([None, [], of.sample(ZONES[:-1], 2), of.sample(ZONES, 3), [of.choice(ZONES)]])
    )
    made["o_product"] = of.choice([*tables().lines, "spot"]) if of.random() < 0.98 else of.choice([None, "lottery"])
    made["c_channel"] = of.choice(list(CHANNELS)) if of.random() < 0.98 else of.choice([None, "carrier_pigeon"])
    if not narrow and of.random() < 0.5:
        made["o_asset_kind"] = of.choice(tables().domains["o_asset_kind"])
    if not narrow and of.random() < 0.3:
        made["o_incentive"] = of.choice(tables().domains["o_incentive"])
    if not narrow and of.random() < 0.3:
        made["u_client_class"] = of.choice(tables().domains["u_client_class"])
    for flag in () if narrow else ("o_is_dofp", "u_first_time", "o_credit", "o_personal_price", "o_significant", "o_personal_rec",
    "o_requires_transfer",
                 "o_third_party_share", "o_pays_interest"):  # fmt: skip
        if of.random() < 0.2:
            made[flag] = True
    made |= narrow
    made["u_dofp_requested_at"] = at - of.choice([24 * HOUR, 24 * HOUR - SECOND, 24 * HOUR + SECOND, 9 * DAY])
    made["u_uk_cat_at"] = year_before(at) + of.choice([-1, 0, 1, 9 * 86400]) * SECOND
    changed = [name for name in reads if name in GREEN and of.random() < 0.4]
    changed += [name for name in ("o_is_promotion", "u_client_class") if narrow and of.random() < 0.1]
    changed += of.sample(list(GREEN), of.choice([0, 0, 1, 1] if narrow else [0, 1, 1, 2, 2, 3, 4, 6, 12, 40]))
    for name in changed:
        made[name] = _other(name, at, of)
    for name in ("u_dofp_requested_at", "u_uk_cat_at"):
        if of.random() < 0.03:
            made[name] = None
    for name in of.sample(sorted(tables().ages.keys() & made.keys()), of.choice([0, 0, 0, 1, 2])):
        limit = tables().ages[name] * HOUR
        made[name + OBSERVED] = of.choice([None, at, at - limit, at - limit - SECOND, at + SECOND, at - limit + SECOND])
    if of.random() < 0.1:
        rule = of.choice(
            ["FC-002", "FC-005", "FC-006", "FC-007", "FC-008", "KYC-003", "JUR-002", "EU-005", "US-003", "PRV-004", "UK-002"]
        )
        made["c_releases"] = [{"rule": rule, "until": of.choice([None, at, at + SECOND])}]
    return made


def cases(seed: int, count: int) -> list[Row]:
    """`count` random cases; the same seed gives the same."""
    of, drawn, chats = random.Random(seed), random.Random(-seed - 1), random.Random(-2 * seed - 3)
    # Of their own streams: the draw of the quarter has nothing to do with anything else, here as there.
    return [
        case(f"s{seed}-{number:07}", of)
        | {
            "u_is_withheld": drawn.choices((False, True, None), (90, 8, 2))[0],
            "u_refuses_chat": chats.choices((False, True, None), (90, 8, 2))[0],
        }
        for number in range(count)
    ]


def as_table(rows: list[Row]) -> pa.Table:
    """The cases as `candor policy evaluate` takes them."""
    import pyarrow as pa

    from candor.policy import columns, load

    arrow = {
        "string": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "number": pa.float64(), "instant": pa.timestamp("us"),
        "date": pa.date32(), "strings": pa.list_(pa.string()),
    }  # fmt: skip
    kinds = columns.accepted(load(POLICY, "crypto"))
    types = {"case_id": pa.string(), **{name: arrow[kind] for name, kind in kinds.items()}}
    types |= {name + OBSERVED: pa.timestamp("us") for name in tables().ages if name in kinds}
    types["c_releases"] = pa.list_(pa.struct([("rule", pa.string()), ("until", pa.timestamp("us"))]))
    return pa.table({name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()})
