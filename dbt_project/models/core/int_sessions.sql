with

events as (

    select * from {{ ref('stg_events__events') }}
    where session_id is not null
        and occurred_at <= {{ as_of() }}

),

sessions as (

    select
        session_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) filter (where event_name <> 'heartbeat') as acts,
        bool_or(event_name not in ('session_start', 'heartbeat')) as has_content

    from events

    group by session_id

)

select * from sessions
