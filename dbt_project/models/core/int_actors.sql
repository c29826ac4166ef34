with

events as (

    select * from {{ ref('stg_events__events') }}
    -- What a person did. Heartbeats and shown offers come by the clock for everybody.
    where event_name not in ('heartbeat', 'offer_shown')
        and occurred_at <= {{ as_of() }}

),

actors as (

    select
        {{ actor('events') }} as actor,
        count(*) as acts,
        count(account_id) as acts_logged_in,
        bit_count(bit_or(1::bigint << minute(occurred_at))) as minutes_of_the_hour,
        bit_count(bit_or(1::bigint << hour(occurred_at))) as hours_of_the_day,
        min(occurred_at) as first_acted_at,
        max(occurred_at) as last_acted_at

    from events

    group by actor

)

select * from actors
where actor is not null
