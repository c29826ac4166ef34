with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

identifier_kinds as (

    select * from {{ ref('identifier_kinds') }}

),

event_identifiers as (

    select * from {{ ref('int_event_identifiers_grouped') }}
    where account_id is not null

),

log_ins as (

    select
        'anonymous_id' as identifier_kind,
        anonymous_id as identifier,
        min(first_occurred_at) as identified_at
    from event_identifiers
    where anonymous_id is not null
    group by anonymous_id

    union all

    select
        'device_id' as identifier_kind,
        device_id as identifier,
        min(first_occurred_at) as identified_at
    from event_identifiers
    where device_id is not null
    group by device_id

),

-- A browser says who it is at its first log-in. What it did shortly before was the same person; a year before, perhaps not.
owners as (

    select
        person_identifiers.identifier_kind,
        person_identifiers.identifier,
        person_identifiers.person_id,
        person_identifiers.linked_at,
        log_ins.identified_at - to_days(identifier_kinds.backstitch_days) as counts_from

    from person_identifiers

    inner join identifier_kinds
        on person_identifiers.identifier_kind = identifier_kinds.identifier_kind

    left join log_ins
        on person_identifiers.identifier_kind = log_ins.identifier_kind
        and person_identifiers.identifier = log_ins.identifier

)

select * from owners
