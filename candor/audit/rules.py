"""The audit's own list of rules: when each applies and what must then be true, over one wide row per staged offer.

Three values: an unknown `applies` applies, an unknown `require` is not met and its code ends in _UNKNOWN. Written from
policy/facts.yml and the rule texts, apart from the policy engine.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from candor.audit import regimes
from candor.audit.check import Check

if TYPE_CHECKING:
    import polars as pl

RESTRICTED = "restricted"
# The one code under which every restricted reason appears outside the vault.
NEUTRAL_CODE = "ELIG_NA"
PRESSURE = ["countdown", "scarcity", "fomo", "guaranteed_return", "confirmshaming", "hidden_cost", "obstructed_optout"]
PUSHED = ["email", "sms", "push"]


def checks(context: Any) -> list[Check]:
    """Every check of the rules the shop does not leave out, in the order in which they are reported.

    `context` has as_of, run_id and the rulebook.
    """
    listed = [
        *_row_checks(context),
        *_financial_crime(),
        *_verification(),
        *_jurisdiction(),
        *_privacy(),
        *_protection(),
        *_brand(),
        *regimes.checks(context.rulebook),
    ]
    return [check for check in listed if check.rule not in context.rulebook.leaves_out]


def rule_hash(listed: list[Check]) -> str:
    """One hash over every rule, its words and its predicates: another list of rules has another hash."""
    content = [[check.rule, check.code, check.says, check.facts, str(check.applies), str(check.require)] for check in listed]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def violations(rows: pl.DataFrame, listed: list[Check]) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """(one row per staged offer and check it breaks, {code: rows it applied to, violations}). `rows` is the wide frame."""
    import polars as pl

    ids = ["decision_id", "person_id", "offer_id", "offer_version", "channel", "creative_id"]
    applied = [check.applies.fill_null(True) for check in listed]
    broken = [applies & ~check.require.fill_null(False) for applies, check in zip(applied, listed, strict=True)]
    # One pass counts everything; on a good day there is nothing more to look at.
    totals = rows.select(
        *(applies.sum().cast(pl.Int64).alias(f"rows_{n}") for n, applies in enumerate(_as_wide(applied))),
        *(breaks.sum().cast(pl.Int64).alias(f"broken_{n}") for n, breaks in enumerate(_as_wide(broken))),
    ).row(0, named=True)
    none = rows.head(0).select(
        *ids,
        pl.lit("").alias("rule"),
        pl.lit("").alias("code"),
        pl.lit(False).alias("is_restricted"),
        pl.lit("").alias("rule_path"),
    )
    found, counts = [none], {}
    for n, check in enumerate(listed):
        counts[check.code] = {"rule": check.rule, "rows": totals[f"rows_{n}"], "violations": totals[f"broken_{n}"]}
        if not totals[f"broken_{n}"]:
            continue
        # A text is there or it is not; that nobody knows whether it had to be does not change what is missing.
        is_unknown = (check.require.is_null() | check.applies.is_null()) & pl.lit(not check.code.startswith("DISC_MISSING_"))
        found.append(
            rows.filter(broken[n]).select(
                *ids,
                pl.lit(check.rule).alias("rule"),
                (pl.lit(check.code) + pl.when(is_unknown).then(pl.lit("_UNKNOWN")).otherwise(pl.lit(""))).alias("code"),
                pl.lit(check.visibility == RESTRICTED).alias("is_restricted"),
                pl.lit(check.path).alias("rule_path"),
            )
        )
    return pl.concat(found).sort("decision_id", "rule", "code"), counts


def _as_wide(conditions: list[pl.Expr]) -> list[pl.Expr]:
    """The conditions as long as the frame: a constant one would otherwise count once instead of once a row."""
    import polars as pl

    return [condition & pl.col("decision_id").is_not_null().or_(pl.lit(True)) for condition in conditions]


def _row_checks(context: Any) -> list[Check]:
    import polars as pl

    from candor.audit.killed import is_named

    always = pl.lit(True)
    col = pl.col
    planned_to = col("valid_until")
    return [
        Check("ROW", "ROW_OTHER_RUN", "the row is of this run, valid from its instant on", "run_id, valid_from", always,
              (col("run_id") == context.run_id) & (col("valid_from") == (context.decided_as_of or context.as_of))),
        Check("ROW", "ROW_TWICE", "no decision id twice", "decision_id", always, ~col("is_twice")),
        Check("ROW", "ROW_UNKNOWN_PERSON", "identity knows the person", "identity.person_identifiers", always, col("is_known_person")),
        Check("ROW", "ROW_HELD_OUT", "the person was drawn as treated, under every key merged into theirs", "state.arms", always,
              (col("arm") == "treated") & col("is_treated")),
        Check("ROW", "ROW_UNKNOWN_OFFER", "the offer is in the catalogue, in its highest version", "catalogue.offers", always,
              col("o_version").is_not_null() & (col("offer_version") == col("o_version"))),
        Check("ROW", "ROW_CREATIVE_MISMATCH", "the creative is one of this offer version for this channel and locale",
              "catalogue.creatives", always,
              (col("c_offer_id") == col("offer_id")) & (col("c_offer_version") == col("offer_version"))
              & (col("c_channel") == col("channel")) & (col("c_locale") == col("locale"))),
        Check("ROW", "ROW_TEXT_CHANGED", "title, body and disclosures are the catalogue's", "catalogue.creatives", always,
              (col("c_title") == col("title")) & (col("c_body") == col("body")) & (col("o_disclosures") == col("shown_disclosures"))),
        Check("ROW", "ROW_REASON_NOT_PERMITTED", "the reason is the creative's own, or a sentence of explanations.yml in its language",
              "catalogue.creatives, explanations.yml", always,
              (col("c_why") == col("reason_text")).fill_null(False) | col("is_permitted_reason").fill_null(False)),
        Check("ROW", "ROW_REASON_UNTRUE", "what the reason says of the person has happened", "events.events, crm.messages, exchange.trades, "
              "exchange.ledger_entries", col("is_permitted_reason").fill_null(False) & (col("c_why") != col("reason_text")).fill_null(True),
              col("is_true_reason").fill_null(False)),
        Check("ENGINE", "ENG_UNKNOWN_PRODUCT", "the product line is in the matrix", "product_lines", always, col("m_rank").is_not_null()),
        Check("ENGINE", "ENG_UNKNOWN_CHANNEL", "the channel is one the rules know", "channels", always, col("is_known_channel")),
        Check("ENGINE", "PACK_OUT_OF_DATE", "the policy is in force at the planned delivery", "pack", always,
              (col("planned") >= context.rulebook.pack_valid_from) & (col("planned") < context.rulebook.pack_valid_to)),
        Check("ENGINE", "ENG_TEST_PERSON", "nobody whom somebody made up to test", "exchange.accounts, crm.contacts", always,
              ~col("is_made_for_testing")),
        Check("ENGINE", "ENG_STANDING_WITHHOLD", "no promotion to whom the draw of the quarter leaves without", "vault.state.withheld",
              col("o_is_promotion"), ~col("is_withheld"), RESTRICTED),
        Check("ENGINE", "ENG_CHAT_REFUSED", "nothing by chat to whom refused marketing there", "crm.consents", col("rule_channel") == "chatbot",
              ~col("u_consent_chat").is_in(["denied", "withdrawn"])),
        Check("ENGINE", "KILL_SWITCH", "nothing that a kill switch names", "kill_switches", always, ~is_named(context.killed)),
        Check("ENGINE", "REV_UPHELD", "nothing that a reviewer said must not be shown", "review_verdicts", always, ~col("is_upheld")),
        Check("ENGINE", "REV_NOT_REVIEWED", "of high risk only what somebody has reviewed", "m_rank, o_reviewed", col("o_is_promotion"),
              (col("m_rank") < _high_risk_rank(context.rulebook)) | col("has_human_review").fill_null(False)),
        Check("ENGINE", "OFFER_NOT_STARTED", "the offer has started at the planned delivery", "o_starts_at", always,
              col("planned") >= col("o_starts_at")),
        Check("ENGINE", "OFFER_EXPIRED", "the offer has not ended at the planned delivery, in any zone of the person",
              "o_ends_at, u_tzs", always, col("planned") < col("d_ends_at")),
        Check("ENGINE", "OFFER_OUTLIVES_END", "the row ends no later than the offer", "o_ends_at", always, planned_to <= col("d_ends_at")),
        Check("ENGINE", "OFFER_STALE", "the row lives no longer than its class may, shorter while markets are stressed",
              "limits.yml staleness, m_rank, c_vol_rank", always,
              planned_to <= col("valid_from") + pl.duration(hours="m_most_hours")),
        Check("ENGINE", "WINDOW_OUTSIDE_VALIDITY", "the send window lies within the row's validity", "send_after, send_before",
              col("send_after").is_not_null() | col("send_before").is_not_null(),
              (col("send_after") >= col("valid_from")) & (col("send_after") < col("send_before"))
              & (col("send_before") <= col("valid_until"))),
    ]  # fmt: skip


def _high_risk_rank(book: Any) -> int:
    """From which rank on review.yml calls a product high-risk; past every rank for a policy from before the file."""
    return int({row["name"]: row["value"] for row in book.reviewing.get("numbers", [])}.get("high_risk_rank", 1_000_000))


def _financial_crime() -> list[Check]:
    import polars as pl

    col, always, promotion = pl.col, pl.lit(True), pl.col("o_is_promotion")
    status = col("u_sanctions_status")
    return [
        Check("FC-001", "FC_SANCTIONED", "no confirmed sanctions match", "u_sanctions_status", always, status != "confirmed", RESTRICTED),
        Check("FC-001", "FC_WALLET_LISTED", "no listed wallet", "u_wallet_sanctioned", always, ~col("u_wallet_sanctioned"), RESTRICTED),
        Check("FC-002", "FC_SANCTIONS_POTENTIAL", "no open possible match", "u_sanctions_status", always, status != "potential", RESTRICTED),
        Check("FC-003", "FC_SCREEN_STALE", "screened within 24 h", "u_sanctions_status, u_wallet_sanctioned", always,
              status.is_not_null() & col("u_wallet_sanctioned").is_not_null(), RESTRICTED),
        Check("FC-003", "FC_LIST_INCOMPLETE", "the sanctions list was read whole", "c_list_parse_complete", always,
              col("c_list_parse_complete"), RESTRICTED),
        Check("FC-004", "FC_EMBARGO", "not in embargoed territory", "u_embargo", always, ~col("u_embargo"), RESTRICTED),
        Check("FC-005", "FC_FATF_CFA", "nobody of a country under a call for action without approved due diligence", "u_fatf, u_edd_approved",
              promotion, (col("u_fatf") != "CFA") | col("u_edd_approved"), RESTRICTED),
        Check("FC-005", "FC_FATF_IM", "rank 3 and more to people of monitored countries only on the highest tier", "u_fatf, u_kyc_tier",
              promotion, (col("u_fatf") != "IM") | (col("m_rank") < 3) | (col("u_kyc_tier") >= 2), RESTRICTED),
        Check("FC-006", "FC_PEP_EDD", "office holders only after due diligence, British ones of low risk aside", "u_pep, u_edd_approved, u_aml_band",
              promotion & ((col("m_rank") >= 3) | (col("o_incentive") != "none")),
              (col("u_pep") == "none") | col("u_edd_approved")
              | ((col("u_pep") == "domestic") & col("u_regimes").list.contains("GB").fill_null(False) & (col("u_aml_band") == "low")),
              RESTRICTED),
        Check("FC-008", "FC_AML_BAND", "a risk band that is low or medium, scored within 30 days", "u_aml_band", promotion,
              col("u_aml_band").is_in(["low", "medium"]), RESTRICTED),
        Check("FC-007", "FC_ADVERSE_MEDIA", "no unresolved adverse media", "u_adverse_media", promotion, ~col("u_adverse_media"), RESTRICTED),
        Check("FC-010", "FC_TRAVEL_RULE", "no transfer that the Travel Rule would stop", "u_travel_ready",
              promotion & col("requires_transfer"), col("u_travel_ready")),
        Check("FC-009", "FC_RESTRICTED_HOLD", "no fincrime hold", "u_fincrime_hold", promotion, ~col("u_fincrime_hold"), RESTRICTED),
    ]  # fmt: skip


def _verification() -> list[Check]:
    import polars as pl

    col, always = pl.col, pl.lit(True)
    needs_kyc = col("o_is_promotion") & (col("m_min_kyc") > 0)
    return [
        Check("KYC-001", "KYC_TIER_LOW", "the verified tier is at least the product's", "u_kyc_tier, m_min_kyc", needs_kyc,
              col("u_kyc_tier") >= col("m_min_kyc")),
        Check("KYC-002", "KYC_EXPIRED", "verification has not expired at the planned delivery", "u_kyc_expires_at", needs_kyc,
              col("planned") < col("u_kyc_expires_at")),
        Check("KYC-002", "KYC_OUTLIVED", "the row ends no later than the verification", "u_kyc_expires_at", needs_kyc,
              col("valid_until") <= col("u_kyc_expires_at")),
        Check("KYC-003", "ID_KYC_CONFLICT", "the records of one person agree", "u_kyc_conflict", needs_kyc, ~col("u_kyc_conflict")),
        Check("AGE-001", "AGE_UNDER_18", "18 by the local date in every zone", "u_dob, u_tzs", always, col("d_age") >= 18),
        Check("AGE-001", "AGE_MINOR_SIGNAL", "no sign of a minor", "u_minor_signal", always, ~col("u_minor_signal")),
    ]  # fmt: skip


def _jurisdiction() -> list[Check]:
    import polars as pl

    col, always = pl.col, pl.lit(True)
    gb_retail = col("o_is_promotion") & col("u_regimes").list.contains("GB") & (col("u_client_class") == "retail")
    us_text = col("o_is_promotion") & col("u_regimes").list.contains("US") & (col("channel") == "sms")
    return [
        Check("JUR-001", "JUR_UNKNOWN", "every country signal has a known regime", "u_regimes", always,
              col("u_regimes").is_not_null() & (col("u_regimes").list.len() > 0)),
        Check("JUR-002", "JUR_CONFLICT", "rank 2 and more, and incentives, wait while countries disagree or a move is pending",
              "u_country_conflict", col("o_is_promotion") & ((col("m_rank") >= 2) | (col("o_incentive") != "none")),
              ~col("u_country_conflict")),
        Check("JUR-003", "JUR_NO_PERMISSION", "each regime permits the product for the client class", "u_perm_regimes, permissions", always,
              col("d_perm_missing") == 0),
        Check("UK-002", "UK_INCENTIVE_BAN", "no incentive to invest for UK retail", "o_incentive, m_rank",
              gb_retail & (col("o_incentive") != "none"), col("m_rank") < 1),
        *(Check("UK-003", f"DISC_MISSING_{name}", "the prescribed UK risk texts", "o_disclosures", gb_retail & (col("m_rank") >= 1),
                col("o_disclosures").list.contains(name)) for name in ("UK_RISK_WARNING", "UK_RISK_SUMMARY")),
        Check("UK-007", "UK_DERIVATIVES_BAN", "no crypto derivatives to UK retail", "product_line",
              gb_retail & (col("product_line") == "derivatives"), pl.lit(False)),
        Check("US-006", "US_TCPA_NO_CONSENT", "prior express written consent to marketing texts", "u_tcpa_pewc", us_text, col("u_tcpa_pewc")),
        Check("US-006", "US_DNC", "no marketing text to anybody on a do-not-contact list", "u_dnc", us_text, ~col("u_dnc")),
        Check("US-007", "US_QUIET_HOURS", "texts only in the hours of every zone", "u_tzs, quiet_hours", us_text, col("d_quiet_us") == 0),
    ]  # fmt: skip


def _privacy() -> list[Check]:
    import polars as pl

    col, always = pl.col, pl.lit(True)
    granted_email = (col("u_consent_email") == "granted") | (col("u_soft_opt_in") & (col("u_consent_email") == "none"))
    email_ok = (
        pl.when(col("is_optout_email").is_null())
        .then(pl.lit(None, pl.Boolean))
        .when(col("is_optout_email"))
        .then(~col("u_unsub_email"))
        .otherwise(~col("u_unsub_email") & granted_email)
    )
    channel_ok = (
        pl.when(col("rule_channel").is_in(["inapp", "chatbot", "public_ad"]))
        .then(pl.lit(True))
        .when(col("rule_channel") == "email")
        .then(email_ok)
        .when(col("rule_channel") == "sms")
        .then(col("u_consent_sms") == "granted")
        .when(col("rule_channel") == "push")
        .then(col("u_consent_push") == "granted")
        .when(col("rule_channel") == "third_party_ad")
        .then(col("u_consent_thirdparty") == "granted")
        .otherwise(pl.lit(None, pl.Boolean))
    )
    return [
        Check("PRV-001", "PRV_NO_CHANNEL_CONSENT", "the channel is permitted by consent", "u_consent_*, u_soft_opt_in, u_unsub_email", always,
              channel_ok),
        Check("PRV-002", "PRV_OBJECTED", "no objection to direct marketing or profiling", "u_dm_objection, u_profiling_objection", always,
              ~col("u_dm_objection") & ~col("u_profiling_objection")),
        Check("PRV-002", "PRV_ERASURE", "no pending erasure", "u_erasure", always, ~col("u_erasure")),
    ]  # fmt: skip


def _protection() -> list[Check]:
    import polars as pl

    col, always, promotion = pl.col, pl.lit(True), pl.col("o_is_promotion")
    risky = promotion & ((col("m_rank") >= 2) | (col("o_incentive") != "none"))
    matched = promotion & (col("m_rank") >= 1)
    stage = pl.when(col("u_stage").is_not_null()).then(col("m_stages").list.contains(col("u_stage")))
    return [
        Check("VUL-001", "VUL_FLAG", "no vulnerability flag", "u_vuln_flag", risky, ~col("u_vuln_flag"), RESTRICTED),
        Check("VUL-002", "VUL_HARM_SIGNAL", "no sign of harm", "u_harm_signal", risky, ~col("u_harm_signal"), RESTRICTED),
        Check("VUL-003", "VUL_SELF_EXCLUDED", "not self-excluded", "u_self_excluded", always, ~col("u_self_excluded")),
        Check("SUI-001", "SUI_PROFILE", "the risk profile suits the product", "u_risk_profile", matched,
              col("m_profiles").list.contains(col("u_risk_profile"))),
        Check("SUI-001", "SUI_STAGE", "the lifecycle stage suits the product", "u_stage", matched, stage),
        Check("SUI-001", "SUI_APPROPRIATENESS", "appropriateness passed where the product needs it", "u_approp", matched,
              ~col("m_approp") | (col("u_approp") == "passed")),
    ]  # fmt: skip


def _penalty() -> pl.Expr:
    """Basis points that the promotion must have lost, what is not known included."""
    import polars as pl

    col = pl.col
    kept = {
        3000: col("u_dismiss_30d") < 3,
        2500: col("u_neg_fb_30d") == 0,
        2000: col("u_trust") >= 40,
        1500: (col("product_line") != "spot") | (col("c_vol_rank") < 2),
    }
    lost = [pl.when(is_kept.fill_null(False)).then(0).otherwise(points) for points, is_kept in kept.items()]
    return pl.min_horizontal(pl.sum_horizontal(lost), pl.lit(9000))


def _brand() -> list[Check]:
    import polars as pl

    col, always, promotion = pl.col, pl.lit(True), pl.col("o_is_promotion")
    pushed = promotion & col("channel").is_in(PUSHED)
    return [
        Check("BRD-001", "BRD_FREQ_CAP", "fewer than 1 pushed promotion in 24 h and 3 in 7 days before it", "u_contacts_24h, u_contacts_7d",
              pushed, (col("u_contacts_24h") < 1) & (col("u_contacts_7d") < 3)),
        Check("BRD-001", "BRD_HIGHRISK_CAP", "no promotion of rank 4 or more in 30 days before another", "u_highrisk_30d",
              promotion & (col("m_rank") >= 4), col("u_highrisk_30d") < 1),
        Check("BRD-001", "BRD_JOINT_PUSH_CAP", "one pushed promotion per person in this run", "decisions.staged_offers", pushed,
              col("pushed_promotions") <= 1),
        Check("ARB", "ARB_ONE_OFFER_PER_LINE", "one promotion of a product line per person, the same in every channel",
              "decisions.staged_offers", promotion, col("promotions_of_line") <= 1),
        Check("ARB", "ARB_COOL_DOWN", "nothing that the person refused within cool_down_offer_days, nor a promotion of its line within "
              "cool_down_line_days", "events.events, limits.yml", always,
              ~(col("is_offer_refused").fill_null(False) | (promotion.fill_null(True) & col("is_line_refused").fill_null(False)))),
        Check("ARB", "ARB_EDUCATION_RATIO", "no more promotions than the lifecycle stage allows for the education beside them",
              "u_stage, decisions.staged_offers", promotion & col("m_ratio").is_not_null(),
              col("promotions") <= col("m_ratio") * col("education") + 1e-9),
        Check("ARB", "ARB_TOTAL_CAP", "no more people hold the offer than it has places", "total_cap, decisions.staged_offers, state.decisions",
              col("o_total_cap").is_not_null(), col("holders") <= col("o_total_cap")),
        Check("BRD-001", "BRD_QUIET_HOURS", "sent between 08:00 and 21:00 in every zone", "u_tzs, quiet_hours",
              promotion & col("channel").is_in(["sms", "push"]), col("d_quiet_house") == 0),
        Check("BRD-002", "BRD_NOT_DEMOTED", "ranked lower by at least what dismissals, bad answers, low trust and markets take off",
              "u_dismiss_30d, u_neg_fb_30d, u_trust, c_vol_rank, decisions.ledger", promotion, col("penalty_bp") >= _penalty()),
        Check("BRD-003", "BRD_MANIPULATIVE", "no pressure in the creative", "o_pressure", always,
              col("o_pressure").list.set_intersection(PRESSURE).list.len() == 0),
        Check("BRD-004", "BRD_NOT_APPROVED", "approved by compliance and brand", "o_creative_approved", promotion,
              col("o_creative_expires").is_not_null()),
        Check("BRD-004", "BRD_NOT_APPROVED", "says what it stands for and whom it is for and not for", "catalogue.offers", promotion,
              col("is_complete")),
        Check("BRD-004", "BRD_NOT_APPROVED", "in a language and at a level that can be read", "catalogue.creatives", promotion,
              col("is_readable")),
        Check("BRD-004", "BRD_OUTLIVES_APPROVAL", "the row ends no later than the approval", "o_creative_expires",
              promotion & col("o_creative_expires").is_not_null(), col("valid_until") <= col("o_creative_expires")),
        Check("BRD-004", "BRD_NO_EXPLANATION", "the creative says why", "o_why", promotion, col("c_why").is_not_null()),
        *(Check("BRD-004", f"DISC_MISSING_{name}", "the house's own texts", "o_disclosures", promotion,
                col("o_disclosures").list.contains(name)) for name in ("WHY_THIS_OFFER", "AD_LABEL", "OPT_OUT")),
    ]  # fmt: skip
