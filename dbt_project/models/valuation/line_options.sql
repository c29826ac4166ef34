with

candidates as (

    select * from {{ ref('candidates_valued') }}

    where is_promotion
        and tier = 1
        and not is_cooling_down

),

experiments as (

    select salt from {{ source('policy', 'experiments') }}

),

options as (

    select
        person_id,
        product_line,
        offer_id,
        min(arm) as arm,
        max(expected_incremental_value_usd) as value_usd,
        max(cost_usd) as cost_usd,
        max(total_cap) as total_cap

    from candidates

    group by
        person_id,
        product_line,
        offer_id

),

options_counted as (

    select
        *,
        -- What has a cap is never drawn: its places go to those whom it helps most.
        count(*) filter (where total_cap is null) over (partition by person_id, product_line) as drawable

    from options

),

options_drawn as (

    select
        options_counted.*,
        options_counted.drawable > 1
        and {{ draw(["experiments.salt", "'explore'", as_of(), "options_counted.person_id", "options_counted.product_line"]) }}
        % 1000000 < {{ objective('exploration_share') }} * 1000000 as is_explored,
        options_counted.total_cap is null
        and row_number() over (
            partition by options_counted.person_id, options_counted.product_line, options_counted.total_cap is null
            order by
                {{ draw(["experiments.salt", "'draw'", as_of(), "options_counted.person_id", "options_counted.offer_id"]) }},
                options_counted.offer_id
        ) = 1 as is_first_drawn

    from options_counted

    cross join experiments

)

select * from options_drawn
