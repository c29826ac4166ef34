with

candidates as (

    select * from {{ ref('int_candidates_valued') }}

),

batches as (

    select * from {{ source('state', 'batches') }}

    where batch_seq = {{ batch_seq() }}

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

    from candidates

),

candidates_ranked as (

    select
        *,
        row_number() over person_channel as rank,
        -- How many better candidates in the channel promote nothing: they are never capped, so they take their slots first.
        count(*) filter (where not is_promotion) over (person_channel rows between unbounded preceding and 1 preceding)
            as contents_before

    from candidates_tiered

    window person_channel as (
        partition by person_id, channel
        order by tier, expected_incremental_value_usd desc, offer_id, offer_version desc, creative_id
    )

),

promotions_capped as (

    -- One promotion in 24 hours over e-mail, SMS and push together: the most valuable one that finds a slot.
    select
        *,
        is_push and is_promotion as is_capped,
        case
            when is_push and is_promotion
                then row_number() over (
                    partition by person_id, is_push and is_promotion
                    order by
                        tier = 1 and contents_before < slots desc,
                        expected_incremental_value_usd desc,
                        offer_id,
                        channel,
                        offer_version desc,
                        creative_id
                ) = 1
            else true
        end as is_within_cap

    from candidates_ranked

),

slots_counted as (

    select
        *,
        tier < 3 and is_within_cap as is_competing,
        count(*) filter (where tier < 3 and is_within_cap) over (
            partition by person_id, channel
            order by rank
            rows between unbounded preceding and current row
        ) as position

    from promotions_capped

),

slots_given as (

    select
        *,
        case when is_competing and position <= slots then position end as slot

    from slots_counted

),

candidates_decided as (

    select
        'd' || left(
            md5(concat_ws('|', batches.run_id, slots_given.person_id, slots_given.channel, slots_given.offer_id)), 24
        ) as decision_id,
        batches.run_id,
        slots_given.person_id,
        slots_given.channel,
        slots_given.offer_id,
        slots_given.offer_version::bigint as offer_version,
        slots_given.product_line,
        slots_given.creative_id,
        slots_given.locale,
        slots_given.market,
        slots_given.segment,
        slots_given.is_promotion,
        slots_given.is_push,
        slots_given.arm,
        slots_given.p_if_shown,
        slots_given.p_if_held_out,
        slots_given.unit_value_usd::decimal(18, 6) as unit_value_usd,
        slots_given.cost_usd::decimal(18, 6) as cost_usd,
        slots_given.incremental_value_usd,
        slots_given.penalty_bp,
        slots_given.expected_incremental_value_usd,
        slots_given.rank::integer as rank,
        slots_given.slot::integer as slot,
        slots_given.slot is not null as is_chosen,
        case
            when slots_given.slot is not null and slots_given.arm = 'held_out' then 'held_out'
            when slots_given.slot is not null then null
            when slots_given.tier = 3 then 'value_not_positive'
            when not slots_given.is_within_cap and slots_given.contents_before < slots_given.slots then 'push_cap'
            else 'slots_full'
        end as not_chosen_reason,
        slots_given.send_after,
        slots_given.send_before,
        slots_given.valid_until,
        slots_given.model_version,
        batches.policy_version

    from slots_given

    cross join batches

)

select * from candidates_decided
