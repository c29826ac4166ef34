with

removed as (

    select
        row_hash,
        trade_id,
        account_id,
        person_id,
        reasons
    from {{ ref('int_trades_judged') }}
    where len(reasons) > 0

)

select * from removed
