{#- Each grain is cut to its survivors before grains meet: person, person x kind of offer, person x channel, creative, creative x place. -#}
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

channels as (

    select distinct rule_channel
    from {{ source('policy', 'channels') }}

),

creative_choices as (

    select * from {{ ref('creative_choices') }}
    where creative_id is not null

),

deliveries as (

    select * from {{ ref('offer_deliveries') }}
    where is_deliverable

),

user_blocks as (

    select distinct
        person_id,
        is_promotion

    from {{ ref('user_hits') }}

    where effect in ('BLOCK', 'HOLD')

),

user_product_blocks as (

    select distinct
        person_id,
        offer_class

    from {{ ref('user_product_hits') }}

    where effect in ('BLOCK', 'HOLD')

),

user_channel_blocks as (

    select distinct
        person_id,
        rule_channel,
        is_promotion

    from {{ ref('user_channel_hits') }}

    where effect in ('BLOCK', 'HOLD')

),

offer_blocks as (

    select distinct creative_id
    from {{ ref('offer_hits') }}
    where effect in ('BLOCK', 'HOLD')

),

offer_regime_blocks as (

    select distinct
        creative_id,
        place_id

    from {{ ref('offer_regime_hits') }}

    where effect in ('BLOCK', 'HOLD')

),

people_left as (

    select person_facts.*
    from person_facts
    where person_id not in (select person_id from user_blocks where is_promotion is null)

),

creatives_left as (

    select
        offer_facts.*,
        deliveries.place_id,
        deliveries.send_after,
        deliveries.send_before,
        deliveries.valid_until

    from offer_facts

    inner join deliveries
        on offer_facts.creative_id = deliveries.creative_id

    left join offer_blocks
        on offer_facts.creative_id = offer_blocks.creative_id

    left join offer_regime_blocks
        on deliveries.creative_id = offer_regime_blocks.creative_id
        and deliveries.place_id = offer_regime_blocks.place_id

    where offer_blocks.creative_id is null
        and offer_regime_blocks.creative_id is null

),

classes_left as (

    select
        people_left.person_id,
        people_left.place_id,
        coalesce(people_left.language, '') as language,
        offer_classes.offer_class,
        offer_classes.o_is_promotion

    from people_left

    cross join offer_classes

    left join user_blocks
        on people_left.person_id = user_blocks.person_id
        and offer_classes.o_is_promotion = user_blocks.is_promotion

    left join user_product_blocks
        on people_left.person_id = user_product_blocks.person_id
        and offer_classes.offer_class = user_product_blocks.offer_class

    where user_blocks.person_id is null
        and user_product_blocks.person_id is null
        and offer_classes.offer_class in (select offer_class from creatives_left)

),

channels_left as (

    select
        people_left.person_id,
        channels.rule_channel,
        promotion_kinds.o_is_promotion

    from people_left

    cross join channels

    cross join (select distinct o_is_promotion from offer_classes) as promotion_kinds

    left join user_channel_blocks as all_blocks
        on people_left.person_id = all_blocks.person_id
        and channels.rule_channel = all_blocks.rule_channel
        and all_blocks.is_promotion is null

    left join user_channel_blocks as kind_blocks
        on people_left.person_id = kind_blocks.person_id
        and channels.rule_channel = kind_blocks.rule_channel
        and promotion_kinds.o_is_promotion = kind_blocks.is_promotion

    where all_blocks.person_id is null
        and kind_blocks.person_id is null

),

survivors as (

    select
        classes_left.person_id,
        creatives_left.offer_id,
        creatives_left.offer_version,
        creatives_left.product_line,
        creatives_left.channel,
        creatives_left.c_channel,
        creatives_left.creative_id,
        creatives_left.locale,
        creatives_left.place_id,
        creatives_left.offer_class,
        creatives_left.o_is_promotion,
        creatives_left.m_min_kyc,
        creatives_left.send_after,
        creatives_left.send_before,
        creatives_left.valid_until

    from classes_left

    inner join creatives_left
        on classes_left.offer_class = creatives_left.offer_class
        and classes_left.place_id = creatives_left.place_id

    inner join creative_choices
        on classes_left.language = creative_choices.language
        and creatives_left.creative_id = creative_choices.creative_id

    inner join channels_left
        on classes_left.person_id = channels_left.person_id
        and creatives_left.c_channel = channels_left.rule_channel
        and classes_left.o_is_promotion = channels_left.o_is_promotion

)

select * from survivors
