with

event_rows as (

    select
        event_id,
        _row_hash as row_hash,
        _extracted_at as known_at
    from {{ source('raw', 'events__events') }}
    where _extracted_at <= {{ as_of() }}
        and hash(event_id) in (select key_hash from {{ ref('int_event_keys_repeated') }})

),

not_the_first as (

    select
        event_rows.event_id,
        event_rows.row_hash,
        event_rows.known_at
    from event_rows
    qualify row_number() over (partition by event_rows.event_id order by event_rows.known_at, event_rows.row_hash) > 1

)

select * from not_the_first
