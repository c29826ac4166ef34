{#- Among the survivors only: whoever stands here had no other reason against them. -#}
{{ config(database=vault_database()) }}

with

candidates as (

    select * from {{ ref('int_candidates_dated') }}

),

hits as (

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
