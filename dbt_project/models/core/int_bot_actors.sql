with

actors as (

    select * from {{ ref('int_actors') }}

),

-- Read three times with different filters; materialised it would be a copy of all events.
acts as not materialized (

    select
        {{ actor('events') }} as actor,
        events.event_id,
        events.account_id,
        events.session_id,
        events.occurred_at
    from {{ ref('stg_events__events') }} as events
    where events.event_name not in ('heartbeat', 'offer_shown')
        and events.occurred_at <= {{ as_of() }}

),

acts_in_bot_sessions as (

    select
        actor,
        count(*) as acts
    from acts
    where session_id in (select session_id from {{ ref('int_bot_sessions') }})
    group by actor

),

-- Spiders that stay under every rate do not log in. Whoever does is not compared here, which also keeps the window small. What follows within
-- a minute belongs to the same visit.
gaps_of_strangers as (

    select
        actor,
        epoch_ms(occurred_at) - epoch_ms(lag(occurred_at) over (partition by actor order by occurred_at, event_id)) as gap_ms
    from acts
    where actor in (select actor from actors where acts >= 15 and acts_logged_in = 0)
    qualify gap_ms >= 60000

),

medians as (

    select
        actor,
        quantile_disc(gap_ms, 0.5) as median_ms
    from gaps_of_strangers
    group by actor

),

-- Four of five pauses within a tenth of the middle one, of 12 or more. Of pauses as people leave them one in seven is, so by chance one actor in
-- a million.
metronomes as (

    select gaps_of_strangers.actor

    from gaps_of_strangers

    inner join medians
        on gaps_of_strangers.actor = medians.actor

    group by gaps_of_strangers.actor

    having count(*) >= 12
        and count(*) filter (where abs(gaps_of_strangers.gap_ms - medians.median_ms) * 10 <= medians.median_ms) * 5 >= count(*) * 4

),

-- Only who was ever seen in 20 of the 24 hours, and often enough, can have been so on three days.
days as (

    select
        actor,
        occurred_at::date as day,
        bit_count(bit_or(1::bigint << hour(occurred_at))) as hours,
        min(account_id) as first_account,
        max(account_id) as last_account
    from acts
    where actor in (select actor from actors where acts >= 60 and hours_of_the_day >= 20)
    group by actor, occurred_at::date

),

-- Nobody is at it in 20 hours of a day three times. A device that several people log in at may be.
restless as (

    select actor
    from days
    group by actor
    having count(*) filter (where hours >= 20) >= 3
        and min(first_account) is not distinct from max(last_account)

),

judged as (

    select
        actors.actor,
        -- Half of what it does is a machine's: so is the rest.
        coalesce(acts_in_bot_sessions.acts * 2 >= actors.acts, false) as has_bot_sessions,
        -- Ten acts over five days, all in the same one or two minutes of the hour. By chance: under one in 10^12.
        actors.acts >= 10
        and actors.minutes_of_the_hour <= 2
        and actors.last_acted_at >= actors.first_acted_at + interval 5 day as keeps_the_clock,
        metronomes.actor is not null as is_metronome,
        restless.actor is not null as never_rests

    from actors

    left join acts_in_bot_sessions
        on actors.actor = acts_in_bot_sessions.actor

    left join metronomes
        on actors.actor = metronomes.actor

    left join restless
        on actors.actor = restless.actor

)

select * from judged
where has_bot_sessions or keeps_the_clock or is_metronome or never_rests
