-- A view: the rows stand once, in int_trades_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_trades_judged') }}
where {{ is_used('reasons') }}
