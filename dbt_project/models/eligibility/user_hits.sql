{{ config(database=vault_database()) }}

with

eval_user as not materialized (

    select
        *,
        {{ as_of() }} as c_as_of

    from {{ ref('person_facts') }}

),

promotion_kinds as (

    select distinct o_is_promotion
    from {{ ref('offer_classes') }}

),

eval_user_by_promotion as not materialized (

    select * from eval_user cross join promotion_kinds

),

hits as (

    {{ compiled_rules('user') }}

),

released as (

    {{ released_of_people('hits') }}

)

select * from released
