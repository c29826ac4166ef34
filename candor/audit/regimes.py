"""What the rules of each place say of offers, beyond what `rules` has of everybody: written from the rule texts, dates included.

A rule holds from its legal instant on, at the planned delivery. Instants are naive UTC of midnight in the legislator's zone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from candor.audit.check import Check

if TYPE_CHECKING:
    import polars as pl

TOKENS = ("emt", "art")
ROUTES = ("authorised", "s21_approved", "mlr_registered", "exempt")
CATEGORIES = ("restricted", "hnw", "sophisticated", "certified_sophisticated")
BUREAU = ("bureau_score", "bureau_inquiries", "affiliate_eligibility_score")
INDIA_WORDS = ("word_currency", "word_securities", "word_custodian", "word_depositories")


def checks(book: Any) -> list[Check]:
    """Every check of the rules of places and of the market; `book` has the house's sensitive features."""
    return [*_europe(), *_united_kingdom(), *_united_states(), *_elsewhere(), *_anywhere(book)]


def _in(*regimes: str) -> pl.Expr:
    import polars as pl

    return pl.col("o_is_promotion") & pl.any_horizontal(*(pl.col("u_regimes").list.contains(regime) for regime in regimes))


def _since(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> pl.Expr:
    import polars as pl

    return pl.col("planned") >= datetime(year, month, day, hour, minute)  # noqa: DTZ001


def _retail() -> pl.Expr:
    import polars as pl

    return pl.col("u_client_class") == "retail"


def _text(rule: str, name: str, says: str, applies: pl.Expr) -> Check:
    import polars as pl

    return Check(rule, f"DISC_MISSING_{name}", says, "o_disclosures", applies, pl.col("o_disclosures").list.contains(name))


def _europe() -> list[Check]:
    import polars as pl

    col = pl.col
    kind, rank = col("asset_kind"), col("m_rank")
    mica = _in("EEA") & _since(2024, 12, 29, 23)
    labelled = mica & (rank >= 1) & (kind != "none")
    cfd = _in("EEA") & _since(2018, 7, 31, 22) & _retail() & (col("product_line") == "derivatives")
    unregulated = col("product_line").is_in(["nft", "defi", "earn_yield"])
    return [
        _text("EU-001", "MICA_AD_LABEL", "marketing of crypto-assets says that it is", labelled),
        _text("EU-001", "MICA_ART7_STATEMENT", "no authority has reviewed it", labelled & (kind == "other") & col("is_direct_offer")),
        _text("EU-001", "MICA_ART53_REDEMPTION", "the right of redemption of e-money tokens", labelled & (kind == "emt")),
        _text("EU-001", "MICA_ART29_REDEMPTION", "the right of redemption of asset-referenced tokens", labelled & (kind == "art")),
        _text("EU-001", "MICA_UNREGULATED_NOTICE", "outside regulation", labelled & unregulated),
        Check("EU-002", "EU_NO_WHITEPAPER", "a white paper is published", "catalogue.approvals",
              mica & (rank >= 1) & kind.is_in(["other", *TOKENS]), col("has_white_paper")),
        Check("EU-003", "EU_STABLECOIN_INTEREST", "no interest on e-money and asset-referenced tokens", "pays_interest",
              _in("EEA") & _since(2024, 6, 29, 22) & kind.is_in(TOKENS), ~col("pays_interest")),
        Check("EU-004", "EU_LEVERAGE_CAP", "leverage of retail CFDs at most 2", "leverage", cfd, col("leverage") <= 2),
        Check("EU-004", "EU_CFD_INCENTIVE", "no incentive to trade CFDs", "incentive", cfd, col("o_incentive") == "none"),
        Check("EU-004", "EU_CFD_APPROPRIATENESS", "appropriateness passed before CFDs", "u_approp", cfd, col("u_approp") == "passed"),
        _text("EU-004", "CFD_RISK_WARNING", "the share of accounts that lose", cfd),
        Check("EU-005", "ADVICE_NO_SUITABILITY", "a personal recommendation was found suitable first", "catalogue.approvals",
              _in("EEA", "GB") & col("is_personal_recommendation"), col("has_suitability")),
        Check("EU-006", "EU_EMT_UNAUTHORISED", "the issuer of the token is authorised", "catalogue.approvals",
              _in("EEA") & _since(2025, 3, 30, 22) & kind.is_in(TOKENS), col("has_emt_issuer")),
    ]  # fmt: skip


def _united_kingdom() -> list[Check]:
    import polars as pl

    col = pl.col
    without_mlr = col("planned") >= datetime(2027, 10, 24, 23)  # noqa: DTZ001
    named = col("uk_route").is_in(ROUTES)
    gb = _in("GB") & _since(2023, 10, 7, 23)
    direct, asked_at = gb & _retail() & col("is_direct_offer"), col("valid_from")
    return [
        Check("UK-001", "UK_NO_S21_ROUTE", "a lawful route of the promotion, named and in date", "catalogue.approvals",
              gb & (col("m_rank") >= 1), named & ~(without_mlr & (col("uk_route") == "mlr_registered"))),
        Check("UK-006", "UK_APPROPRIATENESS", "no direct offer before appropriateness is passed", "u_approp",
              direct, col("u_approp") == "passed"),
        Check("UK-004", "UK_COOLING_OFF", "24 hours after a first-time investor asked for the direct offer", "u_dofp_requested_at, u_first_time",
              direct & col("u_first_time"), asked_at - col("u_dofp_requested_at") >= timedelta(hours=24)),
        Check("UK-004", "UK_COOLING_OFF_NOT_RECONFIRMED", "and after they said yes again", "u_dofp_reconfirmed, u_first_time",
              direct & col("u_first_time"), col("u_dofp_reconfirmed")),
        Check("UK-005", "UK_NOT_CATEGORISED", "the client said within a year what kind of investor they are", "u_uk_cat, u_uk_cat_at",
              direct, col("u_uk_cat").is_in(CATEGORIES) & (col("u_uk_cat_at") > asked_at.dt.offset_by("-1y"))),
        Check("UK-005", "UK_NO_PERSONAL_RISK_WARNING", "a first-time investor was warned in person", "u_prw_shown, u_first_time",
              direct, col("u_prw_shown") | ~col("u_first_time")),
    ]  # fmt: skip


def _united_states() -> list[Check]:
    import polars as pl

    col = pl.col
    retail, line = _in("US") & _retail(), col("product_line")
    credit = _in("US") & ((line == "borrow") | col("is_credit"))
    shared = _in("US") & (col("rule_channel") == "third_party_ad") & col("is_third_party_share")
    return [
        _text("US-001", "NY_LICENCE_LEGEND", "the BitLicense legend in New York", _in("US-NY") & _since(2015, 6, 24, 4) & (col("m_rank") >= 1)),
        Check("US-002", "US_OFF_EXCHANGE_LEVERAGE", "leverage only on a regulated venue", "catalogue.approvals",
              retail & ((line == "derivatives") | (col("leverage") > 1)), col("has_us_venue")),
        Check("US-003", "US_YIELD_REVIEW", "counsel signed off yield and staking", "catalogue.approvals",
              retail & line.is_in(["staking", "earn_yield"]), col("has_us_counsel")),
        Check("US-004", "US_STABLECOIN_YIELD", "an issuer pays no yield on its stablecoin", "interest_payer",
              _in("US") & _since(2027, 1, 18, 5) & (col("asset_kind") == "emt") & col("pays_interest"),
              col("interest_payer").fill_null("none") != "issuer"),
        Check("US-005", "US_PROHIBITED_BASIS", "credit that a review of fair lending passed", "catalogue.approvals",
              credit, col("has_fair_lending")),
        _text("US-009", "NY_ALGO_PRICE", "that an algorithm set the price by personal data",
              _in("US-NY") & _since(2025, 11, 10, 5) & col("has_personal_price") & ~col("is_glba_exempt").fill_null(False)),
        Check("US-005", "US_CONSUMER_REPORT_MARKETING", "credit is not offered by what a credit bureau says", "uses_features",
              credit, col("uses_features").list.set_intersection(list(BUREAU)).list.len() == 0),
        Check("US-008", "US_GPC_OPTOUT", "not shared with others after an opt-out from sale or sharing", "u_gpc", shared, ~col("u_gpc")),
        Check("US-008", "US_GLBA_OPTOUT", "not shared with others after a GLBA opt-out", "u_glba_optout", shared, ~col("u_glba_optout")),
    ]  # fmt: skip


def _elsewhere() -> list[Check]:
    import polars as pl

    col = pl.col
    rank, line, incentive = col("m_rank"), col("product_line"), col("o_incentive")
    plain = ~col("is_credit") & (col("leverage") <= 1) & ~line.is_in(["borrow", "derivatives"])
    canada = _in("CA") & _retail() & (rank >= 2)
    dubai = _in("AE") & _since(2024, 9, 30, 20) & (rank >= 1)
    india = _in("IN") & _since(2022, 3, 31, 18, 30) & (rank >= 1)
    hong_kong = _in("HK") & _since(2023, 5, 31, 16) & (rank >= 2)
    australia = _in("AU") & _retail() & (rank >= 2) & col("is_au_financial_product")
    singapore = _in("SG") & _since(2025, 6, 18, 16) & _retail() & ((rank >= 2) | (incentive != "none"))
    return [
        Check("CA-001", "CA_GAMBLING_STYLE", "no play and no prizes", "is_gambling_style, incentive", canada,
              ~col("is_gambling_style") & ~incentive.is_in(["monetary", "nonmonetary", "referral"])),
        Check("CA-001", "CA_LEVERAGE", "no credit and no leverage", "is_credit, leverage", canada, plain),
        Check("AU-001", "AU_OUTSIDE_TMD", "inside the target market of a financial product", "u_au_tmd_fit", australia, col("u_au_tmd_fit")),
        Check("AU-001", "AU_HAWKING", "nobody is spoken to about a financial product unless they agreed to it", "u_consent_chat",
              australia & (col("rule_channel") == "chatbot"), col("u_consent_chat") == "granted"),
        Check("AE-001", "AE_ANONYMITY_COIN", "no coins that hide their owners", "asset_kind", dubai, col("asset_kind") != "aec"),
        _text("AE-001", "VARA_DISCLAIMER", "the regulator's disclaimer", dubai),
        _text("AE-001", "VARA_AD_LABEL", "an advertisement says that it is", dubai),
        _text("IN-001", "ASCI_DISCLAIMER", "the disclaimer of virtual digital assets", india),
        Check("IN-001", "IN_BANNED_TERMS", "without the words currency, securities, custodian, depositories", "o_pressure", india,
              col("o_pressure").list.set_intersection(list(INDIA_WORDS)).list.len() == 0),
        Check("HK-001", "HK_GIFT_BAN", "no gifts", "incentive", hong_kong, incentive.is_in(["none", "fee_discount"])),
        Check("HK-002", "HK_KNOWLEDGE", "knows what they are offered", "u_hk_knowledge", hong_kong, col("u_hk_knowledge")),
        Check("HK-002", "HK_PI_ONLY", "derivatives for professionals only", "u_client_class", hong_kong,
              (line != "derivatives") | (col("u_client_class") == "professional")),
        Check("SG-001", "SG_PUBLIC_PROMO", "not in public", "channel",
              _in("SG") & _since(2022, 1, 16, 16) & (rank >= 1), ~col("rule_channel").is_in(["third_party_ad", "public_ad"])),
        _text("SG-002", "SG_RISK_WARNING", "the risk warning", singapore),
        Check("SG-002", "SG_RISK_AWARENESS", "passed the risk-awareness assessment", "u_risk_awareness", singapore, col("u_risk_awareness")),
        Check("SG-002", "SG_INCENTIVE_BAN", "no incentive", "incentive", singapore, incentive == "none"),
        Check("SG-002", "SG_CREDIT_LEVERAGE", "no credit and no leverage", "is_credit, leverage", singapore, plain),
        Check("SG-002", "SG_LEND_STAKE", "no lending and no staking", "product_line", singapore, ~line.is_in(["staking", "earn_yield"])),
    ]  # fmt: skip


def _anywhere(book: Any) -> list[Check]:
    import polars as pl

    col = pl.col
    return [
        Check("PRV-003", "PRV_SENSITIVE_FEATURE", "chosen by nothing sensitive", "uses_features", col("o_is_promotion"),
              col("uses_features").list.set_intersection(list(book.sensitive_features)).list.len() == 0),
        Check("PRV-004", "PRV_AUTOMATED_DECISION", "a significant decision was seen by somebody", "catalogue.approvals",
              _in("EEA", "GB", "US-CA") & col("is_significant"), col("has_human_review")),
        Check("SUI-002", "SUI_VOLATILITY", "markets are calm enough for the product", "market.prices",
              col("o_is_promotion") & (col("m_vol_max") < 2), col("c_vol_rank") <= col("m_vol_max")),
    ]  # fmt: skip
