with

removed as (

    select
        row_hash,
        trade_id,
        account_id,
        person_id,
        reasons,
        {{ noise_score('reasons') }} as score
    from {{ ref('int_trades_judged') }}
    where len(reasons) > 0

)

select * from removed
