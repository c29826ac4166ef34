with

current_rows as (

    {{ newest_content(source('raw', 'wallets__wallet_links'), key=['link_id'], ties=['unlinked_at nulls first']) }}

),

standardised as (

    select
        current_rows.link_id,
        current_rows.wallet_address,
        {{ wallet_std('current_rows.wallet_address') }} as wallet_std,
        {{ wallet_valid('current_rows.wallet_address') }} as wallet_valid,
        current_rows.chain,
        {{ is_testnet('current_rows.chain') }} as is_testnet,
        current_rows.account_id,
        current_rows.device_id,
        current_rows.proof,
        current_rows.linked_at,
        current_rows.unlinked_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
