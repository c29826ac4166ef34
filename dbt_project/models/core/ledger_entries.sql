-- A view: the rows stand once, in int_ledger_entries_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_ledger_entries_judged') }}
where {{ is_used('reasons') }}
