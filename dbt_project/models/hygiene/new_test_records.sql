with

records as (

    select * from {{ ref('int_test_records') }}
    where is_new

),

totals as (

    select
        source,
        table_name,
        count(*) as new_records,
        count(*) filter (where is_test) as new_tests
    from records
    group by source, table_name

),

delivered (row_hash, delivery_id) as (

    select _row_hash, min(_delivery_id) from {{ source('raw', 'exchange__accounts') }} group by _row_hash
    union all
    select _row_hash, min(_delivery_id) from {{ source('raw', 'crm__contacts') }} group by _row_hash

)

select
    records.source,
    records.table_name,
    records.record_id,
    replace(records.row_hash::varchar, '-', '') as row_hash,
    delivered.delivery_id,
    totals.new_tests,
    totals.new_records
from records
inner join totals
    on records.source = totals.source
    and records.table_name = totals.table_name
left join delivered
    on records.row_hash = delivered.row_hash
where records.is_test
order by records.source, records.table_name, records.record_id
