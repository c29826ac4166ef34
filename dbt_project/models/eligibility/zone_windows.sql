{#- Every minute of the offers' validity is looked at in local time, so that a change of clocks needs no rule of its own. -#}
{{ config(database=vault_database()) }}

with

places as (

    select * from {{ ref('places') }}

),

quiet_hours as (

    select * from {{ source('policy', 'quiet_hours') }}

),

zones as (

    select distinct unnest(u_tzs) as zone
    from places

),

regimes as (

    select distinct regime
    from quiet_hours

),

minutes as (

    select
        date_trunc('minute', {{ as_of() }}) + to_minutes(minute::integer) as minute_at,
        minute

    from range(({{ limit_value('offer_validity_hours') }}::integer * 60)::bigint) as series(minute)

),

local_minutes as (

    select
        zones.zone,
        minutes.minute,
        minutes.minute_at,
        isodow({{ local_time('zones.zone', 'minutes.minute_at') }}) as iso_weekday,
        {{ minute_of_day(local_time('zones.zone', 'minutes.minute_at')) }} as local_minute

    from zones

    cross join minutes

),

-- A day without a row of the regime is open all day; several rows of a day must all be open.
minutes_open as (

    select
        local_minutes.zone,
        regimes.regime,
        local_minutes.minute,
        local_minutes.minute_at

    from local_minutes

    cross join regimes

    left join quiet_hours
        on regimes.regime = quiet_hours.regime
        and local_minutes.iso_weekday = quiet_hours.iso_weekday
        and {{ is_quiet('local_minutes.local_minute', 'quiet_hours') }}

    where quiet_hours.regime is null

),

islands as (

    select
        *,
        minute - row_number() over (partition by zone, regime order by minute) as island

    from minutes_open

),

windows as (

    select
        zone,
        regime,
        greatest(min(minute_at), {{ as_of() }}) as opens_at,
        max(minute_at) + interval 1 minute as closes_at

    from islands

    group by zone, regime, island

)

select * from windows
