with

current_rows as (

    {{ first_known(source('raw', 'crm__consents'), key=['consent_id']) }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

standardised as (

    select
        current_rows.consent_id,
        current_rows.contact_id,
        current_rows.account_id,
        current_rows.email,
        {{ email_std('current_rows.email', 'email_providers') }} as email_std,
        {{ email_valid('current_rows.email') }} as email_valid,
        {{ email_reason('current_rows.email') }} as email_reason,
        current_rows.channel,
        current_rows.purpose,
        current_rows.status,
        current_rows.recorded_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join email_providers
        on {{ email_domain('current_rows.email') }} = email_providers.domain

)

select * from standardised
