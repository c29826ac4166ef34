with

event_identifiers as (

    select * from {{ ref('int_event_identifiers_grouped') }}
    where device_id is not null
        and anonymous_id is not null

),

-- A public machine is a hub and links nothing; comparing its thousands of browsers with each other would say the same at a price.
private_devices as (

    select device_id
    from event_identifiers
    group by device_id
    having count(distinct anonymous_id) <= {{ var('identity_max_anonymous_ids_per_device', 50) }}

),

stays as (

    select
        event_identifiers.device_id,
        event_identifiers.anonymous_id,
        min(event_identifiers.first_occurred_at) as first_at,
        max(event_identifiers.last_occurred_at) as last_at,
        bool_or(event_identifiers.account_id is not null) as has_logged_in

    from event_identifiers

    inner join private_devices
        on event_identifiers.device_id = private_devices.device_id

    group by
        event_identifiers.device_id,
        event_identifiers.anonymous_id

),

-- A browser that forgets its cookie gets the next one after the last. Two that come and go by turns are two browsers, and on a device
-- that is passed around two people: one that never logged in belongs to nobody we know.
browsers_overlapping as (

    select distinct
        stays.device_id,
        stays.anonymous_id

    from stays

    inner join stays as others
        on stays.device_id = others.device_id
        and stays.anonymous_id <> others.anonymous_id
        and stays.first_at < others.last_at
        and others.first_at < stays.last_at

    where not stays.has_logged_in

)

select * from browsers_overlapping
