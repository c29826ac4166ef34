{#- What only the pair can tell: identity checks that lapse before the offer does, or before its message could go out. -#}
{{ config(database=vault_database()) }}

with

survivors as (

    select * from {{ ref('int_candidates_surviving') }}

),

person_facts as (

    select * from {{ ref('person_facts') }}

),

dated as (

    select
        survivors.* exclude (send_before, valid_until),
        case
            when survivors.m_min_kyc > 0 and person_facts.u_kyc_expires_at > {{ as_of() }}
                then least(survivors.send_before, person_facts.u_kyc_expires_at)
            else survivors.send_before
        end as send_before,
        case
            when survivors.m_min_kyc > 0 and person_facts.u_kyc_expires_at > {{ as_of() }}
                then least(survivors.valid_until, person_facts.u_kyc_expires_at)
            else survivors.valid_until
        end as valid_until,
        person_facts.market,
        person_facts.u_risk_profile,
        person_facts.u_stage

    from survivors

    inner join person_facts
        on survivors.person_id = person_facts.person_id

)

select * from dated
