{#- Keys and terms alone, narrow rows: the ledger has the rest of what is told of a candidate. Built again while scarce places are given. -#}
with

set_aside as (

    select * from {{ source('decisions', 'people_set_aside') }}

),

candidates as (

    select
        candidates.person_id,
        candidates.channel,
        candidates.offer_id,
        candidates.offer_version,
        candidates.creative_id,
        candidates.product_line,
        candidates.arm,
        candidates.is_promotion,
        candidates.is_push,
        candidates.tier,
        candidates.is_lifted,
        candidates.is_cooling_down,
        candidates.slots,
        candidates.promotions_per_education,
        candidates.expected_incremental_value_usd

    from {{ ref('candidates_valued') }} as candidates

    anti join set_aside
        on candidates.person_id = set_aside.person_id

),

choices as (

    select * from {{ ref('int_choices') }}

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
        stopped_by is null as is_standing,
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

promotions_standing as (

    select * from candidates_ranked
    where is_promotion and is_standing

),

promotions_pushed as (

    -- One promotion in 24 hours over e-mail, SMS and push together: the most valuable one that finds a slot.
    select
        person_id,
        channel,
        offer_id,
        row_number() over (
            partition by person_id
            order by contents_before < slots desc, expected_incremental_value_usd desc, offer_id, channel, offer_version desc, creative_id
        ) = 1 as is_within_cap

    from promotions_standing

    where is_push

),

promotions_placed as (

    select
        promotions_standing.*,
        row_number() over (
            partition by promotions_standing.person_id, promotions_standing.channel
            order by
                promotions_standing.expected_incremental_value_usd desc,
                promotions_standing.offer_id,
                promotions_standing.offer_version desc,
                promotions_standing.creative_id
        ) as place

    from promotions_standing

    left join promotions_pushed
        on promotions_standing.person_id = promotions_pushed.person_id
        and promotions_standing.channel = promotions_pushed.channel
        and promotions_standing.offer_id = promotions_pushed.offer_id

    where coalesce(promotions_pushed.is_within_cap, true)

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
        promotions_placed.person_id,
        promotions_placed.channel,
        promotions_placed.offer_id,
        promotions_placed.place,
        coalesce(
            promotions_per_education is not null
            and sum((contents_before + place <= slots)::integer) over by_value
            > promotions_per_education * (
                education_in_channels.education
                - sum((contents_before + place <= slots and place > slots - contents)::integer) over by_value
            ) + 1e-9,
            false
        ) as is_too_many

    from promotions_placed

    inner join education_in_channels
        on promotions_placed.person_id = education_in_channels.person_id

    window by_value as (
        partition by promotions_placed.person_id
        order by expected_incremental_value_usd desc, offer_id, channel, offer_version desc, creative_id
        rows between unbounded preceding and current row
    )

),

candidates_competing as (

    select
        candidates_ranked.person_id,
        candidates_ranked.channel,
        candidates_ranked.offer_id,
        row_number() over (
            partition by candidates_ranked.person_id, candidates_ranked.channel
            order by candidates_ranked.rank
        ) as position

    from candidates_ranked

    left join promotions_counted
        on candidates_ranked.person_id = promotions_counted.person_id
        and candidates_ranked.channel = promotions_counted.channel
        and candidates_ranked.offer_id = promotions_counted.offer_id

    where candidates_ranked.is_standing
        and (not candidates_ranked.is_promotion or not promotions_counted.is_too_many)

),

slots_given as (

    select
        candidates_ranked.*,
        promotions_counted.place,
        candidates_ranked.is_standing and candidates_ranked.is_promotion and promotions_counted.person_id is null as is_capped,
        coalesce(promotions_counted.is_too_many, false) as is_too_many,
        case when candidates_competing.position <= candidates_ranked.slots then candidates_competing.position end as slot

    from candidates_ranked

    left join promotions_counted
        on candidates_ranked.person_id = promotions_counted.person_id
        and candidates_ranked.channel = promotions_counted.channel
        and candidates_ranked.offer_id = promotions_counted.offer_id

    left join candidates_competing
        on candidates_ranked.person_id = candidates_competing.person_id
        and candidates_ranked.channel = candidates_competing.channel
        and candidates_ranked.offer_id = candidates_competing.offer_id

),

placements as (

    select
        person_id,
        channel,
        offer_id,
        arm,
        propensity,
        is_explored,
        shadow_price_usd,
        rank::integer as rank,
        slot::integer as slot,
        case
            when slot is not null and arm = 'held_out' then 'held_out'
            when slot is not null then null
            when stopped_by is not null then stopped_by
            when is_capped and contents_before < slots then 'push_cap'
            when is_too_many and contents_before + place <= slots then 'education_ratio'
            else 'slots_full'
        end as not_chosen_reason

    from slots_given

)

select * from placements
