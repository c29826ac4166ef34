{#- A view: at the grain each reason was found, since one row per person, offer, channel and reason would be larger than everything else. -#}
{{ config(database=vault_database(), materialized='view') }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

offer_classes as (

    select * from {{ ref('offer_classes') }}

),

creative_choices as (

    select * from {{ ref('creative_choices') }}

),

of_people as (

    select
        person_id,
        'user' as grain,
        is_promotion,
        null as product_line,
        null as incentive,
        null as rule_channel,
        null as offer_id,
        null as channel,
        rule_id,
        v,
        effect,
        visibility,
        code

    from {{ ref('user_hits') }}

),

of_people_and_products as (

    select
        hits.person_id,
        'user_x_product' as grain,
        offer_classes.o_is_promotion as is_promotion,
        offer_classes.offer_class,
        offer_classes.product_line,
        offer_classes.o_incentive as incentive,
        null as rule_channel,
        null as offer_id,
        null as channel,
        hits.rule_id,
        hits.v,
        hits.effect,
        hits.visibility,
        hits.code

    from {{ ref('user_product_hits') }} as hits

    inner join offer_classes
        on hits.offer_class = offer_classes.offer_class

),

of_people_and_channels as (

    select
        person_id,
        'user_x_channel' as grain,
        is_promotion,
        null as product_line,
        null as incentive,
        rule_channel,
        null as offer_id,
        null as channel,
        rule_id,
        v,
        effect,
        visibility,
        code

    from {{ ref('user_channel_hits') }}

),

chosen_creatives as (

    select
        person_facts.person_id,
        person_facts.place_id,
        creative_choices.offer_id,
        creative_choices.channel,
        creative_choices.creative_id

    from person_facts

    inner join creative_choices
        on coalesce(person_facts.language, '') = creative_choices.language

),

of_offers as (

    select
        chosen_creatives.person_id,
        'offer' as grain,
        offer_facts.o_is_promotion as is_promotion,
        offer_facts.product_line,
        offer_facts.o_incentive as incentive,
        offer_facts.c_channel as rule_channel,
        offer_facts.offer_id,
        offer_facts.channel,
        hits.rule_id,
        hits.v,
        hits.effect,
        hits.visibility,
        hits.code

    from {{ ref('offer_hits') }} as hits

    inner join offer_facts
        on hits.creative_id = offer_facts.creative_id

    inner join chosen_creatives
        on hits.creative_id = chosen_creatives.creative_id

),

of_offers_and_places as (

    select
        chosen_creatives.person_id,
        'offer_x_regime' as grain,
        offer_facts.o_is_promotion as is_promotion,
        offer_facts.product_line,
        offer_facts.o_incentive as incentive,
        offer_facts.c_channel as rule_channel,
        offer_facts.offer_id,
        offer_facts.channel,
        hits.rule_id,
        hits.v,
        hits.effect,
        hits.visibility,
        hits.code

    from {{ ref('offer_regime_hits') }} as hits

    inner join offer_facts
        on hits.creative_id = offer_facts.creative_id

    inner join chosen_creatives
        on hits.creative_id = chosen_creatives.creative_id
        and hits.place_id = chosen_creatives.place_id

),

without_creative as (

    select
        chosen_creatives.person_id,
        'pair' as grain,
        null as is_promotion,
        null as product_line,
        null as incentive,
        null as rule_channel,
        chosen_creatives.offer_id,
        chosen_creatives.channel,
        'ENG-CREATIVE' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'internal' as visibility,
        'ENG_NO_CREATIVE' as code

    from chosen_creatives

    where chosen_creatives.creative_id is null

),

of_pairs as (

    select
        person_id,
        'pair' as grain,
        null as is_promotion,
        null as product_line,
        null as incentive,
        null as rule_channel,
        offer_id,
        channel,
        rule_id,
        v,
        effect,
        visibility,
        code

    from {{ ref('pair_hits') }}

),

exclusions as (

    select * from of_people
    union all by name
    select * from of_people_and_products
    union all by name
    select * from of_people_and_channels
    union all by name
    select * from of_offers
    union all by name
    select * from of_offers_and_places
    union all by name
    select * from without_creative
    union all by name
    select * from of_pairs

)

select * from exclusions
