-- A view: the rows stand once, in int_transfers_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_transfers_judged') }}
where {{ is_used('reasons') }}
