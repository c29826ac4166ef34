with

events as (

    select * from {{ ref('stg_events__events') }}

),

-- 8 bytes an event instead of its columns. A collision only sends an event through the comparison that follows.
repeated as (

    select hash({{ event_moment('events') }}) as moment_hash
    from events
    group by moment_hash
    having count(*) > 1

)

select * from repeated
