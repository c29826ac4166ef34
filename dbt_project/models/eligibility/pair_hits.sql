{#- Among the survivors only: whoever stands here had no other reason against them. -#}
{{ config(database=vault_database()) }}

with

candidates as (

    select * from {{ ref('int_candidates_dated') }}

),

person_facts as (

    select * from {{ ref('person_facts') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

eval_pair as (

    select
        person_facts.* exclude (market, language, place_id),
        offer_facts.* exclude (offer_id, channel, locale),
        {{ as_of() }} as c_as_of

    from candidates

    inner join person_facts
        on candidates.person_id = person_facts.person_id

    inner join offer_facts
        on candidates.creative_id = offer_facts.creative_id

),

rule_hits as (

    {{ compiled_rules('pair') }}

),

lapsing as (

    select
        person_id,
        offer_id,
        channel,
        'KYC-002' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'safe' as visibility,
        'KYC_EXPIRED' as code,
        0 as penalty_bp

    from candidates

    where send_after >= valid_until

),

hits as (

    select * from lapsing

    union all

    select
        rule_hits.person_id,
        offer_facts.offer_id,
        offer_facts.channel,
        rule_hits.rule_id,
        rule_hits.v,
        rule_hits.effect,
        rule_hits.visibility,
        rule_hits.code,
        rule_hits.penalty_bp

    from rule_hits

    inner join offer_facts
        on rule_hits.creative_id = offer_facts.creative_id

    union all

    select
        person_id,
        offer_id,
        channel,
        'ENG-KILL' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'internal' as visibility,
        'KILL_SWITCH' as code,
        0 as penalty_bp

    from candidates

    where killed_by is not null

)

select * from hits
