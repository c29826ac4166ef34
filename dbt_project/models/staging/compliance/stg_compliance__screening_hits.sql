with

current_rows as (

    {{ first_known(source('vault_raw', 'compliance__screening_hits'), key=['hit_id']) }}

),

standardised as (

    select
        current_rows.hit_id,
        current_rows.screening_run_id,
        current_rows.account_id,
        current_rows.wallet_address,
        {{ wallet_std('current_rows.wallet_address') }} as wallet_std,
        {{ wallet_valid('current_rows.wallet_address') }} as wallet_valid,
        current_rows.chain,
        {{ is_testnet('current_rows.chain') }} as is_testnet,
        current_rows.outcome,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
