-- A view: the rows stand once, in int_messages_judged.
{{ config(materialized='view') }}

select * exclude (reasons) from {{ ref('int_messages_judged') }}
where {{ is_used('reasons') }}
