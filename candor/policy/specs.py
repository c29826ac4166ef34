"""Which keys each file of the policy folder has, and what each may hold."""

from __future__ import annotations

from candor.policy.grains import ALL_GRAINS
from candor.policy.reading import (
    clock,
    listing,
    mapping,
    moment,
    nullable,
    number,
    one_of,
    rows,
    some_of,
    text,
    texts,
    truth,
    whole,
    wholes,
)

VISIBILITY = one_of("safe", "internal", "restricted")
CLIENT_CLASS = one_of("retail", "professional", "institutional")

PACK = {
    "id": text,
    "version": text,
    "valid_from": moment,
    "valid_to": moment,
    "review_by": text,
    "owner": text,
    "approved_by": texts,
    "combine": one_of("deny-overrides"),
    "on_unknown": one_of("fail-closed"),
    "judges_from": moment,
    "judges_to": moment,
}
RULE = {
    "id": text,
    "v": whole,
    "title": text,
    "effect": one_of("BLOCK", "HOLD", "DEMOTE"),
    "vis": VISIBILITY,
    "grain": one_of(*ALL_GRAINS),
    "from": nullable(moment),
    "to": nullable(moment),
    "scope": mapping,
    "when": nullable(text),
    "checks": rows,
    "obligations": texts,
    "obligations_when": rows,
    "facts": texts,
    "statement": text,
    "source": mapping,
    "tests": texts,
}
RULE_OPTIONAL = ("obligations_when",)
OBLIGATION = {"if": text, "add": texts}
CHECK = {"code": text, "require": text, "penalty": whole, "grain": one_of(*ALL_GRAINS)}
SCOPE = {
    "regimes": nullable(texts),
    "client_class": nullable(texts),
    "products": nullable(texts),
    "channels": nullable(texts),
    "promotion_only": truth,
}
SOURCE = {
    "regulator": text,
    "cite": text,
    "url": text,
    "seen": text,
    "effective": text,
    "confidence": one_of("high", "medium", "low"),
    "verified": one_of("V", "M"),
    "could_change": text,
    "text_sha256": text,
}
SOURCE_OPTIONAL = ("url", "seen", "text_sha256")
FATF = {"list": one_of("CFA", "IM"), "from": moment, "to": nullable(moment), "source": text, "countries": texts}
FACT = {
    "type": one_of("string", "bool", "int", "number", "instant", "date", "strings"),
    "domain": listing,
    "max_age_hours": whole,
    "max_age_stressed_hours": whole,
    "propagate": one_of("restrictive", "permissive", "counter"),
    "visibility": VISIBILITY,
    "grain": text,
    "from": texts,
    "meaning": text,
    "awaits": text,
    "cases_only": truth,
}
FACT_OPTIONAL = ("domain", "max_age_hours", "max_age_stressed_hours", "propagate", "grain", "from", "awaits", "cases_only")
SHOP = {
    "schema": one_of("shop/1"),
    "shop": text,
    "pack": text,
    "product_lines": rows,
    "regime_map": mapping,
    "permissions": rows,
    "quiet_hours": rows,
    "latency_margin_min": whole,
    "email_optout_regimes": texts,
    "sensitive_features": texts,
    "leaves_out": mapping,
    "market_basket": rows,
    "promotions_per_education": mapping,
    "incentive_budget_usd": nullable(number),
}
SHOP_OPTIONAL = ("leaves_out", "market_basket", "promotions_per_education", "incentive_budget_usd")
STAGES = ("prospect", "new", "developing", "experienced", "dormant")
RATIO = {stage: nullable(number) for stage in STAGES}
MARKET_ASSET = {"asset": text, "weight": number, "interval": one_of("1h", "1d")}
PRODUCT_LINE = {
    "product": text,
    "rank": whole,
    "min_kyc": one_of(0, 1, 2),
    "approp": truth,
    "vol_max": one_of(0, 1, 2),
    "profiles": some_of("unknown", "conservative", "moderate", "aggressive"),
    "stages": some_of(*STAGES),
    "outcomes": texts,
    "outcome_needs_offer": truth,
}
PRODUCT_LINE_OPTIONAL = ("outcome_needs_offer",)
MARKET = {"regimes": texts, "permission": text}
PERMISSION = {
    "regime": text,
    "client_class": CLIENT_CLASS,
    "products": texts,
    "from": moment,
    "to": moment,
    "evidence": text,
}
QUIET = {"regime": text, "dow": wholes, "open": clock, "close": clock}
CHANNEL = {"channel": text, "rule_channel": text, "slots": whole, "is_push": truth, "has_window": truth}
LIMITS = (
    "offer_validity_hours",
    "approp_validity_days",
    "market_elevated_quantile",
    "market_stressed_quantile",
    "market_drawdown_days",
    "market_elevated_drawdown",
    "market_stressed_drawdown",
    "market_hold_hours",
    "market_history_days",
    "market_max_age_hours",
    "cool_down_offer_days",
    "cool_down_line_days",
    "feedback_days",
)
OBJECTIVES = (
    "value_weight",
    "cost_weight",
    "minimum_incremental_value_usd",
    "trust_lambda",
    "trust_floor",
    "trust_prior_responses",
    "fatigue_usd_per_message",
    "fatigue_usd_per_ignored_showing",
    "risk_usd_per_rank",
    "exploration_share",
)
STALENESS = {
    "offers": one_of("education", "promotions"),
    "from_rank": whole,
    "hours": whole,
    "hours_stressed": whole,
    "why": text,
}
VALUE = {"name": text, "value": number, "why": text}
EXPERIMENT = {"holdout_share": number, "salt": text, "withhold_share": number, "withhold_salt": text}
SILO = {
    "table": text,
    "when_late": one_of("degrade", "stop"),
    "late_after_hours": whole,
    "needed_for": some_of("all", "stages", "market_state", "transfers", "facts"),
    "features": texts,
    "owner": text,
    "why": text,
}
REVIEW_KIND = {
    "kind": one_of("new_offer", "hold_fincrime", "hold", "high_risk_segment", "near_miss", "random"),
    "sla_hours": whole,
    "roles": texts,
    "priority": whole,
    "why": text,
}
NEAR_MISS = {"fact": one_of("d_age", "u_trust", "u_kyc_tier"), "at_least": number, "within": number, "rule": text, "why": text}
REVIEWER = {"name": text, "roles": texts, "why": text}
ROLE = {"role": text, "holder": text, "approves": texts}
LANGUAGE = {"language": text, "max_lix": whole}
# What rule BRD-003 blocks everywhere, and IN-001 in India.
PRESSURE = (
    *("countdown", "scarcity", "fomo", "guaranteed_return", "confirmshaming", "hidden_cost", "obstructed_optout"),
    *("word_currency", "word_securities", "word_custodian", "word_depositories"),
)
FLAG = {"flag": text, "becomes": one_of(*PRESSURE), "why": text}
PHRASE = {"flag": text, "language": text, "pattern": text, "examples": texts}
KILL_SWITCH_OPTIONAL = ("offer_id", "product_line", "channel", "market", "segment", "until")
KILL_SWITCH = {
    **dict.fromkeys(KILL_SWITCH_OPTIONAL[:-1], text),
    "owner": text,
    "reason": text,
    "since": moment,
    "until": moment,
}
RETENTION = {
    "record_class": text,
    "months": nullable(whole),
    "begins": one_of("known", "end"),
    "legal_hold": truth,
    "tables": texts,
    "kinds": texts,
    "basis": text,
    "owner": text,
}
OVERRIDE = {
    "action": one_of("link", "unlink"),
    "one": text,
    "other": text,
    "owner": text,
    "reason": text,
    "since": moment,
    "until": moment,
}
