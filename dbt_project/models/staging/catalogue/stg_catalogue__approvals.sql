with

current_rows as (

    {{ first_known(source('raw', 'catalogue__approvals'), key=['approval_id']) }}

),

standardised as (

    select
        current_rows.approval_id,
        current_rows.offer_id,
        current_rows.offer_version,
        current_rows.creative_id,
        current_rows.kind,
        current_rows.regime,
        current_rows.entity,
        current_rows.account_id,
        current_rows.evidence,
        current_rows.approved_by,
        current_rows.valid_from,
        current_rows.valid_to,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
