with

removed as (

    select
        row_hash,
        tx_hash,
        chain,
        from_person_id,
        to_person_id,
        reasons,
        {{ noise_score('reasons') }} as score
    from {{ ref('int_transfers_judged') }}
    where len(reasons) > 0

)

select * from removed
