with

events as (

    select * from {{ ref('stg_events__events') }}
    where coalesce(account_id, anonymous_id, device_id) is not null

),

-- Only events whose moment is there more than once are compared, column by column.
said_again as (

    select events.event_id

    from events

    where hash({{ event_moment('events') }}) in (select moment_hash from {{ ref('int_event_moments_repeated') }}){{ unless_duplicates_stay() }}

    qualify row_number() over (
        partition by {{ event_moment('events') }}
        order by events.known_at, events.occurred_at, events.event_id
    ) > 1

)

select * from said_again
