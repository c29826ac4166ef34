with

current_rows as (

    {{ first_known(source('raw', 'events__events'), key=['event_id'], repeated_keys=ref('int_event_keys_repeated')) }}

),

time_zones as (

    select distinct name from pg_timezone_names()

),

standardised as (

    select
        current_rows.event_id,
        current_rows.occurred_at,
        current_rows.received_at,
        current_rows.event_name,
        current_rows.channel,
        current_rows.anonymous_id,
        current_rows.device_id,
        current_rows.session_id,
        current_rows.account_id,
        current_rows.user_agent,
        current_rows.ip_country,
        current_rows.ip_region,
        current_rows.time_zone,
        time_zones.name as time_zone_std,
        current_rows.decision_id,
        current_rows.offer_id,
        current_rows.asset,
        current_rows.value_usd,
        current_rows.properties,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join time_zones
        on trim(current_rows.time_zone) = time_zones.name

)

select * from standardised
