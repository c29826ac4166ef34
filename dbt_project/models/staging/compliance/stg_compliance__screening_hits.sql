with

current_rows as (

    {{ first_known(source('vault_raw', 'compliance__screening_hits'), key=['hit_id']) }}

),

wallet_chains as (

    select * from {{ ref('wallet_chains') }}

),

wallet_addresses as (

    select * from {{ source('vault_state', 'wallet_addresses') }}

),

standardised as (

    select
        current_rows.hit_id,
        current_rows.screening_run_id,
        current_rows.account_id,
        current_rows.wallet_address,
        {{ wallet_std('current_rows.wallet_address') }} as wallet_std,
        {{ wallet_valid('current_rows.wallet_address', 'wallet_chains.address_formats', 'wallet_addresses') }} as wallet_valid,
        {{ wallet_reason('current_rows.wallet_address', 'wallet_chains.address_formats', 'wallet_addresses') }} as wallet_reason,
        current_rows.chain,
        {{ chain_std('current_rows.chain', 'wallet_chains') }} as chain_std,
        wallet_chains.family as chain_family,
        coalesce(wallet_chains.is_testnet, {{ is_testnet('current_rows.chain') }}) as is_testnet,
        current_rows.outcome,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join wallet_chains
        on lower(trim(current_rows.chain)) = wallet_chains.chain

    left join wallet_addresses
        on trim(current_rows.wallet_address) = wallet_addresses.raw

)

select * from standardised
