with

current_rows as (

    {{ first_known(source('raw', 'wallets__transfers'), key=['tx_hash', 'chain', 'from_address', 'to_address', 'asset']) }}

),

standardised as (

    select
        current_rows.tx_hash,
        current_rows.chain,
        {{ is_testnet('current_rows.chain') }} as is_testnet,
        current_rows.from_address,
        {{ wallet_std('current_rows.from_address') }} as from_wallet_std,
        current_rows.to_address,
        {{ wallet_std('current_rows.to_address') }} as to_wallet_std,
        current_rows.asset,
        current_rows.amount,
        current_rows.occurred_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
