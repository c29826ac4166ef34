{#- What an audience may be shown is worked out once for all the people in it. -#}
{{ config(database=vault_database()) }}

with

audiences as (

    select distinct
        audience_id,
        place_id,
        language,
        kinds_blocked,
        classes_blocked,
        channels_blocked,
        penalty_bp,
        promotion_penalty_bp,
        other_penalty_bp,
        class_penalties,
        channel_penalties

    from {{ ref('int_person_audiences') }}

),

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

numbered_classes as (

    {{ numbered_classes() }}

),

numbered_channels as (

    {{ numbered_channels() }}

),

creative_choices as (

    select * from {{ ref('creative_choices') }}
    where creative_id is not null

),

deliveries as (

    select * from {{ ref('offer_deliveries') }}
    where is_deliverable

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

offer_penalties as (

    select creative_id, sum(penalty_bp)::integer as penalty_bp
    from {{ ref('offer_hits') }}
    where effect = 'DEMOTE'
    group by creative_id

),

offer_regime_penalties as (

    select creative_id, place_id, sum(penalty_bp)::integer as penalty_bp
    from {{ ref('offer_regime_hits') }}
    where effect = 'DEMOTE'
    group by creative_id, place_id

),

creatives_left as (

    select
        offer_facts.offer_id,
        offer_facts.offer_version,
        offer_facts.product_line,
        offer_facts.channel,
        offer_facts.c_channel,
        offer_facts.creative_id,
        offer_facts.locale,
        offer_facts.offer_class,
        offer_facts.o_is_promotion,
        offer_facts.m_min_kyc,
        deliveries.place_id,
        deliveries.send_after,
        deliveries.send_before,
        deliveries.valid_until,
        numbered_classes.place as class_place,
        numbered_channels.place as channel_place,
        coalesce(offer_penalties.penalty_bp, 0) + coalesce(offer_regime_penalties.penalty_bp, 0) as penalty_bp

    from offer_facts

    inner join deliveries
        on offer_facts.creative_id = deliveries.creative_id

    inner join numbered_classes
        on offer_facts.offer_class = numbered_classes.offer_class

    inner join numbered_channels
        on offer_facts.c_channel = numbered_channels.rule_channel
        and offer_facts.o_is_promotion = numbered_channels.o_is_promotion

    left join offer_penalties
        on offer_facts.creative_id = offer_penalties.creative_id

    left join offer_regime_penalties
        on deliveries.creative_id = offer_regime_penalties.creative_id
        and deliveries.place_id = offer_regime_penalties.place_id

    left join offer_blocks
        on offer_facts.creative_id = offer_blocks.creative_id

    left join offer_regime_blocks
        on deliveries.creative_id = offer_regime_blocks.creative_id
        and deliveries.place_id = offer_regime_blocks.place_id

    where offer_blocks.creative_id is null
        and offer_regime_blocks.creative_id is null

),

audience_offers as (

    select
        audiences.audience_id,
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
        (
            creatives_left.penalty_bp
            + audiences.penalty_bp
            + case when creatives_left.o_is_promotion then audiences.promotion_penalty_bp else audiences.other_penalty_bp end
            + coalesce(list_sum(list_transform(
                list_filter(audiences.class_penalties, lambda each: each.offer_class = creatives_left.offer_class),
                lambda each: each.penalty_bp
            )), 0)
            + coalesce(list_sum(list_transform(
                list_filter(
                    audiences.channel_penalties,
                    lambda each: each.rule_channel = creatives_left.c_channel
                        and coalesce(each.is_promotion, creatives_left.o_is_promotion) = creatives_left.o_is_promotion
                ),
                lambda each: each.penalty_bp
            )), 0)
        )::integer as penalty_bp,
        creatives_left.send_after,
        creatives_left.send_before,
        creatives_left.valid_until

    from audiences

    inner join creatives_left
        on audiences.place_id = creatives_left.place_id

    inner join creative_choices
        on audiences.language = creative_choices.language
        and creatives_left.creative_id = creative_choices.creative_id

    where audiences.kinds_blocked & (case when creatives_left.o_is_promotion then 1 else 2 end) = 0
        and coalesce(get_bit(audiences.classes_blocked, creatives_left.class_place), 0) = 0
        and coalesce(get_bit(audiences.channels_blocked, creatives_left.channel_place), 0) = 0

)

select * from audience_offers
