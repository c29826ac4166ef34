with

metrics as (

    select * from {{ ref('metrics') }}

),

limits as (

    select * from {{ ref('trend_limits') }}

),

{{ judged_by_trend('metrics', 'limits') }}

select * from judged_by_trend
order by metric, source, table_name, key
