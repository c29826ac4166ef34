with

shares as (

    select * from {{ ref('hygiene_shares') }}

),

metrics (metric, source, table_name, key, value, n) as (

    select 'duplicated', source, '', '', round(duplicated_rows / nullif(landed_rows, 0), 9), landed_rows from shares
    union all
    select 'outdated', source, '', '', round((superseded_rows + expired_values) / nullif(landed_rows, 0), 9), landed_rows from shares

)

select
    metric,
    source,
    table_name,
    key,
    value::double as value,
    n::bigint as n
from metrics
order by metric, source
