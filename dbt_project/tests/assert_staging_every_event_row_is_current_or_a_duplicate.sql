-- A returned row says that event rows landed and event rows staged differ.
-- Usual cause: a delivery pinned to the run but extracted after its instant.
with

landed as (

    select count(*) as rows from {{ source('raw', 'events__events') }}
    where _extracted_at <= {{ as_of() }}

),

staged as (

    select count(*) as rows from {{ ref('stg_events__events') }}

),

repeated as (

    select count(*) as rows from {{ ref('stg_events__event_duplicates') }}

)

select
    landed.rows as landed,
    staged.rows as staged,
    repeated.rows as repeated
from landed, staged, repeated
where landed.rows <> staged.rows + repeated.rows
