with

removed as (

    select
        row_hash,
        entry_id,
        account_id,
        person_id,
        reasons,
        {{ noise_score('reasons') }} as score
    from {{ ref('int_ledger_entries_judged') }}
    where len(reasons) > 0

)

select * from removed
