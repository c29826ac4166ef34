{{ config(database=vault_database()) }}

with

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

kyc_records as (

    select * from {{ ref('stg_compliance__kyc_records') }}

),

kyc_current as (

    select *
    from kyc_records
    qualify row_number() over (
        partition by account_id
        order by source_updated_at desc, verified_at desc nulls last, kyc_id desc
    ) = 1

),

accounts_checked as (

    select
        person_identifiers.person_id,
        accounts.account_id,
        accounts.closed_at is null or accounts.closed_at > {{ as_of() }} as is_open,
        accounts.created_at,
        {{ birth_date_of_age('accounts') }} as birth_date,
        accounts.time_zone_std,
        accounts.country_code,
        accounts.region_code,
        accounts.pending_country,
        accounts.pending_region,
        kyc_current.kyc_id is not null as has_kyc,
        coalesce(kyc_current.status = 'verified', false) as is_verified,
        kyc_current.tier as kyc_tier,
        kyc_current.expires_at as kyc_expires_at,
        kyc_current.birth_date as kyc_birth_date,
        {{ birth_date_of_age('kyc_current') }} as kyc_birth_date_of_age,
        kyc_current.residence_country as kyc_country,
        kyc_current.residence_region as kyc_region,
        kyc_current.client_class,
        kyc_current.nationality as kyc_nationality,
        kyc_current.risk_band as kyc_risk_band,
        kyc_current.risk_scored_at as kyc_risk_scored_at,
        kyc_current.pep as kyc_pep,
        coalesce(evidence_classes.is_weak, false) as is_weak

    from accounts

    inner join person_identifiers
        on accounts.account_id = person_identifiers.identifier

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

    left join kyc_current
        on accounts.account_id = kyc_current.account_id

)

select * from accounts_checked
