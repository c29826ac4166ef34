{#- What only the pair can tell: identity checks that lapse before the offer does or before its message could go out, and kill switches. -#}
{{ config(database=vault_database()) }}

with

survivors as (

    select * from {{ ref('int_candidates_surviving') }}

),

person_facts as (

    select * from {{ ref('person_facts') }}

),

segments as (

    select * from {{ ref('person_segments') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

kill_switches as (

    select * from {{ source('policy', 'kill_switches') }}

),

people as (

    select
        person_facts.*,
        segments.segment

    from person_facts

    inner join segments
        on person_facts.person_id = segments.person_id

),

audiences as (

    select distinct
        market,
        segment

    from people

),

-- Whatever a switch and a candidate do not both say is taken to be the same.

killed as (

    select
        offer_facts.offer_id,
        offer_facts.channel,
        audiences.market,
        audiences.segment,
        min(kill_switches.switch_id) as killed_by

    from kill_switches

    inner join offer_facts
        on coalesce(kill_switches.offer_id = offer_facts.offer_id, true)
        and coalesce(kill_switches.product_line = offer_facts.product_line, true)
        and coalesce(kill_switches.channel = offer_facts.channel, true)

    inner join audiences
        on coalesce(kill_switches.market = audiences.market, true)
        and coalesce(kill_switches.segment = audiences.segment, true)

    group by all

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
        person_facts.u_stage,
        killed.killed_by

    from survivors

    inner join people as person_facts
        on survivors.person_id = person_facts.person_id

    left join killed
        on survivors.offer_id = killed.offer_id
        and survivors.channel = killed.channel
        and person_facts.market is not distinct from killed.market
        and person_facts.segment is not distinct from killed.segment

)

select * from dated
