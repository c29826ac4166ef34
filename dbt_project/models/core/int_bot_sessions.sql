with

-- Heartbeats are regular by nature and say nothing.
acts as (

    select
        session_id,
        event_id,
        occurred_at
    from {{ ref('stg_events__events') }}
    where event_name <> 'heartbeat'
        and session_id in (
            select session_id from {{ ref('int_sessions') }}
            where acts >= 15 and ended_at <= started_at + interval 24 hour
        )
        and occurred_at <= {{ as_of() }}

),

gaps as (

    select
        session_id,
        epoch_ms(occurred_at) - epoch_ms(
            lag(occurred_at) over (partition by session_id order by occurred_at, event_id)
        ) as gap_ms
    from acts

),

-- Integers only: sums of doubles would depend on the order of rows.
rhythm as (

    select
        session_id,
        count(gap_ms) as gaps,
        sum(gap_ms::hugeint) as total_ms,
        sum(gap_ms::hugeint * gap_ms::hugeint) as squares_ms
    from gaps
    group by session_id

),

judged as (

    select
        session_id,
        -- 30 acts a minute, 15 or more in a row: twice what the fastest tapping of a person in an app gives.
        total_ms <= gaps::hugeint * 2000 as is_too_fast,
        -- Coefficient of variation under 0.15 over 14 gaps or more: people's gaps vary by more than their own mean.
        gaps::hugeint * squares_ms - total_ms * total_ms < 0.0225 * (total_ms * total_ms)::double as is_too_regular
    from rhythm

)

select * from judged
where is_too_fast or is_too_regular
