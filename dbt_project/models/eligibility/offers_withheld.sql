with

offers as (

    select *
    from {{ ref('stg_catalogue__offers') }}
    qualify row_number() over (partition by offer_id order by version desc) = 1

),

matrix as (

    select * from {{ source('policy', 'matrix') }}

),

silos as (

    select * from {{ source('raw', 'silos') }}
    where state <> 'in time'

),

every_stage as (

    select list_distinct(flatten(list(stages))) as stages from matrix

),

-- A line that the matrix does not know needs everything: it is refused anyway, and must not look as if it rested on nothing.
judged as (

    select
        silos.source,
        silos.table_name,
        silos.state,
        silos.last_delivered_at,
        silos.hours_since_delivery,
        offers.offer_id,
        offers.product_line,
        case
            when list_contains(silos.needed_for, 'all') then 'everything needs it'
            when list_contains(silos.needed_for, 'stages') and coalesce(not list_has_all(matrix.stages, every_stage.stages), true)
                then 'the product line needs a lifecycle stage'
            when list_contains(silos.needed_for, 'market_state') and coalesce(matrix.vol_max < 2, true)
                then 'the product line needs the state of the market'
            when list_contains(silos.needed_for, 'transfers') and coalesce(offers.requires_transfer, true)
                then 'the offer requires a transfer'
            when len(list_filter(
                coalesce(offers.uses_features, []),
                lambda used: len(list_filter(silos.features, lambda beginning: starts_with(used, beginning))) > 0
            )) > 0
                then 'the offer uses features made of it'
        end as why_needed

    from offers

    cross join silos

    cross join every_stage

    left join matrix
        on offers.product_line = matrix.product_line

)

select
    *,
    case state when 'late' then 'DQ_SILO_LATE' else 'DQ_SILO_MISSING' end as code
from judged
where why_needed is not null
order by source, table_name, offer_id
