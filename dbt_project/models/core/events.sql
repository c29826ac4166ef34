-- A view: the rows stand once, in int_events_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_events_judged') }}
where {{ is_used('reasons') }}
