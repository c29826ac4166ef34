{{ config(materialized='view') }}

with

candidates as (

    select * from {{ ref('candidates') }}

),

scores as (

    select * from {{ source('decisions', 'scores') }}

),

offers as (

    select * from {{ ref('stg_catalogue__offers') }}

),

channels as (

    select * from {{ source('policy', 'channels') }}

),

objectives as (

    select
        max(value) filter (where name = 'value_weight') as value_weight,
        max(value) filter (where name = 'cost_weight') as cost_weight,
        max(value) filter (where name = 'minimum_incremental_value_usd') as minimum_incremental_value_usd

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

    -- Left joins: a candidate without score, offer, channel or arm stops the build at the ledger's not-null constraints
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
        coalesce(candidates.is_promotion, true) as is_promotion,
        coalesce(candidates.penalty_bp, 0)::integer as penalty_bp,
        candidates.send_after,
        candidates.send_before,
        candidates.valid_until,
        channels.is_push,
        channels.slots,
        person_arms.arm,
        scores.p_if_shown,
        scores.p_if_held_out,
        scores.model_version,
        offers.unit_value_usd,
        offers.cost_usd,
        objectives.minimum_incremental_value_usd,
        -- Rounded to a millionth of a dollar, so that values compare exactly and equal ones are ties.
        round(
            (scores.p_if_shown - scores.p_if_held_out) * offers.unit_value_usd::double * objectives.value_weight
            - offers.cost_usd::double * objectives.cost_weight,
            6
        )::decimal(18, 6) as incremental_value_usd

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

    left join person_arms
        on candidates.person_id = person_arms.person_id

    cross join objectives

),

candidates_weighed as (

    select
        *,
        -- A penalty makes a gain smaller; it must not make a loss look smaller.
        case
            when incremental_value_usd > 0
                then (incremental_value_usd::decimal(28, 6) * (10000 - penalty_bp) / 10000)::decimal(18, 6)
            else incremental_value_usd
        end as expected_incremental_value_usd

    from candidates_scored

)

select * from candidates_weighed
