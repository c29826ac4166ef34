-- A view: the rows stand once, in int_assignments_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_assignments_judged') }}
where {{ is_used('reasons') }}
