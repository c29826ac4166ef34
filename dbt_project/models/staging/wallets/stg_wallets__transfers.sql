with

current_rows as (

    {{ first_known(source('raw', 'wallets__transfers'), key=['tx_hash', 'chain', 'from_address', 'to_address', 'asset']) }}

),

wallet_chains as (

    select * from {{ ref('wallet_chains') }}

),

wallet_addresses as (

    select * from {{ source('state', 'wallet_addresses') }}

),

standardised as (

    select
        current_rows.tx_hash,
        current_rows.chain,
        {{ chain_std('current_rows.chain', 'wallet_chains') }} as chain_std,
        wallet_chains.family as chain_family,
        coalesce(wallet_chains.is_testnet, {{ is_testnet('current_rows.chain') }}) as is_testnet,
        current_rows.from_address,
        {{ wallet_std('current_rows.from_address') }} as from_wallet_std,
        {{ wallet_valid('current_rows.from_address', 'wallet_chains.address_formats', 'from_addresses') }} as from_wallet_valid,
        {{ wallet_reason('current_rows.from_address', 'wallet_chains.address_formats', 'from_addresses') }} as from_wallet_reason,
        current_rows.to_address,
        {{ wallet_std('current_rows.to_address') }} as to_wallet_std,
        {{ wallet_valid('current_rows.to_address', 'wallet_chains.address_formats', 'to_addresses') }} as to_wallet_valid,
        {{ wallet_reason('current_rows.to_address', 'wallet_chains.address_formats', 'to_addresses') }} as to_wallet_reason,
        current_rows.asset,
        {{ asset_std('current_rows.asset') }} as asset_std,
        current_rows.asset is not null and {{ asset_reason('current_rows.asset') }} is null as asset_valid,
        {{ asset_reason('current_rows.asset') }} as asset_reason,
        current_rows.amount,
        current_rows.occurred_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join wallet_chains
        on lower(trim(current_rows.chain)) = wallet_chains.chain

    left join wallet_addresses as from_addresses
        on trim(current_rows.from_address) = from_addresses.raw

    left join wallet_addresses as to_addresses
        on trim(current_rows.to_address) = to_addresses.raw

)

select * from standardised
