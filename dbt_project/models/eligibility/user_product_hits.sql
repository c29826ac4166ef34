{{ config(database=vault_database()) }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

person_product_facts as (

    select * from {{ ref('person_product_facts') }}

),

offer_classes as (

    select * from {{ ref('offer_classes') }}

),

market_state as (

    select * from {{ ref('market_state') }}

),

eval_user_x_product as not materialized (

    select
        person_facts.*,
        offer_classes.* exclude (product_line, offer_channels),
        coalesce(person_product_facts.u_approp, 'not_taken') as u_approp,
        market_state.c_vol_rank,
        {{ as_of() }} as c_as_of

    from person_facts

    cross join offer_classes

    cross join market_state

    left join person_product_facts
        on person_facts.person_id = person_product_facts.person_id
        and offer_classes.product_line = person_product_facts.product_line

),

hits as (

    {{ compiled_rules('user_x_product') }}

),

released as (

    {{ released_of_people('hits') }}

)

select * from released
