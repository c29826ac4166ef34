with

sessions as (

    select * from {{ ref('int_sessions') }}

),

-- Heartbeats are regular by nature and say nothing.
acts as (

    select
        session_id,
        event_id,
        occurred_at
    from {{ ref('stg_events__events') }}
    where event_name <> 'heartbeat'
        and session_id in (select session_id from sessions where acts >= 15)
        and occurred_at <= {{ as_of() }}

),

gaps as (

    select
        session_id,
        epoch_ms(occurred_at) - epoch_ms(
            lag(occurred_at) over (partition by session_id order by occurred_at, event_id)
        ) as gap_ms
    from acts
    qualify gap_ms is not null

),

medians as (

    select
        session_id,
        quantile_disc(gap_ms, 0.5) as median_ms
    from gaps
    group by session_id

),

rhythms as (

    select
        gaps.session_id,
        count(*) as gaps,
        count(*) filter (where gaps.gap_ms <= 2000) as short_gaps,
        count(*) filter (where abs(gaps.gap_ms - medians.median_ms) * 10 <= medians.median_ms) as like_the_median

    from gaps

    inner join medians
        on gaps.session_id = medians.session_id

    group by gaps.session_id

),

-- Shares, not means: a machine that pauses between two bursts is still a machine.
judged as (

    select
        session_id,
        -- Four of five acts within two seconds of the one before, for 14 gaps or more: nobody reads that fast.
        short_gaps * 5 >= gaps * 4 as is_too_fast,
        -- Four of five gaps within a tenth of the middle one. Of exponential gaps, as people leave them, one in 14 is.
        like_the_median * 5 >= gaps * 4 as is_too_regular
    from rhythms

)

select * from judged
where is_too_fast or is_too_regular
