with

sessions as (

    select * from {{ ref('int_sessions') }}

),

-- Heartbeats are regular by nature and say nothing. What comes within a quarter of a second is one act: a page that opens may send a
-- handful of events, and nobody is a machine for that.
moments as (

    select
        session_id,
        epoch_ms(occurred_at) // 250 as quarter,
        min(epoch_ms(occurred_at)) as at_ms,
        count(*) as acts
    from {{ ref('stg_events__events') }}
    where event_name <> 'heartbeat'
        and session_id in (select session_id from sessions where acts >= 15)
        and occurred_at <= {{ as_of() }}
    group by session_id, quarter

),

gaps as (

    select
        session_id,
        at_ms,
        acts,
        at_ms - lag(at_ms) over (partition by session_id order by quarter) as gap_ms
    from moments

),

medians as (

    select
        session_id,
        quantile_disc(gap_ms, 0.5) as median_ms
    from gaps
    where gap_ms is not null
    group by session_id

),

rhythms as (

    select
        gaps.session_id,
        sum(gaps.acts)::bigint as acts,
        max(gaps.at_ms) - min(gaps.at_ms) as lasted_ms,
        count(gaps.gap_ms) as gaps,
        count(*) filter (where gaps.gap_ms <= 2000) as short_gaps,
        count(*) filter (where abs(gaps.gap_ms - medians.median_ms) * 10 <= medians.median_ms) as like_the_median

    from gaps

    left join medians
        on gaps.session_id = medians.session_id

    group by gaps.session_id

),

-- Shares, not means: a machine that pauses between two bursts is still a machine.
judged as (

    select
        session_id,
        -- Four of five acts within two seconds of the one before, for 14 gaps or more: nobody reads that fast. Or 60 events at more than four a
        -- second throughout.
        (gaps >= 14 and short_gaps * 5 >= gaps * 4) or (acts >= 60 and lasted_ms < acts * 250) as is_too_fast,
        -- Four of five gaps within a tenth of the middle one. Of exponential gaps, as people leave them, one in 14 is.
        gaps >= 14 and like_the_median * 5 >= gaps * 4 as is_too_regular
    from rhythms

)

select * from judged
where is_too_fast or is_too_regular
