{#- Each grain is cut to its survivors before grains meet. What is left of the person's grains is much the same for many people: their audience. -#}
{{ config(database=vault_database()) }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

segments as (

    select * from {{ ref('person_segments') }}

),

user_hits as (

    select * from {{ ref('user_hits') }}

),

-- Numbered for bits: a person's classes and channels are one value each, whatever the number of rules that speak against them.
numbered_classes as (

    {{ numbered_classes() }}

),

numbered_channels as (

    {{ numbered_channels() }}

),

user_blocks as (

    select
        person_id,
        bool_or(is_promotion is null) as is_blocked,
        bit_or(case when is_promotion then 1 when not is_promotion then 2 else 0 end) as kinds_blocked

    from user_hits

    where effect in ('BLOCK', 'HOLD')

    group by person_id

),

pattern_blocks as (

    select
        hits.pattern_id,
        bit_or({{ one_bit('classes.place', 'classes.size') }}) as classes_blocked

    from {{ ref('int_product_pattern_hits') }} as hits

    inner join numbered_classes as classes
        on hits.offer_class = classes.offer_class

    where hits.effect in ('BLOCK', 'HOLD')

    group by hits.pattern_id

),

user_product_blocks as (

    select
        person_patterns.person_id,
        bit_or(pattern_blocks.classes_blocked) as classes_blocked

    from {{ ref('int_person_product_patterns') }} as person_patterns

    inner join pattern_blocks
        on person_patterns.pattern_id = pattern_blocks.pattern_id

    group by person_patterns.person_id

),

-- A hit without a kind of message is against both.
channel_bits as (

    select
        rule_channel,
        o_is_promotion as is_promotion,
        {{ one_bit('place', 'size') }} as bits

    from numbered_channels

    union all

    select
        rule_channel,
        null as is_promotion,
        bit_or({{ one_bit('place', 'size') }}) as bits

    from numbered_channels

    group by rule_channel

),

user_channel_blocks as (

    select
        hits.person_id,
        bit_or(channel_bits.bits) as channels_blocked

    from {{ ref('user_channel_hits') }} as hits

    inner join channel_bits
        on hits.rule_channel = channel_bits.rule_channel
        and hits.is_promotion is not distinct from channel_bits.is_promotion

    where hits.effect in ('BLOCK', 'HOLD')

    group by hits.person_id

),

user_penalties as (

    select
        person_id,
        coalesce(sum(penalty_bp) filter (where is_promotion is null), 0)::integer as penalty_bp,
        coalesce(sum(penalty_bp) filter (where is_promotion), 0)::integer as promotion_penalty_bp,
        coalesce(sum(penalty_bp) filter (where not is_promotion), 0)::integer as other_penalty_bp

    from user_hits

    where effect = 'DEMOTE'

    group by person_id

),

user_product_penalties as (

    select
        person_id,
        list({'offer_class': offer_class, 'penalty_bp': penalty_bp} order by offer_class) as class_penalties

    from (
        select
            person_id,
            offer_class,
            sum(penalty_bp)::integer as penalty_bp

        from {{ ref('user_product_hits') }}

        where effect = 'DEMOTE'

        group by person_id, offer_class
    ) as by_class

    group by person_id

),

user_channel_penalties as (

    select
        person_id,
        list(
            {'rule_channel': rule_channel, 'is_promotion': is_promotion, 'penalty_bp': penalty_bp}
            order by rule_channel, is_promotion
        ) as channel_penalties

    from (
        select
            person_id,
            rule_channel,
            is_promotion,
            sum(penalty_bp)::integer as penalty_bp

        from {{ ref('user_channel_hits') }}

        where effect = 'DEMOTE'

        group by person_id, rule_channel, is_promotion
    ) as by_channel

    group by person_id

),

people_left as (

    select
        person_facts.person_id,
        person_facts.market,
        segments.segment,
        person_facts.u_kyc_expires_at,
        person_facts.place_id,
        coalesce(person_facts.language, '') as language,
        coalesce(user_blocks.kinds_blocked, 0) as kinds_blocked,
        user_product_blocks.classes_blocked,
        user_channel_blocks.channels_blocked,
        coalesce(user_penalties.penalty_bp, 0) as penalty_bp,
        coalesce(user_penalties.promotion_penalty_bp, 0) as promotion_penalty_bp,
        coalesce(user_penalties.other_penalty_bp, 0) as other_penalty_bp,
        user_product_penalties.class_penalties,
        user_channel_penalties.channel_penalties

    from person_facts

    inner join segments
        on person_facts.person_id = segments.person_id

    left join user_blocks
        on person_facts.person_id = user_blocks.person_id

    left join user_product_blocks
        on person_facts.person_id = user_product_blocks.person_id

    left join user_channel_blocks
        on person_facts.person_id = user_channel_blocks.person_id

    left join user_penalties
        on person_facts.person_id = user_penalties.person_id

    left join user_product_penalties
        on person_facts.person_id = user_product_penalties.person_id

    left join user_channel_penalties
        on person_facts.person_id = user_channel_penalties.person_id

    where not coalesce(user_blocks.is_blocked, false)

),

person_audiences as (

    select
        dense_rank() over (
            order by
                place_id, language, kinds_blocked, classes_blocked, channels_blocked,
                penalty_bp, promotion_penalty_bp, other_penalty_bp, class_penalties, channel_penalties
        ) as audience_id,
        people_left.*

    from people_left

)

select * from person_audiences
