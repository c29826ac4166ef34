"""One planted leak per rule: everything else is in order, so the audit must find exactly that."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.audit.conftest import prices

NOW = datetime(2026, 11, 23, 15)  # noqa: DTZ001  naive UTC, as in the warehouse
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def edit(table, match="", /, **changes):
    return lambda world: world.edit(table, match, **changes)


def restrict(kind, **changes):
    return lambda world: world.restrict(kind, **changes)


def both(*leaks):
    def leak(world):
        for one in leaks:
            one(world)

    return leak


def hit(outcome, run="sr-accounts", **who):
    row = {"hit_id": f"h-{outcome}", "screening_run_id": run, "account_id": None, "wallet_address": None, "chain": None}
    return lambda world: world.add("compliance.screening_hits", **{**row, "outcome": outcome, **who})


def claim(address, chain="ethereum", **changes):
    """p-gb's account says that this wallet is its own; identity does not know of it."""
    row = {"link_id": "wl-claim", "wallet_address": address, "chain": chain, "account_id": "ac-gb", "linked_at": NOW - 30 * DAY}
    return lambda world: world.add("wallets.wallet_links", **{**row, **changes})


def message(**changes):
    row = {"message_id": "m1", "contact_id": "co-gb", "channel": "email", "is_promotion": True, "sent_at": NOW - 3 * DAY}
    return lambda world: world.add("crm.messages", **{**row, **changes})


def feed(table, **changes):
    return lambda world: world.feeds.update({table: changes})


def second_account(**changes):
    """p-gb has another account, which nobody verified unless `changes` say so."""

    def leak(world):
        world.identifiers.append(("p-gb", "account_id", "ac-two"))
        row = {**world.tables["exchange.accounts"][0], "account_id": "ac-two"}
        world.add("exchange.accounts", **{**row, **changes})

    return leak


def kyc_of_second_account(**changes):
    def leak(world):
        row = {**world.tables["compliance.kyc_records"][0], "kyc_id": "ky-two", "account_id": "ac-two"}
        world.add("compliance.kyc_records", **{**row, **changes})

    return leak


def consent_of_account():
    """p-gb consents to e-mail through the account as well."""

    def leak(world):
        given = next(row for row in world.tables["crm.consents"] if row["consent_id"] == "gb-marketing-email")
        world.add("crm.consents", **{**given, "consent_id": "gb-by-account", "contact_id": None, "account_id": "ac-gb"})

    return leak


def product(line, is_reviewed=True):
    """Of another line; one of high risk somebody has reviewed, unless the case is about that."""

    def leak(world):
        world.edit("catalogue.offers", product_line=line)
        if is_reviewed and line in ("nft", "derivatives"):
            brand = next(row for row in world.tables["catalogue.approvals"] if row["kind"] == "brand")
            world.add("catalogue.approvals", **{**brand, "approval_id": "ap-human_review", "kind": "human_review"})

    return leak


def disclosures(*left_out):
    def leak(world):
        kept = [name for name in world.tables["catalogue.creatives"][0]["disclosures"] if name not in left_out]
        world.edit("catalogue.creatives", disclosures=kept)
        text = "[" + ",".join(f'"{name}"' for name in kept) + "]"
        for row in world.staged:
            row["disclosures"] = text

    return leak


def lives_in(country, region=None):
    """p-gb lives there and says nothing of anywhere else."""
    return both(
        edit("exchange.accounts", "ac-gb", country_code=country, region_code=region, phone=None),
        edit("compliance.kyc_records", "ky-gb", residence_country=country, residence_region=region),
        lambda world: world.identifiers.remove(("p-gb", "phone", "+447700900001")),
    )


def professional():
    return edit("compliance.kyc_records", "ky-gb", client_class="professional")


def row(**changes):
    return lambda world: [staged.update(changes) for staged in world.staged]


def say(**words):
    """The catalogue says this, and it is what is shown."""
    shown = {{"why_template": "reason_text"}.get(name, name): text for name, text in words.items()}
    return both(edit("catalogue.creatives", "cr-web", **words), row(**shown))


def offer(**changes):
    return edit("catalogue.offers", "spot1", **changes)


def lives(country, *leaks, region=None):
    """p-gb has moved there, with a number of no country."""

    def leak(world):
        world.edit("exchange.accounts", "ac-gb", country_code=country, region_code=region, phone=None)
        world.edit("compliance.kyc_records", "ky-gb", residence_country=country, residence_region=region)
        world.identifiers[:] = [each for each in world.identifiers if each[:2] != ("p-gb", "phone")]
        for one in leaks:
            one(world)

    return leak


def turned_down(times, name="offer_dismissed", **changes):
    row = {"event_name": name, "occurred_at": NOW - DAY, "account_id": "ac-gb", "device_id": None, "anonymous_id": None}
    return both(
        *(
            lambda world, n=n: world.add("events.events", **{**row, "event_id": f"e-{name}-{n}", **changes})
            for n in range(times)
        )
    )


def answered(kind, score, scale_max=5, **changes):
    row = {"response_id": f"r-{kind}-{score}", "account_id": "ac-gb", "email": None, "anonymous_id": None, "kind": kind}
    when = {"score": Decimal(score), "scale_max": Decimal(scale_max), "submitted_at": NOW - DAY}
    return lambda world: world.add("surveys.responses", **{**row, **when, **changes})


def demoted_by(points):
    return lambda world: world.penalties.update({"p-gb": points})


def nft(*leaks):
    """The offer is of rank 4, and p-gb may have it."""
    return both(product("nft"), edit("compliance.assessments", "as-gb-spot", product_line="nft"), *leaks)


def promoted_before(line="nft", **changes):
    """Weeks ago p-gb was mailed an offer of that product line."""
    row = {"offer_id": "offer-before", "sent_at": NOW - 29 * DAY}
    known = lambda world: world.add(  # noqa: E731
        "catalogue.offers",
        **{**world.tables["catalogue.offers"][0], "offer_id": "offer-before", "product_line": line},
    )
    return both(known, message(**{**row, **changes}))


def assessed(kind, /, **changes):
    return edit("compliance.assessments", f"as-gb-{kind}", **changes)


def unassessed(kind):
    return assessed(kind, kind="something_else")


def second_assessment(kind, result, **changes):
    """Another account of p-gb was assessed as well."""

    def leak(world):
        world.identifiers.append(("p-gb", "account_id", "ac-two"))
        row = next(row for row in world.tables["compliance.assessments"] if row["assessment_id"] == f"as-gb-{kind}")
        row = {**row, "assessment_id": f"as-two-{kind}", "account_id": "ac-two", "result": result, **changes}
        world.add("compliance.assessments", **row)

    return leak


def direct(*leaks):
    """A direct offer in London."""
    return both(offer(is_direct_offer=True), *leaks)


def accepted(**changes):
    row = {"event_id": "e-yes", "event_name": "offer_accepted", "occurred_at": NOW - 90 * DAY, "account_id": "ac-gb"}
    return lambda world: world.add("events.events", **{**row, "offer_id": "spot1", **changes})


def transfer(*leaks):
    return both(offer(requires_transfer=True), *leaks)


def australian_product(*leaks):
    return lives("AU", offer(is_au_financial_product=True), *leaks)


def stale_assessments(hours):
    return feed("compliance.assessments", extracted_at=NOW - hours * HOUR)


def kyc(**changes):
    return edit("compliance.kyc_records", "ky-gb", **changes)


def rank_three(*leaks):
    return both(product("staking"), *leaks)


def due_diligence(result):
    row = {"assessment_id": "as-gb-edd", "account_id": "ac-gb", "kind": "enhanced_due_diligence", "result": result}
    return lambda world: world.add("compliance.assessments", **row, taken_at=NOW - DAY)


def phone_of(country, number, **changes):
    """A contact of p-gb gives a number of another country."""

    def leak(world):
        world.phones.append((number, country))
        row = {"contact_id": "co-gb", "phone": number, "country_code": country, "source_updated_at": NOW - DAY}
        world.add("crm.contacts", **{**row, **changes})

    return leak


def exempt(**changes):
    def leak(world):
        row = next(row for row in world.tables["catalogue.approvals"] if row["kind"] == "brand")
        world.add(
            "catalogue.approvals", **{**row, "approval_id": "ap-glba", "kind": "glba_exempt", "regime": "US-NY", **changes}
        )

    return leak


def shown_as(rule_channel):
    """What the rules call the channel that everything is shown in."""
    return policy_text("channels.yml", "channel: web,     rule_channel: inapp", f"channel: web, rule_channel: {rule_channel}")


def consent(purpose, status, **changes):
    row = {"consent_id": f"c-{purpose}-{status}", "contact_id": "co-gb", "purpose": purpose, "status": status}
    return lambda world: world.add("crm.consents", **{**row, "channel": None, "recorded_at": NOW - DAY, **changes})


def shared_with_others(*leaks):
    """The offer goes to New York by an advertisement of somebody else, to which they agreed."""
    agreed = consent("third_party", "granted", contact_id="co-ny")
    return both(shown_as("third_party_ad"), offer(is_third_party_share=True), agreed, *leaks)


def spoken_about_in_australia(*leaks):
    return lives("AU", shown_as("chatbot"), offer(is_au_financial_product=True), *leaks)


def markets(bars):
    return lambda world: world.tables.update({"market.prices": bars(prices)})


USED = "You see this because you have used products like this."
LOOKED = "You see this because you looked at products like this in the last 30 days."


def traded(**changes):
    row = {
        "trade_id": "t1",
        "account_id": "ac-gb",
        "product_line": "spot",
        "asset": "BTC",
        "side": "buy",
        "traded_at": NOW - 200 * DAY,
    }
    return lambda world: world.add("exchange.trades", **{**row, **changes})


def did(name, **changes):
    row = {"event_id": f"e-{name}", "event_name": name, "occurred_at": NOW - DAY, "account_id": "ac-gb"}
    return lambda world: world.add("events.events", **{**row, **changes})


def refused_other(line="spot", **changes):
    """p-gb turned down another offer, of that product line."""
    known = lambda world: world.add(  # noqa: E731
        "catalogue.offers", **{**world.tables["catalogue.offers"][0], "offer_id": "offer-other", "product_line": line}
    )
    return both(known, turned_down(1, offer_id="offer-other", **changes))


def withheld(quarter="2026-Q4", starts_at=None, ends_at=None):
    return lambda world: world.withheld.append(("p-gb", quarter, starts_at, ends_at))


def crash():
    """Prices have fallen by a sixth within six hours: markets are stressed."""
    return markets(lambda prices: prices(*[-0.03] * 6))


def lesson(*leaks):
    """The offer teaches and sells nothing."""
    return both(product("education"), edit("catalogue.offers", is_promotion=False), *leaks)


def policy_text(name, old, new):
    def change(folder):
        path = folder / name
        text = path.read_text()
        assert re.search(old, text)
        path.write_text(re.sub(old, new, text))

    return lambda world: setattr(world, "policy", change)


def past_decision(**changes):
    given = {
        "decision_id": "old1",
        "batch_seq": 0,
        "offer_id": "spot1",
        "arm": "treated",
        "person_id": "p-gb",
        "channel": "sms",
        "is_promotion": True,
        "is_chosen": True,
    }
    return lambda world: world.past.append({**given, "send_after": NOW - 5 * HOUR, "as_of": NOW - DAY, **changes})


def another_spot_offer(person, channel):
    """The same person is shown another offer of the product line elsewhere, which is as permitted as the first."""

    def leak(world):
        for table in ("catalogue.offers", "catalogue.creatives", "catalogue.approvals"):
            for row in [row for row in world.tables[table] if row["offer_id"] == "spot1"]:
                key = {"catalogue.creatives": "creative_id", "catalogue.approvals": "approval_id"}.get(table)
                world.add(table, **{**row, "offer_id": "spot2", **({key: f"{row[key]}-2"} if key else {})})
        world.offer(person, channel, offer_id="spot2", creative_id=f"cr-{channel}-2")

    return leak


def learns_first(world):
    world.learns_first = True


def arm(*arms):
    return lambda world: setattr(world, "arms", [("p-gb", name) for name in arms])


def likely(*identifiers):
    """Only likeness ties these identifiers to their person."""
    return lambda world: world.likely.update(identifiers)


def contacted(times):
    return both(*(message(message_id=f"m{n}", sent_at=NOW - (2 + n) * DAY) for n in range(times)))


UNSCREENED = {"FC_SANCTIONED_UNKNOWN", "FC_SANCTIONS_POTENTIAL_UNKNOWN", "FC_SCREEN_STALE"}
STALE_24H = {"FC_EMBARGO", "FC_ADVERSE_MEDIA", "FC_RESTRICTED_HOLD", "AGE_MINOR_SIGNAL", "VUL_FLAG", "VUL_HARM_SIGNAL"}
STALE_1H = {"PRV_OBJECTED", "PRV_ERASURE", "VUL_SELF_EXCLUDED"}


def unknown(codes):
    return {f"{code}_UNKNOWN" for code in codes}


GB_SMS, GB_EMAIL, GB_PUSH, GB_WEB = ("gb", "sms"), ("gb", "email"), ("gb", "push"), ("gb", "web")
NY_SMS, NY_EMAIL, NY_WEB = ("ny", "sms"), ("ny", "email"), ("ny", "web")

LEAKS = {
    # financial crime
    "confirmed_match": (GB_WEB, hit("confirmed", account_id="ac-gb"), {"FC_SANCTIONED"}),
    "possible_match": (GB_WEB, hit("potential", account_id="ac-gb"), {"FC_SANCTIONS_POTENTIAL"}),
    "listed_wallet_in_capitals_on_another_evm_chain": (
        GB_WEB,
        hit("confirmed", "sr-wallets", wallet_address=f"0X{'gb':a<40}".upper(), chain="polygon"),
        {"FC_WALLET_LISTED"},
    ),
    "possible_wallet_hit_is_a_possible_match": (
        GB_WEB,
        hit("potential", "sr-wallets", wallet_address=f"0x{'gb':a<40}"),
        {"FC_SANCTIONS_POTENTIAL"},
    ),
    "screened_25_hours_ago": (
        GB_WEB,
        edit("compliance.screening_runs", screened_at=NOW - 25 * HOUR),
        UNSCREENED | {"FC_WALLET_LISTED_UNKNOWN"},
    ),
    "account_opened_after_the_screening": (GB_WEB, edit("exchange.accounts", "ac-gb", created_at=NOW - HOUR), UNSCREENED),
    "list_not_read_whole": (
        GB_WEB,
        edit("compliance.screening_runs", "sr-wallets", list_parse_complete=False),
        {"FC_LIST_INCOMPLETE"},
    ),
    "embargo": (GB_WEB, restrict("embargo"), {"FC_EMBARGO"}),
    "embargo_on_the_wallet": (GB_WEB, restrict("embargo", account_id=None, wallet_address=f" 0x{'gb':a<40} "), {"FC_EMBARGO"}),
    "embargo_on_a_wallet_claimed_with_a_typing_error": (
        GB_WEB,
        both(
            claim("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
            restrict("embargo", account_id=None, wallet_address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ),
        {"FC_EMBARGO"},
    ),
    "listed_wallet_that_only_the_persons_device_claims": (
        GB_WEB,
        both(
            lambda world: world.identifiers.append(("p-gb", "device_id", "dv-gb")),
            claim("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bitcoin", account_id=None, device_id="dv-gb"),
            hit("confirmed", "sr-wallets", wallet_address="bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", chain="XBT"),
        ),
        {"FC_WALLET_LISTED"},
    ),
    "listed_wallet_on_a_chain_nobody_knows": (
        GB_WEB,
        both(
            claim("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "bitcoin"),
            hit("confirmed", "sr-wallets", wallet_address="1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", chain="moonchain"),
        ),
        {"FC_WALLET_LISTED"},
    ),
    "embargo_on_the_email_in_capitals": (GB_WEB, restrict("embargo", account_id=None, email=" GB@Example.com"), {"FC_EMBARGO"}),
    "embargo_on_an_email_that_identity_gave_to_somebody_else": (
        GB_WEB,
        both(
            edit("exchange.accounts", "ac-gb", email="other@example.com"),
            restrict("embargo", account_id=None, email="other@example.com"),
        ),
        {"FC_EMBARGO"},
    ),
    "adverse_media": (GB_WEB, restrict("adverse_media"), {"FC_ADVERSE_MEDIA"}),
    "fincrime_hold": (GB_WEB, restrict("fincrime_hold"), {"FC_RESTRICTED_HOLD"}),
    "restriction_of_a_kind_nobody_knows": (GB_WEB, restrict("court_order_77"), {"FC_RESTRICTED_HOLD"}),
    "aml_band_high": (GB_WEB, kyc(risk_band="high"), {"FC_AML_BAND"}),
    "aml_band_of_another_account": (
        GB_WEB,
        both(second_account(), kyc_of_second_account(risk_band="prohibited")),
        {"FC_AML_BAND"},
    ),
    "aml_band_of_31_days_ago": (
        GB_WEB,
        kyc(risk_scored_at=NOW - 30 * DAY - timedelta(seconds=1)),
        {"FC_AML_BAND_UNKNOWN"},
    ),
    "aml_band_of_the_future": (GB_WEB, kyc(risk_scored_at=NOW + timedelta(seconds=1)), {"FC_AML_BAND_UNKNOWN"}),
    "aml_band_never_scored": (GB_WEB, kyc(risk_band=None), {"FC_AML_BAND_UNKNOWN"}),
    "office_holder_abroad": (GB_WEB, rank_three(kyc(pep="foreign", risk_band="low")), {"FC_PEP_EDD"}),
    "office_holders_wife": (GB_WEB, rank_three(kyc(pep="rca"), due_diligence("refused")), {"FC_PEP_EDD"}),
    "british_office_holder_of_medium_risk": (GB_WEB, rank_three(kyc(pep="domestic")), {"FC_PEP_EDD"}),
    "office_holder_in_another_account": (
        GB_WEB,
        rank_three(second_account(), kyc_of_second_account(pep="international")),
        {"FC_PEP_EDD"},
    ),
    "nobody_asked_about_public_office": (GB_WEB, rank_three(kyc(pep=None)), {"FC_PEP_EDD_UNKNOWN"}),
    "citizen_of_a_country_under_a_call_for_action": (GB_WEB, kyc(nationality="KP"), {"FC_FATF_CFA"}),
    "due_diligence_refused": (GB_WEB, both(kyc(nationality="KP"), due_diligence("refused")), {"FC_FATF_CFA"}),
    "citizen_of_nowhere": (GB_WEB, kyc(nationality=None), {"FC_FATF_CFA_UNKNOWN"}),
    "citizen_of_a_monitored_country_of_tier_one": (
        GB_WEB,
        rank_three(kyc(nationality="VN", tier=1)),
        {"FC_FATF_IM", "KYC_TIER_LOW"},
    ),
    "citizen_of_a_country_that_the_list_came_to_name": (
        GB_WEB,
        both(
            kyc(nationality="PT"),
            policy_text(
                "fatf.yml",
                r'countries: \["IR", "KP", "MM"\]',
                'countries: ["IR", "KP", "MM", "PT"]',
            ),
        ),
        {"FC_FATF_CFA"},
    ),
    "no_list_holds": (
        GB_WEB,
        policy_text("fatf.yml", "to: null", 'to: "2026-11-23T15:00:00Z"'),
        {"FC_FATF_CFA_UNKNOWN"},
    ),
    "accounts_known_yesterday": (
        GB_WEB,
        feed("exchange.accounts", extracted_at=NOW - 25 * HOUR),
        {"FC_FATF_CFA_UNKNOWN"},
    ),
    # verification and age
    "tier_too_low": (GB_WEB, both(product("staking"), edit("compliance.kyc_records", "ky-gb", tier=1)), {"KYC_TIER_LOW"}),
    "verification_rejected": (GB_WEB, edit("compliance.kyc_records", "ky-gb", status="rejected"), {"KYC_TIER_LOW"}),
    "second_open_account_unverified": (
        GB_WEB,
        both(second_account()),
        {"KYC_TIER_LOW", "FC_AML_BAND_UNKNOWN", "FC_FATF_CFA_UNKNOWN"},
    ),
    "kyc_expires_exactly_now": (
        GB_WEB,
        edit("compliance.kyc_records", "ky-gb", expires_at=NOW),
        {"KYC_EXPIRED", "KYC_OUTLIVED"},
    ),
    "kyc_expires_before_the_row_ends": (
        GB_WEB,
        edit("compliance.kyc_records", "ky-gb", expires_at=NOW + 23 * HOUR),
        {"KYC_OUTLIVED"},
    ),
    "kyc_expiry_unknown": (
        GB_WEB,
        edit("compliance.kyc_records", "ky-gb", expires_at=None),
        {"KYC_EXPIRED_UNKNOWN", "KYC_OUTLIVED_UNKNOWN"},
    ),
    "two_birth_dates": (
        GB_WEB,
        both(second_account(), kyc_of_second_account(birth_date=date(1984, 1, 1))),
        {"ID_KYC_CONFLICT"},
    ),
    "seventeen": (
        GB_WEB,
        both(
            edit("compliance.kyc_records", "ky-gb", birth_date=date(2008, 11, 24)),
            edit("exchange.accounts", "ac-gb", birth_date=None),
        ),
        {"AGE_UNDER_18"},
    ),
    "the_youngest_birth_date_counts": (
        GB_WEB,
        edit("exchange.accounts", "ac-gb", birth_date=date(2010, 1, 1)),
        {"AGE_UNDER_18"},
    ),
    "birth_date_a_placeholder": (
        GB_WEB,
        both(
            edit("compliance.kyc_records", "ky-gb", birth_date=date(1970, 1, 1)),
            edit("exchange.accounts", "ac-gb", birth_date=date(1900, 1, 1)),
        ),
        {"AGE_UNDER_18_UNKNOWN"},
    ),
    "nobody_alive_is_that_old": (
        GB_WEB,
        both(
            edit("compliance.kyc_records", "ky-gb", birth_date=None),
            edit("exchange.accounts", "ac-gb", birth_date=date(1903, 11, 22)),
        ),
        {"AGE_UNDER_18_UNKNOWN"},
    ),
    "birth_date_unknown": (
        GB_WEB,
        both(edit("compliance.kyc_records", "ky-gb", birth_date=None), edit("exchange.accounts", "ac-gb", birth_date=None)),
        {"AGE_UNDER_18_UNKNOWN"},
    ),
    "minor_signal": (GB_WEB, restrict("minor_signal"), {"AGE_MINOR_SIGNAL"}),
    # jurisdiction
    "country_not_in_the_map": (
        GB_WEB,
        edit("exchange.accounts", "ac-gb", pending_country="BR"),
        {"JUR_CONFLICT", "JUR_UNKNOWN", "JUR_NO_PERMISSION_UNKNOWN"},
    ),
    "phone_number_of_a_country_not_in_the_map": (
        GB_WEB,
        both(
            lambda world: world.phones.append(("+5511987654321", "BR")),
            lambda world: world.identifiers.append(("p-gb", "phone", "+5511987654321")),
        ),
        {"JUR_UNKNOWN", "JUR_NO_PERMISSION_UNKNOWN"},
    ),
    "moving_to_where_the_product_is_not_permitted": (
        GB_WEB,
        both(product("staking"), edit("exchange.accounts", "ac-gb", pending_country="HK")),
        {"JUR_CONFLICT", "JUR_NO_PERMISSION"},
    ),
    "moving_within_the_country": (
        GB_WEB,
        edit("exchange.accounts", "ac-gb", pending_region="GB-SCT"),
        {"JUR_CONFLICT"},
    ),
    "identity_papers_of_another_country": (GB_WEB, kyc(residence_country="DE"), {"JUR_CONFLICT"}),
    "papers_of_another_state": (
        NY_WEB,
        edit("compliance.kyc_records", "ky-ny", residence_region="US-FL"),
        {"JUR_CONFLICT"},
    ),
    "a_number_of_another_country": (GB_WEB, phone_of("DE", "+4915112345678"), {"JUR_CONFLICT"}),
    "not_permitted_for_professionals": (
        GB_WEB,
        both(
            product("nft"),
            edit("compliance.kyc_records", "ky-gb", client_class="professional"),
            edit("compliance.assessments", "spot", product_line="nft"),
        ),
        {"JUR_NO_PERMISSION"},
    ),
    "uk_bonus": (GB_WEB, edit("catalogue.offers", incentive="monetary"), {"UK_INCENTIVE_BAN"}),
    "uk_risk_warning_left_out": (GB_WEB, disclosures("UK_RISK_WARNING"), {"DISC_MISSING_UK_RISK_WARNING"}),
    "uk_risk_summary_left_out": (GB_WEB, disclosures("UK_RISK_SUMMARY"), {"DISC_MISSING_UK_RISK_SUMMARY"}),
    "uk_derivatives": (GB_WEB, product("derivatives"), {"UK_DERIVATIVES_BAN", "JUR_NO_PERMISSION"}),
    "new_york_legend_left_out": (NY_WEB, disclosures("NY_LICENCE_LEGEND"), {"DISC_MISSING_NY_LICENCE_LEGEND"}),
    "legend_left_out_where_nobody_knows_who_must_see_it": (
        GB_WEB,
        both(edit("exchange.accounts", "ac-gb", pending_country="BR"), disclosures("NY_LICENCE_LEGEND", "UK_RISK_WARNING")),
        {
            "JUR_CONFLICT",
            "JUR_UNKNOWN",
            "JUR_NO_PERMISSION_UNKNOWN",
            "DISC_MISSING_NY_LICENCE_LEGEND",
            "DISC_MISSING_UK_RISK_WARNING",
        },
    ),
    "german_derivatives_with_a_present": (
        GB_WEB,
        both(lives_in("DE"), product("derivatives"), edit("catalogue.offers", incentive="nonmonetary")),
        {"EU_CFD_INCENTIVE"},
    ),
    "german_derivatives_without_the_warning": (
        GB_WEB,
        both(lives_in("DE"), product("derivatives"), disclosures("CFD_RISK_WARNING")),
        {"DISC_MISSING_CFD_RISK_WARNING"},
    ),
    "german_derivatives_test_failed": (
        GB_WEB,
        both(lives_in("DE"), product("derivatives"), edit("compliance.assessments", "as-gb-derivatives", result="failed")),
        {"EU_CFD_APPROPRIATENESS", "SUI_APPROPRIATENESS"},
    ),
    "singapore_public_advertisement": (
        GB_WEB,
        both(
            lives_in("SG"),
            policy_text("channels.yml", "channel: web,     rule_channel: inapp", "channel: web, rule_channel: public_ad"),
        ),
        {"SG_PUBLIC_PROMO"},
    ),
    "singapore_fee_discount": (
        GB_WEB,
        both(lives_in("SG"), edit("catalogue.offers", incentive="fee_discount")),
        {"SG_INCENTIVE_BAN"},
    ),
    "singapore_staking": (GB_WEB, both(lives_in("SG"), product("staking")), {"SG_LEND_STAKE", "JUR_NO_PERMISSION"}),
    "singapore_warning_left_out": (
        GB_WEB,
        both(lives_in("SG"), disclosures("SG_RISK_WARNING")),
        {"DISC_MISSING_SG_RISK_WARNING"},
    ),
    "hong_kong_gift": (GB_WEB, both(lives_in("HK"), edit("catalogue.offers", incentive="referral")), {"HK_GIFT_BAN"}),
    "hong_kong_derivatives_to_retail": (
        GB_WEB,
        both(lives_in("HK"), product("derivatives")),
        {"HK_PI_ONLY", "JUR_NO_PERMISSION"},
    ),
    "indian_advertisement_that_speaks_of_a_currency": (
        GB_WEB,
        both(lives_in("IN"), edit("catalogue.creatives", "cr-web", pressure_flags=["word_currency"])),
        {"IN_BANNED_TERMS"},
    ),
    "indian_disclaimer_left_out": (
        GB_WEB,
        both(lives_in("IN"), disclosures("ASCI_DISCLAIMER")),
        {"DISC_MISSING_ASCI_DISCLAIMER"},
    ),
    "dubai_disclaimer_left_out": (
        GB_WEB,
        both(lives_in("AE", "AE-DU"), disclosures("VARA_DISCLAIMER")),
        {"DISC_MISSING_VARA_DISCLAIMER"},
    ),
    "dubai_label_left_out": (
        GB_WEB,
        both(lives_in("AE", "AE-DU"), disclosures("VARA_AD_LABEL")),
        {"DISC_MISSING_VARA_AD_LABEL"},
    ),
    "no_written_consent_to_us_texts": (
        NY_SMS,
        edit("crm.consents", "ny-telemarketing", status="denied"),
        {"US_TCPA_NO_CONSENT"},
    ),
    "us_text_to_somebody_on_a_do_not_contact_list": (
        NY_SMS,
        restrict("do_not_contact", account_id="ac-ny"),
        {"US_DNC", "PRV_OBJECTED"},
    ),
    "us_text_while_nobody_knows_the_lists": (
        NY_SMS,
        feed("compliance.restrictions", extracted_at=NOW - 2 * HOUR),
        unknown(STALE_1H | {"US_DNC"}),
    ),
    "shared_with_others_without_consent": (
        NY_WEB,
        shared_with_others(consent("third_party", "denied", contact_id="co-ny", recorded_at=NOW - HOUR)),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "shared_with_others_long_after_a_browser_signal": (
        NY_WEB,
        shared_with_others(consent("gpc", "granted", contact_id="co-ny", recorded_at=NOW - 900 * DAY)),
        {"US_GPC_OPTOUT"},
    ),
    "shared_with_others_although_sale_was_denied_once": (
        NY_WEB,
        shared_with_others(
            consent("sale_or_share", "denied", contact_id=None, email="NY@example.com", recorded_at=NOW - 90 * DAY),
            consent("sale_or_share", "granted", contact_id=None, email="ny@example.com"),
        ),
        {"US_GPC_OPTOUT"},
    ),
    "shared_with_others_after_a_glba_opt_out": (
        NY_WEB,
        shared_with_others(consent("glba", "denied", contact_id="co-ny")),
        {"US_GLBA_OPTOUT"},
    ),
    "shared_with_others_while_consents_are_two_hours_old": (
        NY_WEB,
        shared_with_others(feed("crm.consents", extracted_at=NOW - 2 * HOUR)),
        unknown({"US_GPC_OPTOUT", "US_GLBA_OPTOUT", "PRV_NO_CHANNEL_CONSENT", "PRV_OBJECTED"}),
    ),
    "hawked_in_australia": (GB_WEB, spoken_about_in_australia(), {"AU_HAWKING"}),
    "hawked_in_australia_after_a_withdrawal": (
        GB_WEB,
        spoken_about_in_australia(
            consent("marketing", "granted", channel="chat", recorded_at=NOW - 9 * DAY),
            consent("marketing", "withdrawn", channel="chat"),
        ),
        {"AU_HAWKING", "ENG_CHAT_REFUSED"},
    ),
    "us_text_at_seven_in_the_morning": (
        NY_SMS,
        row(send_after=NOW + 21 * HOUR, send_before=NOW + 23 * HOUR),
        {"US_QUIET_HOURS", "BRD_QUIET_HOURS"},
    ),
    # privacy
    "sms_consent_withdrawn": (GB_SMS, edit("crm.consents", "gb-marketing-sms", status="withdrawn"), {"PRV_NO_CHANNEL_CONSENT"}),
    "withdrawal_for_all_channels_counts_for_each": (
        GB_PUSH,
        lambda world: world.add(
            "crm.consents",
            consent_id="w",
            contact_id="co-gb",
            channel=None,
            purpose="marketing",
            status="withdrawn",
            recorded_at=NOW - HOUR,
        ),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "withdrawn_by_email_alone": (
        GB_SMS,
        lambda world: world.add(
            "crm.consents",
            consent_id="w",
            email="GB@example.com ",
            channel="sms",
            purpose="marketing",
            status="withdrawn",
            recorded_at=NOW - HOUR,
        ),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "withdrawn_by_an_address_that_identity_dropped_because_others_share_it": (
        GB_SMS,
        both(
            lambda world: world.identifiers.remove(("p-gb", "email", "gb@example.com")),
            lambda world: world.add(
                "crm.consents",
                consent_id="w",
                email="gb@example.com",
                channel="sms",
                purpose="marketing",
                status="withdrawn",
                recorded_at=NOW - HOUR,
            ),
        ),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "granted_only_by_an_address_that_identity_dropped": (
        GB_PUSH,
        both(
            lambda world: world.identifiers.remove(("p-gb", "email", "gb@example.com")),
            lambda world: world.tables.update(
                {"crm.consents": [row for row in world.tables["crm.consents"] if row["consent_id"] != "gb-marketing-push"]}
            ),
            lambda world: world.add(
                "crm.consents",
                consent_id="g",
                email="gb@example.com",
                channel="push",
                purpose="marketing",
                status="granted",
                recorded_at=NOW - HOUR,
            ),
        ),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "no_push_consent_at_all": (
        GB_PUSH,
        lambda world: world.tables.update(
            {"crm.consents": [row for row in world.tables["crm.consents"] if row["consent_id"] != "gb-marketing-push"]}
        ),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "consent_known_two_hours_ago": (
        GB_SMS,
        feed("crm.consents", extracted_at=NOW - 2 * HOUR),
        {"PRV_NO_CHANNEL_CONSENT_UNKNOWN", "PRV_OBJECTED_UNKNOWN"},
    ),
    "us_said_no_to_marketing_by_email": (
        NY_EMAIL,
        consent("marketing", "denied", channel="email", contact_id="co-ny"),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "said_no_to_marketing_by_chat": (
        GB_WEB,
        both(shown_as("chatbot"), consent("marketing", "withdrawn", channel="chat")),
        {"ENG_CHAT_REFUSED"},
    ),
    "uk_unsubscribed": (GB_EMAIL, message(unsubscribed_at=NOW - DAY, sent_at=NOW - 20 * DAY), {"PRV_NO_CHANNEL_CONSENT"}),
    "us_unsubscribed": (
        NY_EMAIL,
        message(contact_id="co-ny", unsubscribed_at=NOW - DAY, sent_at=NOW - 20 * DAY),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "unsubscribed_in_one_of_two_versions_that_came_together": (
        GB_EMAIL,
        both(message(sent_at=NOW - 20 * DAY), message(sent_at=NOW - 20 * DAY, unsubscribed_at=NOW - DAY)),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    "objection": (GB_WEB, restrict("objection"), {"PRV_OBJECTED"}),
    "do_not_contact": (GB_WEB, restrict("do_not_contact"), {"PRV_OBJECTED"}),
    "profiling_objection": (GB_WEB, restrict("profiling_objection"), {"PRV_OBJECTED"}),
    "profiling_consent_denied": (
        GB_WEB,
        lambda world: world.add(
            "crm.consents", consent_id="p", account_id="ac-gb", purpose="profiling", status="denied", recorded_at=NOW - DAY
        ),
        {"PRV_OBJECTED"},
    ),
    "personalisation_off": (
        GB_WEB,
        lambda world: world.add(
            "crm.preferences", preference_id="p", contact_id="co-gb", personalisation_off=True, recorded_at=NOW - DAY
        ),
        {"PRV_OBJECTED"},
    ),
    "erasure": (GB_WEB, restrict("erasure"), {"PRV_ERASURE"}),
    # protection
    "vulnerable": (GB_WEB, restrict("vulnerable"), {"VUL_FLAG"}),
    "harm_signal": (GB_WEB, restrict("harm_signal"), {"VUL_HARM_SIGNAL"}),
    "self_excluded": (GB_WEB, restrict("self_exclusion"), {"VUL_SELF_EXCLUDED"}),
    "conservative": (GB_WEB, edit("compliance.assessments", "as-gb-profile", result="conservative"), {"SUI_PROFILE"}),
    "profile_expired": (GB_WEB, edit("compliance.assessments", "as-gb-profile", expires_at=NOW), {"SUI_PROFILE"}),
    "prospect": (GB_WEB, lambda world: world.stages.update({"p-gb": "prospect"}), {"SUI_STAGE"}),
    "stage_unknown": (GB_WEB, lambda world: world.stages.pop("p-gb"), {"SUI_STAGE_UNKNOWN"}),
    "appropriateness_failed": (GB_WEB, edit("compliance.assessments", "as-gb-spot", result="failed"), {"SUI_APPROPRIATENESS"}),
    "appropriateness_of_last_year": (
        GB_WEB,
        edit("compliance.assessments", "as-gb-spot", taken_at=NOW - 366 * DAY),
        {"SUI_APPROPRIATENESS"},
    ),
    # brand
    "promoted_an_hour_ago": (GB_EMAIL, message(sent_at=NOW - HOUR), {"BRD_FREQ_CAP"}),
    "promoted_three_times_this_week": (GB_EMAIL, contacted(3), {"BRD_FREQ_CAP"}),
    "yesterdays_decision_not_yet_seen_as_message": (GB_EMAIL, past_decision(), {"BRD_FREQ_CAP"}),
    "high_risk_that_nobody_reviewed": (
        GB_WEB,
        both(product("nft", is_reviewed=False), edit("compliance.assessments", "as-gb-spot", product_line="nft")),
        {"REV_NOT_REVIEWED"},
    ),
    "high_risk_after_high_risk_four_weeks_before": (GB_WEB, nft(promoted_before()), {"BRD_HIGHRISK_CAP"}),
    "high_risk_after_an_offer_nobody_knows": (
        GB_WEB,
        nft(message(offer_id="gone", sent_at=NOW - 29 * DAY)),
        {"BRD_HIGHRISK_CAP"},
    ),
    "high_risk_after_a_decision_that_no_message_reports": (
        GB_WEB,
        nft(promoted_before(sent_at=NOW - 60 * DAY), past_decision(offer_id="offer-before", send_after=NOW - 20 * DAY)),
        {"BRD_HIGHRISK_CAP"},
    ),
    "high_risk_while_messages_were_never_whole": (
        GB_WEB,
        nft(feed("crm.messages", is_complete=False)),
        {"BRD_HIGHRISK_CAP_UNKNOWN"},
    ),
    "three_dismissals_and_not_demoted": (
        GB_WEB,
        both(turned_down(2), turned_down(1, "offer_not_relevant"), demoted_by(2999)),
        {"BRD_NOT_DEMOTED"},
    ),
    "dismissed_in_a_browser_of_theirs_and_not_demoted": (
        GB_WEB,
        both(
            lambda world: world.identifiers.append(("p-gb", "anonymous_id", "an-gb")),
            turned_down(3, account_id=None, anonymous_id="an-gb"),
        ),
        {"BRD_NOT_DEMOTED"},
    ),
    "bad_answers_of_each_kind_and_not_demoted": (
        GB_WEB,
        both(answered("csat", 2), answered("relevance", 1), answered("intrusiveness", 4), demoted_by(2400)),
        {"BRD_NOT_DEMOTED"},
    ),
    "bad_answer_from_an_address_they_gave_and_not_demoted": (
        GB_WEB,
        both(
            lambda world: world.identifiers.remove(("p-gb", "email", "gb@example.com")),
            answered("csat", 1, account_id=None, email=" GB@example.com"),
        ),
        {"BRD_NOT_DEMOTED"},
    ),
    "dismissals_unknown_and_not_demoted": (
        GB_WEB,
        feed("events.events", extracted_at=NOW - 25 * HOUR),
        {"BRD_NOT_DEMOTED"},
    ),
    "answers_unknown_and_not_demoted": (GB_WEB, feed("surveys.responses", is_complete=False), {"BRD_NOT_DEMOTED"}),
    "sent_at_ten_in_the_evening": (GB_PUSH, row(send_after=NOW + 6 * HOUR, send_before=NOW + 7 * HOUR), {"BRD_QUIET_HOURS"}),
    "window_reaches_past_the_last_hour": (
        GB_PUSH,
        row(send_before=NOW + 5 * HOUR + timedelta(minutes=51)),
        {"BRD_QUIET_HOURS"},
    ),
    "permitted_at_home_but_not_in_the_other_zone": (
        GB_PUSH,
        both(second_account(time_zone="Asia/Singapore"), kyc_of_second_account()),
        {"BRD_QUIET_HOURS"},
    ),
    "time_zone_unknown": (GB_PUSH, edit("exchange.accounts", "ac-gb", time_zone="Mars/Base"), {"BRD_QUIET_HOURS_UNKNOWN"}),
    "no_send_window": (GB_PUSH, row(send_after=None, send_before=None), {"BRD_QUIET_HOURS"}),
    "two_pushed_promotions": (GB_PUSH, lambda world: world.offer("gb", "email"), {"BRD_JOINT_PUSH_CAP"}),
    "two_offers_of_a_product_line_in_two_channels": (GB_WEB, another_spot_offer("gb", "email"), {"ARB_ONE_OFFER_PER_LINE"}),
    "promotions_without_education": (GB_WEB, learns_first, {"ARB_EDUCATION_RATIO"}),
    "more_people_than_places": (
        GB_WEB,
        both(offer(total_cap=1), lambda world: world.offer("ny")),
        {"ARB_TOTAL_CAP"},
    ),
    "the_places_went_to_earlier_runs": (
        GB_WEB,
        both(offer(total_cap=1), past_decision(person_id="p-other")),
        {"ARB_TOTAL_CAP"},
    ),
    "no_places_at_all": (GB_WEB, offer(total_cap=0), {"ARB_TOTAL_CAP"}),
    "countdown": (GB_WEB, edit("catalogue.creatives", "cr-web", pressure_flags=["countdown"]), {"BRD_MANIPULATIVE"}),
    # what an offer is, and where
    "no_route_of_the_promotion": (GB_WEB, edit("catalogue.approvals", "ap-uk_route", kind="legal"), {"UK_NO_S21_ROUTE"}),
    "a_route_nobody_knows": (GB_WEB, edit("catalogue.approvals", "ap-uk_route", evidence="handshake:1"), {"UK_NO_S21_ROUTE"}),
    "direct_offer_without_appropriateness": (
        GB_WEB,
        direct(edit("compliance.assessments", "as-gb-spot", result="failed")),
        {"UK_APPROPRIATENESS", "SUI_APPROPRIATENESS"},
    ),
    "direct_offer_23_hours_after_it_was_asked_for": (
        GB_WEB,
        direct(assessed("direct_offer_request", taken_at=NOW - 24 * HOUR + timedelta(seconds=1))),
        {"UK_COOLING_OFF", "UK_COOLING_OFF_NOT_RECONFIRMED"},
    ),
    "direct_offer_nobody_asked_for": (
        GB_WEB,
        direct(unassessed("direct_offer_request")),
        {"UK_COOLING_OFF_UNKNOWN", "UK_COOLING_OFF_NOT_RECONFIRMED"},
    ),
    "direct_offer_confirmed_before_the_cooling_off_ended": (
        GB_WEB,
        direct(assessed("direct_offer_reconfirmed", taken_at=NOW - 24 * HOUR - timedelta(seconds=1))),
        {"UK_COOLING_OFF_NOT_RECONFIRMED"},
    ),
    "direct_offer_confirmed_in_the_future": (
        GB_WEB,
        direct(assessed("direct_offer_reconfirmed", taken_at=NOW + timedelta(seconds=1))),
        {"UK_COOLING_OFF_NOT_RECONFIRMED"},
    ),
    "direct_offer_after_somebody_said_no_thanks": (
        GB_WEB,
        direct(assessed("direct_offer_reconfirmed", result="declined")),
        {"UK_COOLING_OFF_NOT_RECONFIRMED"},
    ),
    "direct_offer_to_somebody_who_said_a_year_ago_what_they_are": (
        GB_WEB,
        direct(assessed("uk_category", taken_at=datetime(2025, 11, 23, 15))),  # noqa: DTZ001  naive UTC
        {"UK_NOT_CATEGORISED"},
    ),
    "direct_offer_to_somebody_of_a_category_that_is_none": (
        GB_WEB,
        direct(assessed("uk_category", result="lucky")),
        {"UK_NOT_CATEGORISED"},
    ),
    "direct_offer_to_somebody_whose_accounts_differ": (
        GB_WEB,
        direct(second_assessment("uk_category", "restricted")),
        {"UK_NOT_CATEGORISED_UNKNOWN"},
    ),
    "direct_offer_to_somebody_never_categorised": (GB_WEB, direct(unassessed("uk_category")), {"UK_NOT_CATEGORISED"}),
    "direct_offer_without_the_warning": (GB_WEB, direct(unassessed("personal_risk_warning")), {"UK_NO_PERSONAL_RISK_WARNING"}),
    "direct_offer_accepted_only_by_a_likely_account": (
        GB_WEB,
        direct(
            lambda world: world.identifiers.append(("p-gb", "account_id", "ac-two")),
            likely("ac-two"),
            accepted(account_id="ac-two"),
            unassessed("personal_risk_warning"),
        ),
        {"UK_NO_PERSONAL_RISK_WARNING"},
    ),
    "direct_offer_while_nobody_knows_of_earlier_ones": (
        GB_WEB,
        direct(
            accepted(),
            unassessed("personal_risk_warning"),
            demoted_by(3000),
            feed("events.events", extracted_at=NOW - 25 * HOUR),
        ),
        {"UK_NO_PERSONAL_RISK_WARNING_UNKNOWN"},
    ),
    "direct_offer_on_assessments_of_yesterday": (
        GB_WEB,
        direct(stale_assessments(25)),
        unknown({"UK_COOLING_OFF", "UK_COOLING_OFF_NOT_RECONFIRMED", "UK_NOT_CATEGORISED", "UK_NO_PERSONAL_RISK_WARNING"}),
    ),
    "transfer_that_the_travel_rule_stops": (GB_WEB, transfer(assessed("travel_rule", result="failed")), {"FC_TRAVEL_RULE"}),
    "transfer_nobody_checked": (GB_WEB, transfer(unassessed("travel_rule")), {"FC_TRAVEL_RULE_UNKNOWN"}),
    "transfer_checked_only_for_a_likely_account": (
        GB_WEB,
        transfer(likely("ac-gb"), demoted_by(2000)),
        {"FC_TRAVEL_RULE_UNKNOWN"},
    ),
    "transfer_stopped_for_a_likely_account": (
        GB_WEB,
        transfer(likely("ac-two"), second_assessment("travel_rule", "failed")),
        {"FC_TRAVEL_RULE"},
    ),
    "outside_the_target_market": (GB_WEB, australian_product(assessed("target_market", result="outside")), {"AU_OUTSIDE_TMD"}),
    "target_market_never_asked": (GB_WEB, australian_product(unassessed("target_market")), {"AU_OUTSIDE_TMD_UNKNOWN"}),
    "knowledge_test_failed_in_hong_kong": (GB_WEB, lives("HK", assessed("knowledge_test", result="failed")), {"HK_KNOWLEDGE"}),
    "knowledge_test_failed_by_another_account": (
        GB_WEB,
        lives("HK", second_assessment("knowledge_test", "failed")),
        {"HK_KNOWLEDGE"},
    ),
    "not_aware_of_risk_in_singapore": (GB_WEB, lives("SG", unassessed("risk_awareness")), {"SG_RISK_AWARENESS"}),
    "awareness_of_risk_expired": (GB_WEB, lives("SG", assessed("risk_awareness", expires_at=NOW)), {"SG_RISK_AWARENESS"}),
    "awareness_of_risk_known_yesterday": (
        GB_WEB,
        lives("SG", stale_assessments(25)),
        {"SG_RISK_AWARENESS_UNKNOWN"},
    ),
    "low_trust_and_not_demoted": (GB_WEB, both(assessed("trust", result="39.99"), demoted_by(1999)), {"BRD_NOT_DEMOTED"}),
    "trust_of_last_month_and_not_demoted": (GB_WEB, assessed("trust", taken_at=NOW - 30 * DAY), {"BRD_NOT_DEMOTED"}),
    "trust_that_is_no_number_and_not_demoted": (GB_WEB, assessed("trust", result="high"), {"BRD_NOT_DEMOTED"}),
    "more_trust_than_there_is_and_not_demoted": (GB_WEB, assessed("trust", result="101"), {"BRD_NOT_DEMOTED"}),
    "little_trust_in_another_account_and_not_demoted": (GB_WEB, second_assessment("trust", "12"), {"BRD_NOT_DEMOTED"}),
    "recommended_to_them_without_suitability": (GB_WEB, offer(is_personal_recommendation=True), {"ADVICE_NO_SUITABILITY"}),
    "significant_and_seen_by_nobody": (GB_WEB, offer(is_significant=True), {"PRV_AUTOMATED_DECISION"}),
    "chosen_by_something_sensitive": (GB_WEB, offer(uses_features=["health_flag"]), {"PRV_SENSITIVE_FEATURE"}),
    "chosen_by_what_nobody_says": (GB_WEB, offer(uses_features=None), {"PRV_SENSITIVE_FEATURE_UNKNOWN"}),
    "mica_label_left_out": (GB_WEB, lives("DE", disclosures("MICA_AD_LABEL")), {"DISC_MISSING_MICA_AD_LABEL"}),
    "no_white_paper": (GB_WEB, lives("DE", edit("catalogue.approvals", "ap-white_paper", kind="legal")), {"EU_NO_WHITEPAPER"}),
    "white_paper_of_another_place": (
        GB_WEB,
        lives("DE", edit("catalogue.approvals", "ap-white_paper", regime="GB")),
        {"EU_NO_WHITEPAPER"},
    ),
    "direct_offer_without_the_statement": (
        GB_WEB,
        lives("DE", offer(is_direct_offer=True)),
        {"DISC_MISSING_MICA_ART7_STATEMENT"},
    ),
    "interest_on_e_money": (
        GB_WEB,
        lives("DE", offer(asset_kind="emt", pays_interest=True)),
        {"EU_STABLECOIN_INTEREST", "EU_EMT_UNAUTHORISED", "DISC_MISSING_MICA_ART53_REDEMPTION"},
    ),
    "asset_referenced_token": (
        GB_WEB,
        lives("DE", offer(asset_kind="art")),
        {"EU_EMT_UNAUTHORISED", "DISC_MISSING_MICA_ART29_REDEMPTION"},
    ),
    "leverage_over_the_cap": (GB_WEB, lives("DE", product("derivatives"), offer(leverage=3)), {"EU_LEVERAGE_CAP"}),
    "incentive_to_trade_cfds": (
        GB_WEB,
        lives("DE", product("derivatives"), offer(incentive="fee_discount")),
        {"EU_CFD_INCENTIVE"},
    ),
    "cfd_warning_left_out": (
        GB_WEB,
        lives("DE", product("derivatives"), disclosures("CFD_RISK_WARNING")),
        {"DISC_MISSING_CFD_RISK_WARNING"},
    ),
    "cfds_without_appropriateness": (
        GB_WEB,
        lives("DE", product("derivatives"), edit("compliance.assessments", "as-gb-derivatives", result="failed")),
        {"EU_CFD_APPROPRIATENESS", "SUI_APPROPRIATENESS"},
    ),
    "derivatives_in_a_crash": (
        GB_WEB,
        lives("DE", product("derivatives"), crash(), demoted_by(9000)),
        {"SUI_VOLATILITY", "OFFER_STALE"},
    ),
    "derivatives_while_nobody_knows_the_market": (
        GB_WEB,
        lives(
            "DE",
            product("derivatives"),
            markets(lambda prices: [bar for bar in prices() if bar["bar_start"] < NOW - 38 * HOUR]),
            demoted_by(9000),
        ),
        {"SUI_VOLATILITY_UNKNOWN", "OFFER_STALE"},
    ),
    "leverage_off_a_venue": (("ny", "web"), offer(leverage=2), {"US_OFF_EXCHANGE_LEVERAGE"}),
    "staking_without_counsel": (("ny", "web"), product("staking"), {"US_YIELD_REVIEW", "JUR_NO_PERMISSION"}),
    "credit_by_bureau_score": (
        ("ny", "web"),
        offer(is_credit=True, uses_features=["bureau_inquiries"]),
        {"US_CONSUMER_REPORT_MARKETING"},
    ),
    "credit_that_no_review_of_fair_lending_passed": (
        NY_WEB,
        both(offer(is_credit=True), edit("catalogue.approvals", "ap-fair_lending", kind="legal")),
        {"US_PROHIBITED_BASIS"},
    ),
    "credit_whose_review_of_fair_lending_ended": (
        NY_WEB,
        both(offer(is_credit=True), edit("catalogue.approvals", "ap-fair_lending", valid_to=NOW)),
        {"US_PROHIBITED_BASIS"},
    ),
    "credit_reviewed_for_another_country": (
        NY_WEB,
        both(offer(is_credit=True), edit("catalogue.approvals", "ap-fair_lending", regime="GB")),
        {"US_PROHIBITED_BASIS"},
    ),
    "price_of_an_algorithm_in_new_york": (NY_WEB, offer(has_personal_price=True), {"DISC_MISSING_NY_ALGO_PRICE"}),
    "price_of_an_algorithm_by_an_entity_exempt_elsewhere": (
        NY_WEB,
        both(offer(has_personal_price=True), exempt(regime="US-TX")),
        {"DISC_MISSING_NY_ALGO_PRICE"},
    ),
    "price_that_nobody_says_who_set": (NY_WEB, offer(has_personal_price=None), {"DISC_MISSING_NY_ALGO_PRICE"}),
    "prizes_in_ontario": (GB_WEB, lives("CA", offer(is_gambling_style=True), region="CA-ON"), {"CA_GAMBLING_STYLE"}),
    "credit_in_ontario": (GB_WEB, lives("CA", offer(is_credit=True), region="CA-ON"), {"CA_LEVERAGE"}),
    "hidden_owners_in_dubai": (GB_WEB, lives("AE", offer(asset_kind="aec"), region="AE-DU"), {"AE_ANONYMITY_COIN"}),
    "no_disclaimer_in_dubai": (
        GB_WEB,
        lives("AE", disclosures("VARA_DISCLAIMER", "VARA_AD_LABEL"), region="AE-DU"),
        {"DISC_MISSING_VARA_DISCLAIMER", "DISC_MISSING_VARA_AD_LABEL"},
    ),
    "currency_in_india": (GB_WEB, lives("IN", say(body="A digital currency.")), {"IN_BANNED_TERMS"}),
    "no_disclaimer_in_india": (GB_WEB, lives("IN", disclosures("ASCI_DISCLAIMER")), {"DISC_MISSING_ASCI_DISCLAIMER"}),
    "gift_in_hong_kong": (GB_WEB, lives("HK", offer(incentive="referral")), {"HK_GIFT_BAN"}),
    "derivatives_to_retail_in_hong_kong": (GB_WEB, lives("HK", product("derivatives")), {"HK_PI_ONLY", "JUR_NO_PERMISSION"}),
    "incentive_in_singapore": (GB_WEB, lives("SG", offer(incentive="fee_discount")), {"SG_INCENTIVE_BAN"}),
    "leverage_in_singapore": (GB_WEB, lives("SG", offer(leverage=2)), {"SG_CREDIT_LEVERAGE"}),
    "staking_in_singapore": (GB_WEB, lives("SG", product("staking")), {"SG_LEND_STAKE", "JUR_NO_PERMISSION"}),
    "no_warning_in_singapore": (GB_WEB, lives("SG", disclosures("SG_RISK_WARNING")), {"DISC_MISSING_SG_RISK_WARNING"}),
    "pressure_nobody_flagged": (GB_WEB, say(title="Last chance: spot"), {"BRD_MANIPULATIVE"}),
    "says_where_the_price_goes": (
        GB_WEB,
        say(body="Bitcoin\u00a0will soon soar."),
        {"BRD_MANIPULATIVE"},
    ),
    "german_promise": (
        GB_WEB,
        say(locale="de-DE", why_template="Garantierte Rendite"),
        {"BRD_MANIPULATIVE"},
    ),
    "letters_of_two_alphabets": (GB_WEB, say(title="Gu\u0430ranteed"), {"BRD_MANIPULATIVE"}),
    "language_nobody_reads": (GB_WEB, say(locale="fr-FR"), {"BRD_NOT_APPROVED"}),
    "hard_to_read": (
        GB_WEB,
        say(body="Notwithstanding " * 12 + "considerations."),
        {"BRD_NOT_APPROVED"},
    ),
    "no_target_market": (GB_WEB, edit("catalogue.offers", "spot1", target_market=None), {"BRD_NOT_APPROVED"}),
    "no_negative_target_market": (GB_WEB, edit("catalogue.offers", "spot1", negative_target_market=" "), {"BRD_NOT_APPROVED"}),
    "no_brand_values": (GB_WEB, edit("catalogue.offers", "spot1", brand_values=[]), {"BRD_NOT_APPROVED"}),
    "not_a_value_of_the_brand": (GB_WEB, edit("catalogue.offers", "spot1", brand_values=["greed"]), {"BRD_NOT_APPROVED"}),
    "brand_never_approved": (GB_WEB, edit("catalogue.approvals", "ap-brand", kind="legal"), {"BRD_NOT_APPROVED"}),
    "approval_ended": (GB_WEB, edit("catalogue.approvals", "ap-brand", valid_to=NOW), {"BRD_NOT_APPROVED"}),
    "approved_for_another_creative": (
        GB_WEB,
        edit("catalogue.approvals", "ap-brand", creative_id="cr-sms"),
        {"BRD_NOT_APPROVED"},
    ),
    "approval_ends_before_the_row": (
        GB_WEB,
        edit("catalogue.approvals", "ap-brand", valid_to=NOW + 23 * HOUR),
        {"BRD_OUTLIVES_APPROVAL"},
    ),
    "why_left_out": (GB_WEB, disclosures("WHY_THIS_OFFER"), {"DISC_MISSING_WHY_THIS_OFFER"}),
    "ad_label_left_out": (GB_WEB, disclosures("AD_LABEL"), {"DISC_MISSING_AD_LABEL"}),
    "opt_out_left_out": (GB_WEB, disclosures("OPT_OUT"), {"DISC_MISSING_OPT_OUT"}),
    # the offer, the pack, the row itself
    "not_started": (GB_WEB, edit("catalogue.offers", starts_at=NOW + timedelta(seconds=1)), {"OFFER_NOT_STARTED"}),
    "ended_this_instant": (GB_WEB, edit("catalogue.offers", ends_at=NOW), {"OFFER_EXPIRED", "OFFER_OUTLIVES_END"}),
    "ends_before_the_row": (GB_WEB, edit("catalogue.offers", ends_at=NOW + 23 * HOUR), {"OFFER_OUTLIVES_END"}),
    "ends_at_midnight_of_the_persons_zone": (
        GB_WEB,
        both(edit("catalogue.offers", ends_local="2026-11-24 24:00"), row(valid_until=NOW + 36 * HOUR)),
        {"OFFER_OUTLIVES_END"},
    ),
    "product_nobody_knows": (
        GB_WEB,
        product("lottery"),
        {
            "ENG_UNKNOWN_PRODUCT",
            "REV_NOT_REVIEWED_UNKNOWN",
            "OFFER_STALE_UNKNOWN",
            "JUR_NO_PERMISSION",
            "KYC_TIER_LOW_UNKNOWN",
            "SUI_PROFILE_UNKNOWN",
            "SUI_STAGE_UNKNOWN",
            "SUI_APPROPRIATENESS_UNKNOWN",
            "SUI_VOLATILITY_UNKNOWN",
        },
    ),
    "pack_ended": (
        GB_WEB,
        policy_text("pack.yaml", 'valid_to: "[^"]*"', 'valid_to: "2026-11-23T15:00:00Z"'),
        {"PACK_OUT_OF_DATE"},
    ),
    "older_version": (
        GB_WEB,
        lambda world: world.add("catalogue.offers", **{**world.tables["catalogue.offers"][0], "version": 2}),
        {"ROW_UNKNOWN_OFFER"},
    ),
    "creative_of_another_channel": (GB_WEB, row(creative_id="cr-email"), {"ROW_CREATIVE_MISMATCH"}),
    "body_changed": (GB_WEB, row(body="Trade spot now."), {"ROW_TEXT_CHANGED"}),
    "reason_that_nobody_approved": (GB_WEB, row(reason_text="Because of your risk review."), {"ROW_REASON_NOT_PERMITTED"}),
    "reason_past_the_budget": (
        GB_WEB,
        row(
            reason_text="You see this because you have used products like this and you looked at products like this in the last 30 days."
        ),
        {"ROW_REASON_NOT_PERMITTED"},
    ),
    "reason_of_a_use_that_never_was": (GB_WEB, row(reason_text=USED), {"ROW_REASON_UNTRUE"}),
    "reason_of_the_use_of_another_line": (
        GB_WEB,
        both(traded(product_line="staking"), row(reason_text=USED)),
        {"ROW_REASON_UNTRUE"},
    ),
    "reason_of_somebody_elses_use": (GB_WEB, both(traded(account_id="ac-ny"), row(reason_text=USED)), {"ROW_REASON_UNTRUE"}),
    "reason_of_a_use_that_is_to_come": (
        GB_WEB,
        both(traded(traded_at=NOW + SECOND), row(reason_text=USED)),
        {"ROW_REASON_UNTRUE"},
    ),
    "reason_of_two_drivers_one_of_them_untrue": (
        GB_WEB,
        both(
            traded(),
            row(
                reason_text="You see this because you looked around our products in the last 30 days and you have used products like this."
            ),
        ),
        {"ROW_REASON_UNTRUE"},
    ),
    "reason_of_a_view_a_month_ago": (
        GB_WEB,
        both(did("product_view", occurred_at=NOW - 31 * DAY, properties='{"product_line": "spot"}'), row(reason_text=LOOKED)),
        {"ROW_REASON_UNTRUE"},
    ),
    "reason_of_a_view_of_another_line": (
        GB_WEB,
        both(did("product_view", properties='{"product_line": "nft"}'), row(reason_text=LOOKED)),
        {"ROW_REASON_UNTRUE"},
    ),
    "reason_of_a_message_that_nobody_opened": (
        GB_WEB,
        both(
            message(sent_at=NOW - 3 * DAY), row(reason_text="You see this because you opened our messages in the last 30 days.")
        ),
        {"ROW_REASON_UNTRUE"},
    ),
    "offer_refused_four_weeks_ago": (GB_WEB, turned_down(1, offer_id="spot1", occurred_at=NOW - 29 * DAY), {"ARB_COOL_DOWN"}),
    "offer_called_not_relevant_by_a_device": (
        GB_WEB,
        both(
            lambda world: world.identifiers.append(("p-gb", "device_id", "de-gb")),
            turned_down(1, "offer_not_relevant", offer_id="spot1", account_id=None, device_id="de-gb"),
        ),
        {"ARB_COOL_DOWN"},
    ),
    "another_offer_of_the_line_refused_this_week": (GB_WEB, refused_other(occurred_at=NOW - 6 * DAY), {"ARB_COOL_DOWN"}),
    "lesson_refused_this_week": (GB_WEB, lesson(turned_down(1, offer_id="spot1")), {"ARB_COOL_DOWN"}),
    "reason_in_another_language": (
        GB_WEB,
        row(reason_text="Sie sehen dies, weil Sie Produkte wie dieses schon genutzt haben."),
        {"ROW_REASON_NOT_PERMITTED"},
    ),
    "disclosure_trimmed": (GB_WEB, row(disclosures='["AD_LABEL"]'), {"ROW_TEXT_CHANGED"}),
    "drawn_to_get_no_promotions": (GB_WEB, withheld(), {"ENG_STANDING_WITHHOLD"}),
    "drawn_last_quarter_until_later": (GB_WEB, withheld("2026-Q3", NOW - DAY, NOW + SECOND), {"ENG_STANDING_WITHHOLD"}),
    "drawn_to_get_none_from_this_instant": (GB_WEB, withheld("2026-Q4", NOW, NOW + 90 * DAY), {"ENG_STANDING_WITHHOLD"}),
    "account_for_testing": (GB_WEB, edit("exchange.accounts", "ac-gb", is_test=True), {"ENG_TEST_PERSON"}),
    "address_of_a_tester": (GB_WEB, edit("exchange.accounts", "ac-gb", email="someone@example.TEST "), {"ENG_TEST_PERSON"}),
    "address_of_a_tester_in_the_crm": (
        GB_WEB,
        lambda world: world.add("crm.contacts", contact_id="co-gb", email="someone@shop.invalid", source_updated_at=NOW - DAY),
        {"ENG_TEST_PERSON"},
    ),
    "drawn_as_held_out": (GB_WEB, arm("held_out"), {"ROW_HELD_OUT"}),
    "merged_with_somebody_held_out": (GB_WEB, arm("treated", "held_out"), {"ROW_HELD_OUT"}),
    "never_drawn": (GB_WEB, arm(), {"ROW_HELD_OUT"}),
    "of_another_run": (GB_WEB, row(run_id="r0000000000000000"), {"ROW_OTHER_RUN"}),
    "high_risk_that_lives_longer_than_its_class": (GB_WEB, nft(row(valid_until=NOW + 30 * HOUR + SECOND)), {"OFFER_STALE"}),
    "plain_promotion_that_lives_longer_than_any": (GB_WEB, row(valid_until=NOW + 36 * HOUR + SECOND), {"OFFER_STALE"}),
    "promotion_as_of_a_calm_day_in_a_crash": (
        GB_WEB,
        both(crash(), demoted_by(9000), row(valid_until=NOW + 12 * HOUR + SECOND)),
        {"OFFER_STALE"},
    ),
    "lesson_that_lives_longer_than_a_lesson_may": (GB_WEB, lesson(row(valid_until=NOW + 36 * HOUR + SECOND)), {"OFFER_STALE"}),
    "harm_known_half_a_day_ago_in_calm": (
        GB_WEB,
        feed("compliance.restrictions", extracted_at=NOW - 13 * HOUR),
        unknown(STALE_1H),
    ),
    "harm_known_half_a_day_ago_in_a_crash": (
        GB_WEB,
        both(
            crash(),
            demoted_by(9000),
            row(valid_until=NOW + 12 * HOUR),
            feed("compliance.restrictions", extracted_at=NOW - 13 * HOUR),
        ),
        unknown(STALE_1H) | {"VUL_FLAG_UNKNOWN", "VUL_HARM_SIGNAL_UNKNOWN"},
    ),
    "window_after_the_rows_end": (GB_PUSH, row(valid_until=NOW + 2 * HOUR), {"WINDOW_OUTSIDE_VALIDITY"}),
    # over a weak link
    "granted_by_somebody_who_is_only_likely_the_same": (GB_EMAIL, likely("co-gb"), {"PRV_NO_CHANNEL_CONSENT"}),
    "withdrawn_by_somebody_who_is_only_likely_the_same": (
        GB_EMAIL,
        both(likely("co-gb"), consent_of_account(), edit("crm.consents", "gb-marketing-email", status="withdrawn")),
        {"PRV_NO_CHANNEL_CONSENT"},
    ),
    # feeds too old, or never whole
    "restrictions_known_two_hours_ago": (
        GB_WEB,
        feed("compliance.restrictions", extracted_at=NOW - 2 * HOUR),
        unknown(STALE_1H),
    ),
    "restrictions_known_yesterday": (
        GB_WEB,
        feed("compliance.restrictions", extracted_at=NOW - 25 * HOUR),
        unknown(STALE_24H | STALE_1H),
    ),
    "restrictions_never_whole": (GB_WEB, feed("compliance.restrictions", is_complete=False), unknown(STALE_24H | STALE_1H)),
    "messages_never_whole": (
        GB_EMAIL,
        feed("crm.messages", is_complete=False),
        {"PRV_NO_CHANNEL_CONSENT_UNKNOWN", "BRD_FREQ_CAP_UNKNOWN"},
    ),
    "screening_hits_never_whole": (
        GB_WEB,
        feed("compliance.screening_hits", is_complete=False),
        UNSCREENED | {"FC_WALLET_LISTED_UNKNOWN"},
    ),
    "accounts_known_31_days_ago": (
        GB_WEB,
        feed("exchange.accounts", extracted_at=NOW - 31 * DAY),
        {"JUR_CONFLICT_UNKNOWN", "FC_FATF_CFA_UNKNOWN", "JUR_UNKNOWN", "JUR_NO_PERMISSION_UNKNOWN"},
    ),
}


HARMLESS = {
    "drawn_last_quarter": (GB_WEB, withheld("2026-Q3")),
    "drawn_last_quarter_until_now": (GB_WEB, withheld("2026-Q3", NOW - 90 * DAY, NOW)),
    "drawn_to_get_none_from_a_later_instant": (GB_WEB, withheld("2026-Q4", NOW + SECOND, NOW + 90 * DAY)),
    "education_for_whom_the_draw_leaves_without_promotions": (
        GB_WEB,
        both(
            product("education"),
            edit("catalogue.offers", is_promotion=False),
            withheld(),
        ),
    ),
    "reason_of_two_drivers": (
        GB_WEB,
        both(
            did("product_view"),
            traded(),
            row(
                reason_text="You see this because you looked around our products in the last 30 days and you have used products like this."
            ),
        ),
    ),
    "reason_of_a_view_of_the_line": (
        GB_WEB,
        both(did("product_view", properties='{"product_line": "spot"}'), row(reason_text=LOOKED)),
    ),
    "reason_of_a_view_of_an_asset_of_the_line": (GB_WEB, both(did("product_view", asset="BTC"), row(reason_text=LOOKED))),
    "reason_of_lessons_and_of_visits": (
        GB_WEB,
        both(
            did("lesson_started", occurred_at=NOW - 80 * DAY),
            did("page_view", session_id="s1"),
            row(
                reason_text="You see this because you took lessons in the last 90 days and you visited us in the last 30 days."
            ),
        ),
    ),
    "reason_of_a_message_opened": (
        GB_WEB,
        both(
            message(sent_at=NOW - 8 * DAY, opened_at=NOW - 7 * DAY),
            row(reason_text="You see this because you opened our messages in the last 30 days."),
        ),
    ),
    "offer_refused_a_month_ago": (GB_WEB, turned_down(1, offer_id="spot1", occurred_at=NOW - 30 * DAY)),
    "another_offer_of_the_line_refused_last_week": (GB_WEB, refused_other(occurred_at=NOW - 7 * DAY)),
    "another_line_refused_today": (GB_WEB, refused_other("staking")),
    "offer_refused_by_somebody_else": (GB_WEB, turned_down(1, offer_id="spot1", account_id="ac-ny")),
    "granted_by_the_account_beside_a_likely_contact": (
        GB_EMAIL,
        both(likely("co-gb"), consent_of_account(), edit("crm.consents", "gb-marketing-email", purpose="third_party")),
    ),
    "oldest_of_all": (
        GB_WEB,
        both(
            edit("compliance.kyc_records", "ky-gb", birth_date=None),
            edit("exchange.accounts", "ac-gb", birth_date=date(1903, 11, 23)),
        ),
    ),
    "listed_wallet_that_was_unlinked": (
        GB_WEB,
        both(
            claim("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", unlinked_at=NOW),
            hit("confirmed", "sr-wallets", wallet_address="0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", chain="ethereum"),
        ),
    ),
    "same_letters_listed_on_another_chain": (
        GB_WEB,
        both(
            claim("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "btc"),
            hit("confirmed", "sr-wallets", wallet_address="1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", chain="litecoin"),
        ),
    ),
    "testy_people_are_no_tests": (GB_WEB, edit("exchange.accounts", "ac-gb", email="testa.rossa@example.com")),
    "german_present_with_spot": (
        GB_WEB,
        both(lives_in("DE"), edit("catalogue.offers", incentive="nonmonetary")),
    ),
    "hong_kong_fee_discount": (GB_WEB, both(lives_in("HK"), edit("catalogue.offers", incentive="fee_discount"))),
    "hong_kong_derivatives_to_professionals": (GB_WEB, both(lives_in("HK"), product("derivatives"), professional())),
    "no_legend_for_people_elsewhere": (
        GB_WEB,
        disclosures(
            "NY_LICENCE_LEGEND", "CFD_RISK_WARNING", "SG_RISK_WARNING", "ASCI_DISCLAIMER", "VARA_DISCLAIMER", "VARA_AD_LABEL"
        ),
    ),
    "no_indian_words_elsewhere": (GB_WEB, edit("catalogue.creatives", "cr-web", pressure_flags=["word_currency"])),
    "shared_with_others_who_agreed": (NY_WEB, shared_with_others(consent("sale_or_share", "granted", contact_id="co-ny"))),
    "shared_again_after_a_glba_opt_out_was_taken_back": (
        NY_WEB,
        shared_with_others(
            consent("glba", "denied", contact_id="co-ny", recorded_at=NOW - 9 * DAY),
            consent("glba", "granted", contact_id="co-ny"),
        ),
    ),
    "spoken_to_in_australia_by_consent": (GB_WEB, spoken_about_in_australia(consent("marketing", "granted", channel="chat"))),
    "spoken_to_in_australia_by_consent_to_everything": (GB_WEB, spoken_about_in_australia(consent("marketing", "granted"))),
    "direct_offer_to_somebody_who_accepted_one_before": (
        GB_WEB,
        direct(
            accepted(),
            *(unassessed(kind) for kind in ("direct_offer_request", "direct_offer_reconfirmed", "personal_risk_warning")),
        ),
    ),
    "direct_offer_a_day_after_it_was_asked_for": (GB_WEB, direct()),
    "category_said_again_since": (
        GB_WEB,
        direct(
            assessed("uk_category", taken_at=NOW - 400 * DAY),
            lambda world: world.add(
                "compliance.assessments",
                assessment_id="as-gb-again",
                account_id="ac-gb",
                kind="uk_category",
                result="restricted",
                taken_at=NOW - DAY,
            ),
        ),
    ),
    "transfer_of_somebody_ready": (GB_WEB, transfer()),
    "inside_the_target_market": (GB_WEB, australian_product()),
    "low_trust_and_demoted": (GB_WEB, both(assessed("trust", result="12"), demoted_by(2000))),
    "trust_unknown_and_demoted": (GB_WEB, both(unassessed("trust"), demoted_by(2000))),
    "aml_band_of_exactly_30_days_ago": (GB_WEB, kyc(risk_scored_at=NOW - 30 * DAY)),
    "british_office_holder_of_low_risk": (GB_WEB, rank_three(kyc(pep="domestic", risk_band="low"))),
    "office_holder_after_due_diligence": (GB_WEB, rank_three(kyc(pep="foreign"), due_diligence("approved"))),
    "office_holder_and_rank_two": (GB_WEB, kyc(pep="foreign")),
    "citizen_of_a_listed_country_after_due_diligence": (GB_WEB, both(kyc(nationality="KP"), due_diligence("approved"))),
    "citizen_of_a_monitored_country_of_tier_two": (GB_WEB, rank_three(kyc(nationality="VN"))),
    "citizen_of_a_monitored_country_and_rank_two": (GB_WEB, kyc(nationality="VN", tier=1)),
    "a_number_of_another_country_in_a_likely_contact": (
        GB_WEB,
        both(
            lambda world: world.identifiers.append(("p-gb", "contact_id", "co-two")),
            likely("co-two"),
            phone_of("DE", "+4915112345678", contact_id="co-two"),
        ),
    ),
    "moving_and_a_lesson": (
        GB_WEB,
        both(product("fiat_wallet"), edit("exchange.accounts", "ac-gb", pending_region="GB-SCT")),
    ),
    "reviewed_credit": (NY_WEB, offer(is_credit=True)),
    "price_of_an_algorithm_by_an_exempt_entity": (NY_WEB, both(offer(has_personal_price=True), exempt())),
    "price_of_an_algorithm_elsewhere": (GB_WEB, offer(has_personal_price=True)),
    "cleared_hit": (GB_WEB, hit("cleared", account_id="ac-gb")),
    "hit_of_an_earlier_screening": (GB_WEB, hit("confirmed", "sr-old", account_id="ac-gb")),
    "restriction_resolved_since": (
        GB_WEB,
        both(restrict("embargo"), restrict("embargo", status="resolved", source_updated_at=NOW - HOUR)),
    ),
    "restriction_ended_this_instant": (GB_WEB, restrict("self_exclusion", ends_at=NOW)),
    "restriction_of_somebody_else": (GB_WEB, restrict("embargo", account_id="ac-ny")),
    "kyc_expires_with_the_row": (GB_WEB, edit("compliance.kyc_records", "ky-gb", expires_at=NOW + 24 * HOUR)),
    "high_risk_for_as_long_as_its_class_may": (GB_WEB, nft(row(valid_until=NOW + 30 * HOUR))),
    "plain_promotion_for_as_long_as_any_may": (GB_WEB, row(valid_until=NOW + 36 * HOUR)),
    "promotion_in_a_crash_for_as_long_as_then": (GB_WEB, both(crash(), demoted_by(9000), row(valid_until=NOW + 12 * HOUR))),
    "lesson_in_a_crash_as_ever": (GB_WEB, both(crash(), lesson(row(valid_until=NOW + 36 * HOUR)))),
    "dismissals_known_half_a_day_ago_in_calm": (GB_WEB, feed("events.events", extracted_at=NOW - 13 * HOUR)),
    "closed_account_unverified": (GB_WEB, second_account(closed_at=NOW - DAY)),
    "eighteen_today": (
        GB_WEB,
        both(
            edit("compliance.kyc_records", "ky-gb", birth_date=date(2008, 11, 23)),
            edit("exchange.accounts", "ac-gb", birth_date=None),
        ),
    ),
    "us_email_needs_no_consent": (NY_EMAIL, edit("crm.consents", "ny-marketing-email", purpose="third_party")),
    "subscribed_again_since": (
        GB_EMAIL,
        both(
            message(unsubscribed_at=NOW - 10 * DAY, sent_at=NOW - 20 * DAY),
            edit("crm.consents", "gb-marketing-email", recorded_at=NOW - DAY),
        ),
    ),
    "soft_opt_in_where_no_consent_was_asked": (GB_EMAIL, edit("crm.consents", "gb-marketing-email", purpose="soft_opt_in")),
    "education_email_although_promoted_today": (
        GB_EMAIL,
        both(product("education"), edit("catalogue.offers", is_promotion=False), message(sent_at=NOW - HOUR)),
    ),
    "past_decision_that_a_message_carries": (
        GB_EMAIL,
        both(past_decision(send_after=NOW - 5 * HOUR), message(decision_id="old1", sent_at=NOW - 2 * DAY)),
    ),
    "high_risk_after_high_risk_31_days_before": (GB_WEB, nft(promoted_before(sent_at=NOW - 30 * DAY))),
    "high_risk_after_a_plain_promotion": (GB_WEB, nft(promoted_before("staking"))),
    "high_risk_after_an_offer_nobody_knows_of_low_risk": (
        GB_WEB,
        nft(message(offer_id="gone", risk_class="low", sent_at=NOW - 29 * DAY)),
    ),
    "plain_promotion_after_high_risk": (GB_WEB, promoted_before()),
    "two_dismissals_and_an_old_one": (
        GB_WEB,
        both(turned_down(2), turned_down(1, "offer_not_relevant", occurred_at=NOW - 30 * DAY)),
    ),
    "one_dismissal_received_three_times": (GB_WEB, turned_down(3, event_id="again")),
    "three_dismissals_and_demoted": (GB_WEB, both(turned_down(3), demoted_by(3000))),
    "answers_that_are_not_bad": (
        GB_WEB,
        both(answered("csat", 3), answered("relevance", 3), answered("intrusiveness", 3), answered("nps", 0, 10)),
    ),
    "bad_answer_of_last_quarter": (GB_WEB, answered("csat", 1, submitted_at=NOW - 30 * DAY)),
    "promoted_twice_this_week": (GB_EMAIL, contacted(2)),
    "window_ends_with_the_last_permitted_minute": (GB_PUSH, row(send_before=NOW + 5 * HOUR + timedelta(minutes=50))),
    "phone_number_of_the_same_country_without_region": (NY_SMS, lambda world: None),
    "approved_for_this_creative": (GB_WEB, edit("catalogue.approvals", "ap-brand", creative_id="cr-web")),
    "offer_that_ends_later_than_the_row_where_the_person_is": (GB_WEB, edit("catalogue.offers", ends_local="2026-11-25 03:00")),
    "increments_reach_up_to_now": (GB_WEB, feed("compliance.restrictions", covers_to=NOW - timedelta(minutes=5))),
    "appropriateness_failed_elsewhere": (GB_WEB, edit("compliance.assessments", "as-gb-staking", result="failed")),
}


CASES = LEAKS | {name: (*case, set()) for name, case in HARMLESS.items()}


@pytest.fixture(scope="module")
def found(make_world, tmp_path_factory):
    """{case: codes found}. Cases about one person or offer share one audited day, each with people and offers of its own."""
    together = make_world(tmp_path_factory.mktemp("together")).without_people()
    numbers, codes = {}, {}
    for number, (name, ((person, channel), change, _)) in enumerate(CASES.items()):
        alone = make_world(tmp_path_factory.mktemp("alone"))
        alone.offer(person, channel)
        change(alone)
        if alone.is_alone():
            codes[name] = alone.found()
        else:
            numbers[f"#{number:03}"] = name
            together.take_in(alone, f"#{number:03}")
    together.found()
    for decision, code in together.violations().select("decision_id", "code").rows():
        codes.setdefault(numbers[decision[-4:]], set()).add(code)
    return codes


@pytest.mark.parametrize("name", LEAKS)
def test_the_audit_finds_exactly_the_leak(found, name):
    assert found[name] == LEAKS[name][2]


@pytest.mark.parametrize("name", HARMLESS)
def test_the_audit_leaves_alone_what_no_rule_forbids(found, name):
    assert found.get(name, set()) == set()
