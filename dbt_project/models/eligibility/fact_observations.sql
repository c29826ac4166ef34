{#- Absence is known only from a complete extract, so a fact is as old as its feeds' last whole extract, not as its rows. -#}
{{ config(database=vault_database()) }}

with

facts as (

    select * from {{ ref('fact_ages') }}

),

feeds as (

    select
        source || '.' || table_name as feed,
        known_whole_at

    from {{ source('raw', 'feeds') }}

),

screening_runs as (

    select * from {{ ref('stg_compliance__screening_runs') }}

),

fact_feeds as (

    -- What past runs published is known here without a feed.
    select
        fact,
        max_age_hours,
        unnest(list_filter(sources, lambda name: not starts_with(name, 'state.'))) as feed

    from facts

    where fact not in ('u_sanctions_status', 'u_wallet_sanctioned')

),

-- Screening facts are as old as the screening itself, and its hits must have come whole since.
fact_screenings as (

    select
        facts.fact,
        facts.max_age_hours,
        least(max(screening_runs.screened_at), max(feeds.known_whole_at)) as observed_at,
        max(screening_runs.screened_at) is null or max(feeds.known_whole_at) is null as is_never

    from facts

    left join screening_runs
        on screening_runs.scope = case facts.fact when 'u_sanctions_status' then 'accounts' else 'wallets' end
        and screening_runs.screened_at <= {{ as_of() }}

    left join feeds
        on feeds.feed = 'compliance.screening_hits'

    where facts.fact in ('u_sanctions_status', 'u_wallet_sanctioned')

    group by facts.fact, facts.max_age_hours

),

fact_whole as (

    select
        fact_feeds.fact,
        fact_feeds.max_age_hours,
        min(feeds.known_whole_at) as observed_at,
        bool_or(feeds.known_whole_at is null) as is_never

    from fact_feeds

    left join feeds
        on fact_feeds.feed = feeds.feed

    group by fact_feeds.fact, fact_feeds.max_age_hours

),

observed as (

    select * from fact_whole
    union all
    select * from fact_screenings

),

judged as (

    select
        fact,
        max_age_hours,
        case when not is_never then observed_at end as observed_at,
        coalesce(
            not is_never
            and observed_at <= {{ as_of() }}
            and {{ as_of() }} - observed_at <= to_hours(max_age_hours),
            false
        ) as is_fresh

    from observed

)

select * from judged
