with

events as (

    select * from {{ ref('events') }}

),

product_uses as (

    select * from {{ ref('product_uses') }}

),

offers as (

    select * from {{ ref('stg_catalogue__offers') }}

),

product_line_per_offer as (

    select
        offer_id,
        arg_max(product_line, version) as product_line

    from offers

    group by offer_id

),

events_with_line as (

    select
        events.person_id,
        events.event_name,
        coalesce(events.product_line, product_line_per_offer.product_line) as product_line,
        events.occurred_at::date as occurred_day,
        greatest(events.occurred_at, events.known_at) as usable_at

    from events

    left join product_line_per_offer
        on events.offer_id = product_line_per_offer.offer_id

    where events.event_name in ('product_view', 'offer_shown', 'offer_clicked', 'offer_dismissed', 'offer_not_relevant')

),

event_days as (

    select
        person_id,
        product_line,
        'events' as silo,
        occurred_day,
        usable_at,
        count(*) filter (where event_name = 'product_view')::bigint as product_views,
        count(*) filter (where event_name = 'offer_shown')::bigint as offers_shown,
        count(*) filter (where event_name = 'offer_clicked')::bigint as offers_clicked,
        count(*) filter (where event_name in ('offer_dismissed', 'offer_not_relevant'))::bigint as offers_refused

    from events_with_line

    where product_line is not null

    group by
        person_id,
        product_line,
        occurred_day,
        usable_at

),

use_days as (

    select
        person_id,
        product_line,
        'exchange' as silo,
        occurred_at::date as occurred_day,
        greatest(occurred_at, known_at) as usable_at,
        count(*)::bigint as product_uses

    from product_uses

    group by
        person_id,
        product_line,
        occurred_day,
        usable_at

),

all_days as (

    select * from event_days
    union all by name
    select * from use_days

)

select * from all_days
