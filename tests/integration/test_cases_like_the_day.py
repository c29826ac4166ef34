"""The people and offers of the day, asked as cases, are judged as the models judged them: the two ways to the same rules agree.

`candor policy evaluate` derives regimes and quiet hours by SQL of its own; here both are held to what the models made of the same people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from candor import warehouse
from candor.policy import columns, evaluation, load
from candor.settings import PROJECT_ROOT
from tests.integration.conftest import DAY, Shop

# The models judge these at the planned delivery, cases at their instant: they have a test of their own below.
PLANNED = {"BRD_QUIET_HOURS", "US_QUIET_HOURS", "ENG_NO_SEND_WINDOW"}
# The models judge these among pairs that nothing else speaks against; they have a test of their own, too.
OF_PAIRS = {"AU_HAWKING", "US_GPC_OPTOUT", "US_GLBA_OPTOUT"}
LIVE = replace(load(PROJECT_ROOT / "policy", "crypto"), waiting=())
CREATIVES_EACH = 6

# A region when the map has it, else the country; what the map does not have stays as it is.
SIGNALS = """
create temp table signals as
with said as (
    select distinct person_id, country_code as country, region_code as region, true as is_home
    from vault.eligibility.int_accounts_checked where is_open
    union
    select person_id, pending_country, pending_region, false
    from vault.eligibility.int_accounts_checked where is_open and coalesce(pending_country, pending_region) is not null
    union
    select person_id, kyc_country, kyc_region, false
    from vault.eligibility.int_accounts_checked where is_open and coalesce(kyc_country, kyc_region) is not null
    union
    select identifiers.person_id, phones.phone_country, null, false
    from (
        select 'account_id' as kind, account_id as identifier, phone_country from staging.stg_exchange__accounts where phone_valid
        union all
        select 'contact_id', contact_id, phone_country from staging.stg_crm__contacts where phone_valid
    ) as phones
    inner join identity.person_identifiers as identifiers
        on identifiers.identifier_kind = phones.kind and identifiers.identifier = phones.identifier
)
select
    said.person_id, said.is_home, coalesce(regions.residence, said.country) as market, said.country is null and said.region is null as is_unsaid
from said
left join policy.regime_map as regions on said.country || '-' || split_part(said.region, '-', 2) = regions.residence
"""
PEOPLE = """
create temp table homes as
select
    person_id,
    any_value(market) filter (where is_home) as u_residence,
    coalesce(list(distinct market order by market) filter (where not is_home and market is not null), []) as u_other_countries
from signals
group by person_id
-- Whoever lives in two places is two residences to the models; a case has one.
having count(*) filter (where is_home) = 1
"""
CASES = f"""
select
    person_facts.person_id || '/' || offer_facts.creative_id as case_id,
    timestamp '{DAY:%Y-%m-%d %H:%M:%S}' as c_as_of,
    offer_facts.channel as c_channel,
    homes.u_residence,
    homes.u_other_countries,
    kyc.birth_date as u_dob,
    coalesce(approp.u_approp, 'not_taken') as u_approp,
    person_facts.* exclude (person_id, market, language, place_id, d_age, u_regimes, u_perm_regimes),
    offer_facts.* exclude (
        creative_hash,
        creative_id, offer_id, offer_version, product_line, channel, c_channel, has_window, locale, ends_at, ends_local, o_starts_at,
        offer_class, m_product, m_rank, m_min_kyc, m_approp, m_vol_max, m_profiles, m_stages,
        d_sensitive_feature
    ),
    market_state.c_vol_rank,
    offer_facts.product_line as o_product,
    offer_facts.o_starts_at as o_from,
    offer_facts.ends_at as o_to,
    offer_facts.ends_local as o_end_local
from vault.eligibility.person_facts
inner join homes on person_facts.person_id = homes.person_id
cross join eligibility.offer_facts
cross join eligibility.market_state
left join vault.eligibility.int_person_kyc as kyc on person_facts.person_id = kyc.person_id
left join vault.eligibility.person_product_facts as approp
    on person_facts.person_id = approp.person_id and offer_facts.product_line = approp.product_line
where true
"""
SOME_OF_EACH = f"""
qualify row_number() over (
    partition by person_facts.person_id order by hash(person_facts.person_id || offer_facts.creative_id)
) <= {CREATIVES_EACH}
"""
JUDGED = """
with placed as (
    select asked.case_id, people.person_id, people.place_id, offers.creative_id, offers.offer_class, offers.c_channel, offers.o_is_promotion
    from asked
    inner join eligibility.offer_facts as offers on asked.creative_id = offers.creative_id
    inner join vault.eligibility.person_facts as people on asked.person_id = people.person_id
),
found as (
    select case_id, code, effect, penalty_bp from placed inner join vault.eligibility.user_hits as hits
        on placed.person_id = hits.person_id and coalesce(hits.is_promotion = placed.o_is_promotion, true)
    union all
    select case_id, code, effect, penalty_bp from placed inner join vault.eligibility.user_product_hits as hits
        on placed.person_id = hits.person_id and placed.offer_class = hits.offer_class
    union all
    select case_id, code, effect, penalty_bp from placed inner join vault.eligibility.user_channel_hits as hits
        on placed.person_id = hits.person_id and placed.c_channel = hits.rule_channel
        and coalesce(hits.is_promotion = placed.o_is_promotion, true)
    union all
    select case_id, code, effect, penalty_bp from placed inner join vault.eligibility.offer_hits as hits on placed.creative_id = hits.creative_id
    union all
    select case_id, code, effect, penalty_bp from placed inner join vault.eligibility.offer_regime_hits as hits
        on placed.creative_id = hits.creative_id and placed.place_id = hits.place_id
)
select
    placed.case_id,
    list(found.code) filter (where found.effect <> 'DEMOTE'),
    least(9000, coalesce(sum(found.penalty_bp) filter (where found.effect = 'DEMOTE'), 0))::integer
from placed left join found on placed.case_id = found.case_id
group by placed.case_id
"""


def plain(codes: Any) -> set[str]:
    return {code for code in codes or () if code.removesuffix("_UNKNOWN") not in PLANNED | OF_PAIRS}


@pytest.fixture(scope="module")
def day(shop: Shop) -> Any:
    """The day's warehouse, with the homes of its people."""
    with warehouse.reading(shop.settings, restricted=True) as connection:
        connection.execute(SIGNALS)
        connection.execute(PEOPLE)
        yield connection


def test_the_day_asked_as_cases_gets_the_codes_of_the_models(day: Any) -> None:
    asked = day.execute(CASES + SOME_OF_EACH).to_arrow_table()
    ids = [case_id.split("/") for case_id in asked["case_id"].to_pylist()]
    day.register("asked", asked.select(["case_id"]).append_column("person_id", pa.array([person for person, _ in ids]))
                 .append_column("creative_id", pa.array([creative for _, creative in ids])))  # fmt: skip
    judged = day.execute(JUDGED).fetchall()
    expected = {case_id: plain(codes) for case_id, codes, _ in judged}
    answers = evaluation.evaluate_rows(LIVE, asked)
    got = {row["case_id"]: plain(row["codes"]) for row in answers}
    assert len(expected) == len(ids) > 10_000
    assert {case: (expected[case], got[case]) for case in expected if expected[case] != got[case]} == {}
    penalties = {case_id: penalty for case_id, _, penalty in judged}
    assert {row["case_id"]: row["penalty_bp"] for row in answers} == penalties
    assert len(set(penalties.values())) > 3, "next to nobody is demoted"
    seen = set().union(*expected.values())
    for code in (
        "JUR_UNKNOWN",
        "JUR_NO_PERMISSION",
        "KYC_TIER_LOW",
        "PRV_NO_CHANNEL_CONSENT",
        "SUI_STAGE",
        "OFFER_EXPIRED",
        "HK_GIFT_BAN_UNKNOWN",
    ):
        assert code in seen, "the day has nobody of whom this is said"


def test_pairs_that_nothing_else_speaks_against_get_the_codes_of_the_models(day: Any) -> None:
    pairs = "select person_id, creative_id from vault.eligibility.int_candidates_dated where c_channel = 'chatbot'"
    asked = day.execute(f"{CASES} and (person_facts.person_id, offer_facts.creative_id) in ({pairs})").to_arrow_table()
    got = {
        row["case_id"]: OF_PAIRS & {code.removesuffix("_UNKNOWN") for code in row["codes"]}
        for row in evaluation.evaluate_rows(LIVE, asked)
    }
    found = day.execute(
        "select dated.person_id || '/' || dated.creative_id, list(hits.code) from vault.eligibility.int_candidates_dated as dated "
        "inner join vault.eligibility.pair_hits as hits using (person_id, offer_id, channel) group by all"
    ).fetchall()
    expected = {case: OF_PAIRS & {code.removesuffix("_UNKNOWN") for code in codes} for case, codes in found}
    assert len(got) > 100
    assert {case: codes for case, codes in got.items() if codes != expected.get(case, set())} == {}
    assert {"AU_HAWKING"} in got.values(), "nobody in Australia is spared a chat"
    kept = {
        f"{person}/{creative}"
        for person, creative in day.execute("select person_id, creative_id from eligibility.candidates").fetchall()
    }
    assert {case for case, codes in got.items() if codes} & kept == set()


def test_the_regimes_of_the_day_are_those_of_the_cases(day: Any) -> None:
    """Where a case gets another set of regimes, only some rules would show it; here the sets themselves are compared."""
    people = day.execute(
        "select homes.*, person_facts.u_regimes, person_facts.u_perm_regimes "
        "from homes inner join vault.eligibility.person_facts on homes.person_id = person_facts.person_id"
    ).to_arrow_table()
    derivation = evaluation.derivations(LIVE)["country_sets"]
    day.execute("create or replace temp table known as select distinct u_residence, u_other_countries from people")
    day.execute(f"create or replace temp table country_sets as {derivation}")
    differing = day.execute(
        "select people.person_id, people.u_residence, people.u_other_countries, people.u_regimes, country_sets.u_regimes "
        "from people left join country_sets on people.u_residence = country_sets.u_residence "
        "and people.u_other_countries = country_sets.u_other_countries "
        "where list_sort(people.u_regimes) is distinct from country_sets.u_regimes "
        "or list_sort(people.u_perm_regimes) is distinct from country_sets.u_perm_regimes"
    ).fetchall()
    assert differing == []
    regimes = {tuple(row or ()) for row in people["u_regimes"].to_pylist()}
    assert len(regimes) >= 10
    assert () in regimes, "nobody's regimes are unknown"


def quiet(day: Any, instants: str) -> dict[str, set[str]]:
    """Case -> the quiet-hours codes there; `instants` gives case_id, place_id, rule_channel, c_as_of."""
    table = day.execute(
        f"select asked.case_id, asked.c_as_of, asked.rule_channel as c_channel, places.u_tzs, homes.u_residence, homes.u_other_countries, "
        f"true as o_is_promotion from ({instants}) as asked inner join vault.eligibility.places on asked.place_id = places.place_id "
        "inner join (select place_id, min(person_id) as person_id from vault.eligibility.person_facts "
        "where person_id in (select person_id from homes) group by place_id) as someone on asked.place_id = someone.place_id "
        "inner join homes on someone.person_id = homes.person_id"
    ).to_arrow_table()
    return {row["case_id"]: {code for code in row["codes"] if "QUIET" in code} for row in evaluation.evaluate_rows(LIVE, table)}


def test_the_windows_of_the_models_open_and_close_where_cases_begin_and_cease_to_be_quiet(day: Any) -> None:
    windows = "from vault.eligibility.send_windows where send_after is not null and is_zone_known"
    inside = quiet(day, f"select place_id || rule_channel as case_id, place_id, rule_channel, send_after as c_as_of {windows}")
    assert len(inside) > 50
    assert {case: codes for case, codes in inside.items() if codes} == {}
    # A second before the first window it is quiet, unless the window was open when the day began; and when the window ends.
    before = quiet(
        day,
        f"select place_id || rule_channel as case_id, place_id, rule_channel, send_after - interval 1 second as c_as_of {windows} "
        f"and send_after > timestamp '{DAY:%Y-%m-%d %H:%M:%S}'",
    )
    after = quiet(day, f"select place_id || rule_channel as case_id, place_id, rule_channel, send_before as c_as_of {windows}")
    last = quiet(
        day,
        f"select place_id || rule_channel as case_id, place_id, rule_channel, send_before - interval 1 second as c_as_of {windows}",
    )
    assert before
    assert {case for case, codes in before.items() if not codes} == set()
    assert {case for case, codes in after.items() if not codes} == set()
    assert {case: codes for case, codes in last.items() if codes} == {}


def test_the_columns_of_cases_are_the_facts_of_the_models(day: Any) -> None:
    """A fact that the models add must be askable, or waits to be forgotten here."""
    given = {row[0] for row in day.execute("describe vault.eligibility.person_facts").fetchall() if row[0].startswith("u_")}
    assert given - columns.accepted(LIVE).keys() == {"u_regimes", "u_perm_regimes"}
