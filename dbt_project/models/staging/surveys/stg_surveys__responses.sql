with

current_rows as (

    {{ first_known(source('raw', 'surveys__responses'), key=['response_id']) }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

standardised as (

    select
        current_rows.response_id,
        current_rows.survey_id,
        current_rows.account_id,
        current_rows.email,
        {{ email_std('current_rows.email', 'email_providers') }} as email_std,
        {{ email_valid('current_rows.email') }} as email_valid,
        {{ email_reason('current_rows.email') }} as email_reason,
        current_rows.anonymous_id,
        current_rows.decision_id,
        current_rows.offer_id,
        current_rows.kind,
        current_rows.score,
        current_rows.scale_max,
        current_rows.comment,
        current_rows.submitted_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join email_providers
        on {{ email_domain('current_rows.email') }} = email_providers.domain

)

select * from standardised
