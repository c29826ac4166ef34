with

current_rows as (

    {{ first_known(source('raw', 'catalogue__past_assignments'), key=['assignment_id']) }}

),

standardised as (

    select
        current_rows.assignment_id,
        current_rows.account_id,
        current_rows.contact_id,
        current_rows.offer_id,
        current_rows.offer_version,
        current_rows.channel,
        current_rows.arm,
        current_rows.propensity,
        current_rows.assigned_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
