with

person_facts as (

    select * from {{ ref('person_facts') }}

),

segments as (

    select
        person_id,
        coalesce(u_risk_profile, 'unknown') as risk_profile,
        u_stage as lifecycle_stage,
        coalesce(u_risk_profile, 'unknown') || ':' || u_stage as segment,
        market

    from person_facts

)

select * from segments
