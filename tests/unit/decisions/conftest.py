"""A warehouse just before arbitration: candidates with scores, drawn from a seed."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from candor import runs, warehouse
from candor.settings import PROJECT_ROOT, Settings

MONDAY = datetime(2026, 11, 23, 15, tzinfo=UTC)

INPUTS = """
create schema if not exists core; create schema if not exists identity; create schema if not exists policy; create schema if not exists features;
create schema if not exists eligibility; create schema if not exists decisions; create schema if not exists staging;
create table core.people as select 'p' || range as person_id from range({people});
create table identity.person_aliases (person_id varchar, surviving_person_id varchar);
create table policy.experiments as select 0.1 as holdout_share, 'salt' as salt;
create table policy.objectives as
select * from (values ('value_weight', 1.0::double), ('cost_weight', 1.0), ('minimum_incremental_value_usd', 0.0), ('trust_lambda', 1.0),
    ('trust_floor', 0.5), ('trust_prior_responses', 2.0), ('fatigue_usd_per_message', 0.02), ('fatigue_usd_per_ignored_showing', 0.01),
    ('risk_usd_per_rank', 0.02), ('exploration_share', 0.0)) as objectives (name, value);
create table policy.limits as
select * from (values ('cool_down_offer_days', 30.0::double), ('cool_down_line_days', 7.0), ('feedback_days', 180.0)) as limits (name, value);
create table policy.budgets as select 'incentives' as name, null::double as limit_usd;
create table policy.education_ratio as
select * from (values ('new', 1.0::double), ('developing', 0.5), ('experienced', null), ('dormant', 0.0))
    as ratios (lifecycle_stage, promotions_per_education);
create table policy.market_basket (asset varchar);
create table eligibility.market_state as select null::timestamp as observed_at, null::integer as c_vol_rank;
create table policy.product_lines as
select * from (values ('education', 0), ('spot', 2), ('staking', 3), ('nft', 4)) as product_lines (product_line, rank);
create table policy.channels as
select * from (values ('web', 'inapp', 3, false), ('app', 'inapp', 3, false), ('email', 'email', 1, true), ('sms', 'sms', 1, true),
    ('push', 'push', 1, true), ('chatbot', 'chatbot', 1, false)) as channels (channel, rule_channel, slots, is_push);
create table staging.stg_catalogue__offers as
select 'o' || range as offer_id, 1::bigint as version, ['education', 'education', 'spot', 'spot', 'staking', 'staking', 'nft', 'nft']
        [(range + 1)::bigint] as product_line,
    (10 + range)::decimal(38, 12) as unit_value_usd, 0.5::decimal(38, 12) as cost_usd,
    case range when 3 then 25 when 6 then 12 when 7 then 9 end::bigint as total_cap
from range(8);
create table staging.stg_catalogue__creatives as
select 'cr_' || offer_id || '_' || channel as creative_id, 'Title' as title, 'Body' as body, ['Risk "warning"'] as disclosures,
    'Because you asked' as why_template
from staging.stg_catalogue__offers cross join policy.channels;
create table eligibility.candidates as
select
    person_id, offer_id, version as offer_version, product_line, channel, 'cr_' || offer_id || '_' || channel as creative_id, 'en' as locale,
    'GB' as market, 'moderate:' || ['new', 'developing', 'experienced', 'dormant'][(hash(person_id, 'stage') % 4 + 1)::bigint] as segment,
    product_line <> 'education' as is_promotion,
    case when hash(person_id) % 3 = 0 then 2500 else 0 end as penalty_bp,
    timestamp '2026-11-23 16:00:00' as send_after, timestamp '2026-11-23 20:00:00' as send_before,
    timestamp '2026-12-01' as valid_until
from core.people cross join staging.stg_catalogue__offers cross join policy.channels
where hash(person_id || offer_id || channel) % 3 > 0;
-- Few distinct probabilities, so that there are many ties.
create table decisions.scores as
select person_id, offer_id, offer_version, channel, 0.1 + hash(offer_id || channel || person_id) % 5 / 50.0 as p_if_shown,
    0.12::double as p_if_held_out, 'm1' as model_version
from eligibility.candidates;
create table core.events as
select person_id, offer_id, 'offer_dismissed' as event_name,
    timestamp '2026-11-23 15:00:00' - to_hours((hash(person_id, offer_id, 'when') % 1200)::integer) as occurred_at
from core.people cross join staging.stg_catalogue__offers
where hash(person_id, offer_id, 'refused') % 12 = 0;
-- The same refusals as they were received, of accounts.
create table staging.stg_events__events as
select
    'ev-' || row_number() over () as event_id, 'ac-' || person_id as account_id, null::varchar as device_id, null::varchar as anonymous_id,
    offer_id, event_name, occurred_at
from core.events;
create table identity.person_identifiers as
select distinct person_id, 'account_id' as identifier_kind, 'ac-' || person_id as identifier from core.events;
create table core.messages as
select person_id, true as is_promotion, timestamp '2026-11-20' as sent_at from core.people where hash(person_id, 'mailed') % 4 = 0;
create table features.person_line_features as
select person_id, product_line, hash(person_id, product_line) % 5 as line_offers_shown_last_30_days, 1 as line_offers_clicked_last_30_days
from core.people cross join policy.product_lines;
create table staging.stg_surveys__responses as
select offer_id, 'csat' as kind, 3.0 + hash(offer_id) % 3 as score, 5 as scale_max, timestamp '2026-11-01' as submitted_at
from staging.stg_catalogue__offers;
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("state")
    return Settings(
        state_dir=folder,
        landing_dir=folder / "landing",
        policy_dir=PROJECT_ROOT / "policy",
        serving_url=f"sqlite:///{folder / 'serving' / 'offers.sqlite'}",
        mlflow_tracking_uri="",
        hash_key="k" * 64,
        threads=2,
        memory_limit="1GB",
        shop="crypto",
    )


@pytest.fixture(scope="module")
def decided(settings):
    """The settings of a state in which 300 people's offers were decided and staged, and what that answered."""
    from candor import decisions, explanations

    with warehouse.connect(settings) as connection:
        runs.prepare(connection)
        connection.execute(
            "insert into state.deliveries values ('d1', 'crm', 'consents', 'x', timestamp '2026-11-23', 'h', 1, 1, 1, 0, true, null, null, 's')"
        )
        runs.pin(connection, MONDAY, policy_version="p1")
        connection.execute(INPUTS.format(people=300))
        explanations.prepare(connection)
    return settings, decisions.run(MONDAY, settings) | decisions.stage(MONDAY, settings)


@pytest.fixture
def copied(decided, tmp_path):
    """The same of a copy, which a test may change."""
    settings, result = decided
    shutil.copytree(settings.state_dir, tmp_path / "state")
    return replace(settings, state_dir=tmp_path / "state"), result
