-- A returned row says that event rows landed and event rows accounted for differ.
-- Usual cause: a join in int_events_judged that drops or doubles rows, or a staging layer of another run.
with

landed as (

    select count(*) as rows from {{ ref('stg_events__events') }}

),

repeated as (

    select coalesce(sum(duplicates), 0) as rows from {{ ref('stg_events__events') }}

),

kept as (

    select count(*) as rows from {{ ref('events') }}

),

removed as (

    select count(*) as rows from {{ ref('removed_events') }}

)

select
    landed.rows as events,
    repeated.rows as duplicates,
    kept.rows as kept,
    removed.rows as removed
from landed, repeated, kept, removed
where landed.rows + repeated.rows <> kept.rows + removed.rows
