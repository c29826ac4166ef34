with

events as (

    select * from {{ ref('stg_events__events') }}

),

-- Tens of millions of events carry a few million distinct triples: everything after this reads the triples only.
event_identifiers_grouped as (

    select
        account_id,
        device_id,
        anonymous_id,
        min(known_at) as first_known_at,
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at,
        count(*) as events

    from events

    where account_id is not null
        or device_id is not null
        or anonymous_id is not null

    group by account_id, device_id, anonymous_id

)

select * from event_identifiers_grouped
