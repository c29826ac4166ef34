with

judged as (

    select
        row_hash,
        event_id,
        person_id,
        reasons
    from {{ ref('int_events_judged') }}
    where len(reasons) > 0

),

duplicates as (

    select
        row_hash,
        event_id,
        null::varchar as person_id,
        ['duplicate'] as reasons
    from {{ ref('stg_events__event_duplicates') }}

),

removed as (

    select * from judged
    union all
    select * from duplicates

)

select * from removed
