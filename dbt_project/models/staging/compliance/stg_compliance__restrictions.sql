with

current_rows as (

    {{ newest_content(source('vault_raw', 'compliance__restrictions'), key=['restriction_id'], updated_at='source_updated_at',
        ties=["status = 'resolved'", 'ends_at desc nulls first']) }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

wallet_addresses as (

    select * from {{ source('vault_state', 'wallet_addresses') }}

),

standardised as (

    select
        current_rows.restriction_id,
        current_rows.account_id,
        current_rows.wallet_address,
        {{ wallet_std('current_rows.wallet_address') }} as wallet_std,
        {{ wallet_valid('current_rows.wallet_address', 'null', 'wallet_addresses') }} as wallet_valid,
        {{ wallet_reason('current_rows.wallet_address', 'null', 'wallet_addresses') }} as wallet_reason,
        current_rows.email,
        {{ email_std('current_rows.email', 'email_providers') }} as email_std,
        {{ email_valid('current_rows.email') }} as email_valid,
        {{ email_reason('current_rows.email') }} as email_reason,
        current_rows.kind,
        current_rows.scope,
        current_rows.status,
        current_rows.starts_at,
        current_rows.ends_at,
        current_rows.source_updated_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join email_providers
        on {{ email_domain('current_rows.email') }} = email_providers.domain

    -- No chain is named here: the address is judged by its own shape.
    left join wallet_addresses
        on trim(current_rows.wallet_address) = wallet_addresses.raw

)

select * from standardised
