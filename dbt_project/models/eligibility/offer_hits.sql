{{ config(database=vault_database()) }}

with

eval_offer as (

    select
        *,
        {{ as_of() }} as c_as_of

    from {{ ref('offer_facts') }}

),

hits as (

    {{ compiled_rules('offer') }}

),

released as (

    {{ released_of_creatives('hits') }}

)

select * from released
