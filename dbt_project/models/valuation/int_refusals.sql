with

events as (

    select * from {{ ref('events') }}

    where event_name in ('offer_dismissed', 'offer_not_relevant')
        and offer_id is not null
        and person_id is not null
        and occurred_at <= {{ as_of() }}

),

product_line_per_offer as (

    select
        offer_id,
        arg_max(product_line, version) as product_line

    from {{ ref('stg_catalogue__offers') }}

    group by offer_id

),

refusals as (

    select
        events.person_id,
        events.offer_id,
        product_line_per_offer.product_line,
        max(events.occurred_at) as last_refused_at

    from events

    left join product_line_per_offer
        on events.offer_id = product_line_per_offer.offer_id

    group by
        events.person_id,
        events.offer_id,
        product_line_per_offer.product_line

)

select * from refusals
