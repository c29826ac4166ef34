with

current_rows as (

    {{ first_known(source('raw', 'crm__preferences'), key=['preference_id']) }}

),

standardised as (

    select
        current_rows.preference_id,
        current_rows.contact_id,
        current_rows.account_id,
        current_rows.topic,
        current_rows.channel,
        current_rows.max_per_week,
        current_rows.personalisation_off,
        current_rows.recorded_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
