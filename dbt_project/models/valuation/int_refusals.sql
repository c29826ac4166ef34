{#- A no counts however it came: also what is no genuine visit (a dead session, a shared browser, a likely link) leaves somebody in peace. -#}
with

genuine_events as (

    select * from {{ ref('events') }}

),

received_events as (

    select * from {{ ref('stg_events__events') }}
    where event_name in ('offer_dismissed', 'offer_not_relevant')
        and offer_id is not null
        and occurred_at <= {{ as_of() }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

events as (

    select
        person_id,
        offer_id,
        occurred_at

    from genuine_events

    where event_name in ('offer_dismissed', 'offer_not_relevant')
        and offer_id is not null
        and person_id is not null
        and occurred_at <= {{ as_of() }}

    union all

    select
        person_identifiers.person_id,
        received_events.offer_id,
        received_events.occurred_at

    from received_events

    inner join person_identifiers
        on person_identifiers.identifier_kind = case
            when received_events.account_id is not null then 'account_id'
            when received_events.device_id is not null then 'device_id'
            else 'anonymous_id'
        end
        and person_identifiers.identifier
        = coalesce(received_events.account_id, received_events.device_id, received_events.anonymous_id)

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
