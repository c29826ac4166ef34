{{ config(database=vault_database()) }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

person_channel_facts as (

    select * from {{ ref('person_channel_facts') }}

),

promotion_kinds as (

    select distinct o_is_promotion
    from {{ ref('offer_classes') }}

),

eval_user_x_channel as not materialized (

    select
        person_facts.*,
        person_channel_facts.rule_channel,
        person_channel_facts.rule_channel as c_channel,
        person_channel_facts.d_channel_ok,
        person_channel_facts.d_quiet_house_violations,
        person_channel_facts.d_quiet_us_violations,
        {{ as_of() }} as c_as_of

    from person_facts

    inner join person_channel_facts
        on person_facts.person_id = person_channel_facts.person_id

),

eval_user_x_channel_by_promotion as not materialized (

    select * from eval_user_x_channel cross join promotion_kinds

),

hits as (

    {{ compiled_rules('user_x_channel') }}

)

select * from hits
