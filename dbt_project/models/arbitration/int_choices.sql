with

set_aside as (

    select * from {{ source('decisions', 'people_set_aside') }}

),

options as (

    select options.* from {{ ref('line_options') }} as options

    anti join set_aside
        on options.person_id = set_aside.person_id

),

allocations as (

    select * from {{ source('decisions', 'allocations') }}

),

shadow_prices as (

    select
        offer_id,
        price_usd

    from {{ source('decisions', 'shadow_prices') }}

    where offer_id is not null

),

options_compared as (

    select
        options.*,
        shadow_prices.price_usd as shadow_price_usd,
        case
            when allocations.person_id is not null then coalesce(options.offer_id = allocations.offer_id, false)
            else row_number() over (
                partition by options.person_id, options.product_line
                order by options.value_usd desc, options.offer_id
            ) = 1
        end as is_best,
        allocations.person_id is not null
        and coalesce(options.value_usd > max(options.value_usd) filter (where options.offer_id = allocations.offer_id)
            over (partition by options.person_id, options.product_line), true) as is_outbid

    from options

    left join allocations
        on options.person_id = allocations.person_id
        and options.product_line = allocations.product_line

    left join shadow_prices
        on options.offer_id = shadow_prices.offer_id

),

choices as (

    select
        person_id,
        product_line,
        offer_id,
        is_explored,
        shadow_price_usd,
        case when is_explored then is_first_drawn else is_best end as is_chosen,
        -- How likely the offer was to be the one of its product line, over the draws of exploration.
        round(
            case
                when drawable <= 1 then is_best::integer
                else
                    is_best::integer * (1 - {{ objective('exploration_share') }})
                    + case when total_cap is null then {{ objective('exploration_share') }} / drawable else 0 end
            end,
            6
        )::double as propensity,
        case
            when is_outbid and total_cap is not null then 'total_cap'
            when is_outbid then 'budget'
            else 'line_taken'
        end as otherwise

    from options_compared

)

select * from choices
