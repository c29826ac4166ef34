with

candidates as (

    select * from {{ ref('candidates_valued') }}

),

choices as (

    select * from {{ ref('int_choices') }}

),

batches as (

    select * from {{ source('state', 'batches') }}

    where batch_seq = {{ batch_seq() }}

),

candidates_chosen_among as (

    -- One offer per person and product line, the same in every channel: nobody is told two things at once.
    select
        candidates.*,
        choices.propensity,
        coalesce(choices.is_explored and choices.is_chosen, false) as is_explored,
        choices.shadow_price_usd,
        case
            when candidates.tier = 3 then 'value_not_positive'
            when candidates.is_cooling_down then 'cooling_down'
            when candidates.is_promotion and not coalesce(choices.is_chosen, false) then choices.otherwise
        end as stopped_by

    from candidates

    left join choices
        on candidates.person_id = choices.person_id
        and candidates.product_line = choices.product_line
        and candidates.offer_id = choices.offer_id

),

candidates_ranked as (

    select
        *,
        row_number() over person_channel as rank,
        -- How many better candidates in the channel promote nothing: they are never capped, so they take their slots first.
        count(*) filter (where not is_promotion and stopped_by is null)
            over (person_channel rows between unbounded preceding and 1 preceding) as contents_before,
        count(*) filter (where not is_promotion and stopped_by is null) over (partition by person_id, channel) as contents

    from candidates_chosen_among

    window person_channel as (
        partition by person_id, channel
        order by is_lifted desc, tier, expected_incremental_value_usd desc, offer_id, offer_version desc, creative_id
    )

),

promotions_capped as (

    -- One promotion in 24 hours over e-mail, SMS and push together: the most valuable one that finds a slot.
    select
        *,
        case
            when is_push and is_promotion and stopped_by is null
                then row_number() over (
                    partition by person_id, is_push and is_promotion and stopped_by is null
                    order by
                        contents_before < slots desc,
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

promotions_placed as (

    select
        *,
        is_promotion and stopped_by is null and is_within_cap as is_promoting,
        row_number() over (
            partition by person_id, channel, is_promotion and stopped_by is null and is_within_cap
            order by expected_incremental_value_usd desc, offer_id, offer_version desc, creative_id
        ) as place

    from promotions_capped

),

education_in_channels as (

    select
        person_id,
        sum(least(contents, slots)) as education

    from (
        select distinct
            person_id,
            channel,
            contents,
            slots

        from candidates_ranked
    )

    group by person_id

),

promotions_counted as (

    -- The most valuable promotions first: how many a person would have with this one, and how much education would be left.
    select
        promotions_placed.*,
        coalesce(
            is_promoting
            and promotions_per_education is not null
            and sum((is_promoting and contents_before + place <= slots)::integer) over by_value
            > promotions_per_education * (
                education_in_channels.education
                - sum((is_promoting and contents_before + place <= slots and place > slots - contents)::integer) over by_value
            ) + 1e-9,
            false
        ) as is_too_many

    from promotions_placed

    inner join education_in_channels
        on promotions_placed.person_id = education_in_channels.person_id

    window by_value as (
        partition by promotions_placed.person_id, is_promoting
        order by expected_incremental_value_usd desc, offer_id, channel, offer_version desc, creative_id
        rows between unbounded preceding and current row
    )

),

slots_counted as (

    select
        *,
        stopped_by is null and is_within_cap and not is_too_many as is_competing,
        count(*) filter (where stopped_by is null and is_within_cap and not is_too_many) over (
            partition by person_id, channel
            order by rank
            rows between unbounded preceding and current row
        ) as position

    from promotions_counted

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
        slots_given.trust_multiplier,
        slots_given.penalty_bp,
        slots_given.fatigue_usd,
        slots_given.risk_usd,
        slots_given.expected_incremental_value_usd,
        slots_given.shadow_price_usd,
        slots_given.propensity,
        slots_given.is_explored,
        slots_given.rank::integer as rank,
        slots_given.slot::integer as slot,
        slots_given.slot is not null as is_chosen,
        case
            when slots_given.slot is not null and slots_given.arm = 'held_out' then 'held_out'
            when slots_given.slot is not null then null
            when slots_given.stopped_by is not null then slots_given.stopped_by
            when not slots_given.is_within_cap and slots_given.contents_before < slots_given.slots then 'push_cap'
            when slots_given.is_too_many and slots_given.contents_before + slots_given.place <= slots_given.slots
                then 'education_ratio'
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
