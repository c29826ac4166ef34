with

counts as (

    select * from {{ ref('hygiene_counts') }}

),

-- A superseded row may also repeat exactly; it is counted once, as the exact copy. Expired values stand in current rows and are told beside.
summed as (

    select
        coalesce(source, 'all') as source,
        sum(rows) filter (where kind = 'rows') as landed_rows,
        coalesce(sum(rows) filter (where kind in ('duplicate_exact', 'duplicate_near', 'duplicate_semantic')), 0) as duplicated_rows,
        coalesce(sum(rows) filter (where kind = 'superseded'), 0) as superseded_rows,
        coalesce(sum(rows) filter (where kind = 'expired'), 0) as expired_values
    from counts
    group by grouping sets ((source), ())

)

select
    source,
    landed_rows::bigint as landed_rows,
    duplicated_rows::bigint as duplicated_rows,
    superseded_rows::bigint as superseded_rows,
    expired_values::bigint as expired_values,
    round((duplicated_rows + superseded_rows)::double / nullif(landed_rows, 0), 6) as share_duplicated_or_outdated
from summed
order by source
