with

actors as (

    select * from {{ ref('int_actors') }}

),

bot_sessions as (

    select * from {{ ref('int_bot_sessions') }}

),

events_of_bot_sessions as (

    select * from {{ ref('stg_events__events') }}
    where session_id in (select session_id from bot_sessions)
        and event_name not in ('heartbeat', 'offer_shown')
        and occurred_at <= {{ as_of() }}

),

acts_in_bot_sessions as (

    select
        {{ actor('events_of_bot_sessions') }} as actor,
        count(*) as acts
    from events_of_bot_sessions
    group by actor

),

judged as (

    select
        actors.actor,
        -- Half of what it does is a machine's: so is the rest.
        coalesce(acts_in_bot_sessions.acts * 2 >= actors.acts, false) as has_bot_sessions,
        -- Ten acts over five days, all in the same one or two minutes of the hour. By chance: under one in 10^12.
        actors.acts >= 10
        and actors.minutes_of_the_hour <= 2
        and actors.last_acted_at >= actors.first_acted_at + interval 5 day as keeps_the_clock

    from actors

    left join acts_in_bot_sessions
        on actors.actor = acts_in_bot_sessions.actor

)

select * from judged
where has_bot_sessions or keeps_the_clock
