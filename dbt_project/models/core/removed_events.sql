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

kept_hashes as (

    select row_hash from {{ ref('stg_events__events') }}
    where duplicates > 0

),

-- Exact: the content is that of the row that was kept. A near copy that comes twice counts as near both times.
duplicates as (

    select
        row_hash,
        event_id,
        null::varchar as person_id,
        [
            case
                when row_hash in (select row_hash from kept_hashes) then 'duplicate_exact'
                else 'duplicate_near'
            end
        ] as reasons
    from {{ ref('stg_events__event_duplicates') }}

),

removed as (

    select * from judged
    union all
    select * from duplicates

)

select
    row_hash,
    event_id,
    person_id,
    reasons,
    {{ noise_score('reasons') }} as score
from removed
