{#-
  Keys and terms alone, narrow rows: the ledger has the rest of what is told of a candidate. All candidates are ranked; everything after that
  is about those that stand, a few of a person's many. Person, channel and offer name a candidate, so that nothing after them orders anything.
-#}
with

set_aside as (

    select * from {{ source('decisions', 'people_set_aside') }}

),

candidates as (

    select
        candidates.person_id,
        candidates.channel,
        candidates.offer_id,
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
        candidates.person_id,
        candidates.channel,
        candidates.offer_id,
        candidates.arm,
        candidates.is_promotion,
        candidates.is_push,
        candidates.tier,
        candidates.is_lifted,
        candidates.slots,
        candidates.promotions_per_education,
        candidates.expected_incremental_value_usd,
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
        * exclude (tier, is_lifted),
        row_number() over person_channel as rank,
        -- How many better candidates in the channel promote nothing: they are never capped, so they take their slots first.
        count(*) filter (where not is_promotion and stopped_by is null)
            over (person_channel rows between unbounded preceding and 1 preceding) as contents_before,
        count(*) filter (where not is_promotion and stopped_by is null)
            over (person_channel rows between unbounded preceding and unbounded following) as contents

    from candidates_chosen_among

    window person_channel as (
        partition by person_id, channel
        order by is_lifted desc, tier, expected_incremental_value_usd desc, offer_id
    )

),

candidates_standing as (

    select * from candidates_ranked
    where stopped_by is null

),

promotions_standing as (

    select * from candidates_standing
    where is_promotion

),

promotions_pushed as (

    -- One promotion in 24 hours over e-mail, SMS and push together: the most valuable one that finds a slot.
    select
        person_id,
        channel,
        offer_id,
        row_number() over (
            partition by person_id
            order by contents_before < slots desc, expected_incremental_value_usd desc, offer_id, channel
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
                promotions_standing.offer_id
        ) as place

    from promotions_standing

    left join promotions_pushed
        on promotions_standing.person_id = promotions_pushed.person_id
        and promotions_standing.channel = promotions_pushed.channel
        and promotions_standing.offer_id = promotions_pushed.offer_id

    where coalesce(promotions_pushed.is_within_cap, true)

),

education_in_channels as (

    -- Where nothing that teaches stands, a person gets none.
    select
        person_id,
        sum(least(contents, slots)) as education

    from (
        select distinct
            person_id,
            channel,
            contents,
            slots

        from candidates_standing
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
        order by expected_incremental_value_usd desc, offer_id, channel
        rows between unbounded preceding and current row
    )

),

candidates_counted as (

    select
        candidates_standing.*,
        promotions_counted.place,
        candidates_standing.is_promotion and promotions_counted.person_id is null as is_capped,
        coalesce(promotions_counted.is_too_many, false) as is_too_many

    from candidates_standing

    left join promotions_counted
        on candidates_standing.person_id = promotions_counted.person_id
        and candidates_standing.channel = promotions_counted.channel
        and candidates_standing.offer_id = promotions_counted.offer_id

),

slots_given as (

    select
        *,
        case
            when not is_capped and not is_too_many
                then row_number() over (
                    partition by person_id, channel, is_capped or is_too_many
                    order by rank
                )
        end as position

    from candidates_counted

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
        case when position <= slots then position end::integer as slot,
        case
            when position <= slots and arm = 'held_out' then 'held_out'
            when position <= slots then null
            when is_capped and contents_before < slots then 'push_cap'
            when is_too_many and contents_before + place <= slots then 'education_ratio'
            else 'slots_full'
        end as not_chosen_reason

    from slots_given

    union all

    select
        person_id,
        channel,
        offer_id,
        arm,
        propensity,
        is_explored,
        shadow_price_usd,
        rank::integer as rank,
        null::integer as slot,
        stopped_by as not_chosen_reason

    from candidates_ranked

    where stopped_by is not null

)

select * from placements
