{#- The first stretch of the offers' validity in which a message may be sent to a place: open in all zones, by all rows that hold there. -#}
{{ config(database=vault_database()) }}

with

places as (

    select * from {{ ref('places') }}

),

zone_windows as (

    select * from {{ ref('zone_windows') }}

),

channels as (

    select distinct rule_channel
    from {{ source('policy', 'channels') }}
    where has_window

),

quiet_hours as (

    select distinct regime
    from {{ source('policy', 'quiet_hours') }}

),

-- The house's rows hold for every message that waits for a window; those of US regimes for texts.
place_regimes as (

    select
        places.place_id,
        places.u_tzs,
        channels.rule_channel,
        quiet_hours.regime

    from places

    cross join channels

    inner join quiet_hours
        on quiet_hours.regime = '*'
        or (
            channels.rule_channel = 'sms'
            and (quiet_hours.regime = 'US' or starts_with(quiet_hours.regime, 'US-'))
            and list_contains(places.u_regimes, quiet_hours.regime)
        )

),

place_limits as (

    select
        place_id,
        rule_channel,
        regime,
        unnest(u_tzs) as zone

    from place_regimes

),

limit_counts as (

    select
        place_id,
        rule_channel,
        count(*) as limits

    from place_limits

    group by place_id, rule_channel

),

-- The intersection begins where one of its windows does.
beginnings as (

    select distinct
        place_limits.place_id,
        place_limits.rule_channel,
        zone_windows.opens_at

    from place_limits

    inner join zone_windows
        on place_limits.zone = zone_windows.zone
        and place_limits.regime = zone_windows.regime

),

intersections as (

    select
        beginnings.place_id,
        beginnings.rule_channel,
        beginnings.opens_at as send_after,
        min(zone_windows.closes_at) as send_before

    from beginnings

    inner join place_limits
        on beginnings.place_id = place_limits.place_id
        and beginnings.rule_channel = place_limits.rule_channel

    inner join zone_windows
        on place_limits.zone = zone_windows.zone
        and place_limits.regime = zone_windows.regime
        and zone_windows.opens_at <= beginnings.opens_at
        and beginnings.opens_at < zone_windows.closes_at

    inner join limit_counts
        on beginnings.place_id = limit_counts.place_id
        and beginnings.rule_channel = limit_counts.rule_channel

    group by beginnings.place_id, beginnings.rule_channel, beginnings.opens_at

    having count(*) = any_value(limit_counts.limits)

),

first_windows as (

    select *
    from intersections
    qualify row_number() over (partition by place_id, rule_channel order by send_after) = 1

),

send_windows as (

    select
        places.place_id,
        channels.rule_channel,
        places.u_tzs is not null as is_zone_known,
        coalesce(list_bool_or(list_transform(places.u_regimes, lambda name: name = 'US' or starts_with(name, 'US-'))), false) as is_in_us,
        first_windows.send_after,
        first_windows.send_before

    from places

    cross join channels

    left join first_windows
        on places.place_id = first_windows.place_id
        and channels.rule_channel = first_windows.rule_channel

)

select * from send_windows
