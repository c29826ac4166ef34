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

judged as (

    select
        *,
        {{ name_reason('full_name', 'name_spelled') }} as name_reason,
        {{ birth_date_reason('birth_date') }} as birth_date_reason,
        {{ region_reason('residence_country', 'residence_region') }} as residence_region_reason

    from spelled

),

standardised as (

    select
        judged.kyc_id,
        judged.account_id,
        judged.full_name,
        case when judged.name_reason is null then judged.name_spelled end as name_std,
        judged.full_name is not null and judged.name_reason is null as name_valid,
        judged.name_reason,
        judged.birth_date,
        case when judged.birth_date_reason is null then judged.birth_date end as birth_date_std,
        judged.birth_date is not null and judged.birth_date_reason is null as birth_date_valid,
        judged.birth_date_reason,
        judged.residence_country,
        judged.residence_region,
        case when judged.residence_region_reason is null then judged.residence_region end as residence_region_std,
        judged.residence_region is not null and judged.residence_region_reason is null as residence_region_valid,
        judged.residence_region_reason,
        judged.nationality,
        judged.tier,
        judged.status,
        judged.risk_band,
        judged.risk_scored_at,
        judged.pep,
        judged.client_class,
        judged.verified_at,
        judged.expires_at,
        judged.source_updated_at,
        judged.row_hash,
        judged.known_at

    from judged

)

select * from standardised
