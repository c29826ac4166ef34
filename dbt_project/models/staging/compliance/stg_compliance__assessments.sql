with

current_rows as (

    {{ first_known(source('vault_raw', 'compliance__assessments'), key=['assessment_id']) }}

),

standardised as (

    select
        current_rows.assessment_id,
        current_rows.account_id,
        current_rows.kind,
        current_rows.product_line,
        current_rows.offer_id,
        current_rows.result,
        current_rows.taken_at,
        current_rows.expires_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
