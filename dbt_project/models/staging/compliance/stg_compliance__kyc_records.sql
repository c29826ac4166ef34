with

current_rows as (

    {{ newest_content(source('vault_raw', 'compliance__kyc_records'), key=['kyc_id'], updated_at='source_updated_at',
        ties=["status = 'verified'", 'tier', 'expires_at nulls first']) }}

),

standardised as (

    select
        current_rows.kyc_id,
        current_rows.account_id,
        current_rows.full_name,
        {{ name_std('current_rows.full_name') }} as name_std,
        current_rows.birth_date,
        current_rows.residence_country,
        current_rows.residence_region,
        current_rows.nationality,
        current_rows.tier,
        current_rows.status,
        current_rows.risk_band,
        current_rows.risk_scored_at,
        current_rows.pep,
        current_rows.client_class,
        current_rows.verified_at,
        current_rows.expires_at,
        current_rows.source_updated_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
