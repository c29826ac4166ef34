with

candidates as (

    select
        *,
        coalesce(is_promotion, true) as promotes,
        split_part(segment, ':', 2) as lifecycle_stage

    from {{ ref('candidates') }}

),

scores as (

    select * from {{ source('decisions', 'scores') }}

),

models as (

    -- All scores of a run are one model's; its long name is not carried through the join of two tables as long as there are candidates.
    select max(model_version) as model_version

    from {{ source('decisions', 'scores') }}

),

offers as (

    -- Cast here, once an offer: a decimal of 38 digits takes a microsecond to cast, and there are many candidates.
    select
        offer_id,
        version,
        total_cap,
        unit_value_usd::decimal(18, 6) as unit_value_usd,
        cost_usd::decimal(18, 6) as cost_usd,
        unit_value_usd::double as unit_value,
        cost_usd::double as cost

    from {{ ref('stg_catalogue__offers') }}

),

channels as (

    select * from {{ source('policy', 'channels') }}

),

product_lines as (

    select * from {{ source('policy', 'product_lines') }}

),

education_ratio as (

    select * from {{ source('policy', 'education_ratio') }}

),

feedback as (

    select * from {{ ref('offer_feedback') }}

),

offers_refused as (

    select
        person_id,
        offer_id

    from {{ ref('int_refusals') }}

    where last_refused_at > {{ as_of() }} - to_days({{ limit_value('cool_down_offer_days') }}::integer)

),

lines_refused as (

    select distinct
        person_id,
        product_line

    from {{ ref('int_refusals') }}

    where last_refused_at > {{ as_of() }} - to_days({{ limit_value('cool_down_line_days') }}::integer)

),

people_addressed as (

    select
        person_id,
        count(*) as promotions

    from {{ ref('messages') }}

    where coalesce(is_promotion, true)
        and sent_at <= {{ as_of() }}
        and sent_at > {{ as_of() }} - interval 7 days
        and person_id is not null

    group by person_id

),

line_features as (

    select * from {{ ref('person_line_features') }}

),

market_state as (

    -- Unknown counts as stressed, but for a shop that watches no market.
    select
        coalesce(c_vol_rank, 2) = 2
        and exists (select 1 from {{ source('policy', 'market_basket') }}) as is_stressed

    from {{ ref('market_state') }}

),

objectives as (

    select
        max(value) filter (where name = 'value_weight') as value_weight,
        max(value) filter (where name = 'cost_weight') as cost_weight,
        max(value) filter (where name = 'minimum_incremental_value_usd') as minimum_incremental_value_usd,
        max(value) filter (where name = 'fatigue_usd_per_message') as fatigue_usd_per_message,
        max(value) filter (where name = 'fatigue_usd_per_ignored_showing') as fatigue_usd_per_ignored_showing,
        max(value) filter (where name = 'risk_usd_per_rank') as risk_usd_per_rank

    from {{ source('policy', 'objectives') }}

),

person_arms as (

    -- Somebody merged with a held-out person has two rows; held_out < treated.
    select
        person_id,
        min(arm) as arm

    from {{ source('state', 'arms') }}

    where batch_seq <= {{ batch_seq() }}

    group by person_id

),

candidates_scored as (

    -- Left joins: a candidate without score, offer, channel, product line or arm stops the build at the ledger's not-null constraints
    -- instead of disappearing here.
    select
        candidates.person_id,
        candidates.offer_id,
        candidates.offer_version,
        candidates.product_line,
        candidates.channel,
        candidates.creative_id,
        candidates.locale,
        candidates.market,
        candidates.segment,
        candidates.promotes as is_promotion,
        coalesce(candidates.penalty_bp, 0)::integer as penalty_bp,
        candidates.send_after,
        candidates.send_before,
        candidates.valid_until,
        channels.is_push,
        channels.slots,
        person_arms.arm,
        scores.p_if_shown,
        scores.p_if_held_out,
        case when scores.p_if_shown is not null then models.model_version end as model_version,
        offers.unit_value_usd,
        offers.cost_usd,
        offers.total_cap,
        objectives.minimum_incremental_value_usd,
        education_ratio.promotions_per_education,
        feedback.trust_multiplier,
        offers_refused.person_id is not null
        or (candidates.promotes and lines_refused.person_id is not null) as is_cooling_down,
        -- While markets are stressed, what teaches comes before what sells.
        not candidates.promotes and market_state.is_stressed as is_lifted,
        -- Rounded to a millionth of a dollar, so that values compare exactly and equal ones are ties.
        round(
            (scores.p_if_shown - scores.p_if_held_out) * offers.unit_value * objectives.value_weight
            - offers.cost * objectives.cost_weight,
            6
        )::decimal(18, 6) as incremental_value_usd,
        case
            when candidates.promotes then round(
                case when channels.is_push then coalesce(people_addressed.promotions, 0) * objectives.fatigue_usd_per_message else 0 end
                + greatest(
                    0,
                    coalesce(line_features.line_offers_shown_last_30_days, 0)
                    - coalesce(line_features.line_offers_clicked_last_30_days, 0)
                ) * objectives.fatigue_usd_per_ignored_showing,
                6
            )
            else 0
        end::decimal(18, 6) as fatigue_usd,
        case
            when candidates.promotes then round(greatest(0, product_lines.rank - 1) * objectives.risk_usd_per_rank, 6)
            else 0
        end::decimal(18, 6) as risk_usd

    from candidates

    left join scores
        on candidates.person_id = scores.person_id
        and candidates.offer_id = scores.offer_id
        and candidates.offer_version = scores.offer_version
        and candidates.channel = scores.channel

    left join offers
        on candidates.offer_id = offers.offer_id
        and candidates.offer_version = offers.version

    left join channels
        on candidates.channel = channels.channel

    left join product_lines
        on candidates.product_line = product_lines.product_line

    left join education_ratio
        on candidates.lifecycle_stage = education_ratio.lifecycle_stage

    left join feedback
        on candidates.offer_id = feedback.offer_id

    left join person_arms
        on candidates.person_id = person_arms.person_id

    left join offers_refused
        on candidates.person_id = offers_refused.person_id
        and candidates.offer_id = offers_refused.offer_id

    left join lines_refused
        on candidates.person_id = lines_refused.person_id
        and candidates.product_line = lines_refused.product_line

    left join people_addressed
        on candidates.person_id = people_addressed.person_id

    left join line_features
        on candidates.person_id = line_features.person_id
        and candidates.product_line = line_features.product_line

    cross join models

    cross join market_state

    cross join objectives

),

candidates_weighed as (

    select
        *,
        -- Feedback and penalties make a gain smaller; they must not make a loss look smaller.
        (
            case
                when incremental_value_usd > 0
                    then round(
                        incremental_value_usd::decimal(22, 6) * (10000 - penalty_bp) / 10000 * trust_multiplier::double, 6
                    )
                else incremental_value_usd
            end
            - fatigue_usd - risk_usd
        )::decimal(18, 6) as expected_incremental_value_usd

    from candidates_scored

),

candidates_tiered as (

    -- 1: worth showing. 2: no gain expected, but content that promotes nothing may fill a slot that is free. 3: never.
    select
        *,
        case
            when expected_incremental_value_usd > minimum_incremental_value_usd then 1
            when not is_promotion then 2
            else 3
        end as tier

    from candidates_weighed

)

select * from candidates_tiered
