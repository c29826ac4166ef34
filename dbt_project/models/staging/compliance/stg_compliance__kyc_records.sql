with

current_rows as (

    {{ newest_content(source('vault_raw', 'compliance__kyc_records'), key=['kyc_id'], updated_at='source_updated_at',
        ties=["status = 'verified'", 'tier', 'expires_at nulls first']) }}

),

-- The name is spelled out first: its reason looks it up among the placeholders.
spelled as (

    select
        *,
        {{ name_spelled('full_name') }} as name_spelled

    from current_rows

),

standardised as (

    select
        spelled.kyc_id,
        spelled.account_id,
        spelled.full_name,
        case when {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} is null then spelled.name_spelled end as name_std,
        spelled.full_name is not null and {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} is null as name_valid,
        {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} as name_reason,
        spelled.birth_date,
        case when {{ birth_date_reason('spelled.birth_date') }} is null then spelled.birth_date end as birth_date_std,
        spelled.birth_date is not null and {{ birth_date_reason('spelled.birth_date') }} is null as birth_date_valid,
        {{ birth_date_reason('spelled.birth_date') }} as birth_date_reason,
        spelled.residence_country,
        spelled.residence_region,
        case when {{ region_reason('spelled.residence_country', 'spelled.residence_region') }} is null then spelled.residence_region end as residence_region_std,
        spelled.residence_region is not null and {{ region_reason('spelled.residence_country', 'spelled.residence_region') }} is null as residence_region_valid,
        {{ region_reason('spelled.residence_country', 'spelled.residence_region') }} as residence_region_reason,
        spelled.nationality,
        spelled.tier,
        spelled.status,
        spelled.risk_band,
        spelled.risk_scored_at,
        spelled.pep,
        spelled.client_class,
        spelled.verified_at,
        spelled.expires_at,
        spelled.source_updated_at,
        spelled.row_hash,
        spelled.known_at

    from spelled

)

select * from standardised
