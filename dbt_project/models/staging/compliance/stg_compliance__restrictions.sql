with

current_rows as (

    {{ newest_content(source('vault_raw', 'compliance__restrictions'), key=['restriction_id'], updated_at='source_updated_at',
        ties=["status = 'resolved'", 'ends_at desc nulls first']) }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

standardised as (

    select
        current_rows.restriction_id,
        current_rows.account_id,
        current_rows.wallet_address,
        {{ wallet_std('current_rows.wallet_address') }} as wallet_std,
        {{ wallet_valid('current_rows.wallet_address') }} as wallet_valid,
        current_rows.email,
        {{ email_std('current_rows.email', 'email_providers') }} as email_std,
        {{ email_valid('current_rows.email') }} as email_valid,
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

)

select * from standardised
