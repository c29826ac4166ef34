{#- Among the survivors only: whoever stands here had no other reason against them. -#}
{{ config(database=vault_database()) }}

with

candidates as not materialized (

    select * from {{ ref('int_candidates_dated') }}

),

person_facts as (

    select * from {{ ref('person_facts') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

releases as (

    select * from {{ source('vault_review', 'releases') }}

),

eval_pair as not materialized (

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
        0 as penalty_bp,
        null as facts

    from candidates

    where send_after >= valid_until

),

-- Few people were ever released from anything; all others' candidates need not be met with what was lifted.
candidates_of_reviewed as materialized (

    select
        person_id,
        offer_id,
        channel,
        creative_id

    from candidates

    where person_id in (select person_id from releases)

),

-- A person's hold was lifted for the creatives that the reviewer saw; whatever came since is held as before.

lifted as (

    select person_id, is_promotion, null as offer_class, rule_id, v, visibility, code, facts
    from {{ ref('user_hits') }}
    where effect = 'RELEASED'

    union all by name

    select person_id, null as is_promotion, offer_class, rule_id, v, visibility, code, facts
    from {{ ref('user_product_hits') }}
    where effect = 'RELEASED'

),

not_seen_by_reviewers as (

    select
        candidates_of_reviewed.person_id,
        candidates_of_reviewed.offer_id,
        candidates_of_reviewed.channel,
        lifted.rule_id,
        lifted.v,
        'HOLD' as effect,
        lifted.visibility,
        lifted.code,
        0 as penalty_bp,
        lifted.facts

    from candidates_of_reviewed

    inner join offer_facts
        on candidates_of_reviewed.creative_id = offer_facts.creative_id

    inner join lifted
        on candidates_of_reviewed.person_id = lifted.person_id
        and coalesce(lifted.is_promotion, offer_facts.o_is_promotion) = offer_facts.o_is_promotion
        and coalesce(lifted.offer_class, offer_facts.offer_class) = offer_facts.offer_class

    left join releases
        on lifted.person_id = releases.person_id
        and lifted.rule_id = releases.rule_id
        and lifted.v = releases.v
        and md5(lifted.facts) = releases.fact_hash
        and offer_facts.creative_id = releases.creative_id
        and offer_facts.offer_version = releases.offer_version
        and offer_facts.creative_hash = releases.creative_hash

    where releases.release_id is null

),

upheld as (

    {{ upheld_by_reviewers('candidates') }}

),

hits as (

    select * from lapsing

    union all

    select * from not_seen_by_reviewers

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
        rule_hits.penalty_bp,
        rule_hits.facts

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
        0 as penalty_bp,
        null as facts

    from candidates

    where killed_by is not null

    union all

    select
        person_id,
        offer_id,
        channel,
        'ENG-UPHELD' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'internal' as visibility,
        'REV_UPHELD' as code,
        0 as penalty_bp,
        null as facts

    from upheld

)

select * from hits
