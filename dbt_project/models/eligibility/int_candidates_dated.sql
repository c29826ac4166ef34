{#- What only the pair can tell: identity checks that lapse before the offer does or before its message could go out, and kill switches. -#}
{{ config(database=vault_database(), materialized='view') }}

with

survivors as (

    select * from {{ ref('int_candidates_surviving') }}

),

person_audiences as (

    select * from {{ ref('int_person_audiences') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

kill_switches as (

    select * from {{ source('policy', 'kill_switches') }}

),

markets_and_segments as (

    select distinct
        market,
        segment

    from person_audiences

),

-- Whatever a switch and a candidate do not both say is taken to be the same.

killed as (

    select
        offer_facts.offer_id,
        offer_facts.channel,
        markets_and_segments.market,
        markets_and_segments.segment,
        min(kill_switches.switch_id) as killed_by

    from kill_switches

    inner join offer_facts
        on coalesce(kill_switches.offer_id = offer_facts.offer_id, true)
        and coalesce(kill_switches.product_line = offer_facts.product_line, true)
        and coalesce(kill_switches.channel = offer_facts.channel, true)

    inner join markets_and_segments
        on coalesce(kill_switches.market = markets_and_segments.market, true)
        and coalesce(kill_switches.segment = markets_and_segments.segment, true)

    group by all

),

dated as (

    select
        survivors.* exclude (send_before, valid_until, u_kyc_expires_at),
        case
            when survivors.m_min_kyc > 0 and survivors.u_kyc_expires_at > {{ as_of() }}
                then least(survivors.send_before, survivors.u_kyc_expires_at)
            else survivors.send_before
        end as send_before,
        case
            when survivors.m_min_kyc > 0 and survivors.u_kyc_expires_at > {{ as_of() }}
                then least(survivors.valid_until, survivors.u_kyc_expires_at)
            else survivors.valid_until
        end as valid_until,
        killed.killed_by

    from survivors

    left join killed
        on survivors.offer_id = killed.offer_id
        and survivors.channel = killed.channel
        and survivors.market is not distinct from killed.market
        and survivors.segment is not distinct from killed.segment

)

select * from dated
