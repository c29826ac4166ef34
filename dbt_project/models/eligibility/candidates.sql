with

dated as (

    select * from {{ ref('int_candidates_dated') }}
    where send_after < valid_until
        and killed_by is null

),

pair_blocks as (

    select distinct person_id, offer_id, channel
    from {{ ref('pair_hits') }}
    where effect in ('BLOCK', 'HOLD')

),

segments as (

    select * from {{ ref('person_segments') }}

),

user_penalties as (

    select person_id, is_promotion, sum(penalty_bp) as penalty_bp
    from {{ ref('user_hits') }}
    where effect = 'DEMOTE'
    group by person_id, is_promotion

),

user_product_penalties as (

    select person_id, offer_class, sum(penalty_bp) as penalty_bp
    from {{ ref('user_product_hits') }}
    where effect = 'DEMOTE'
    group by person_id, offer_class

),

user_channel_penalties as (

    select person_id, rule_channel, is_promotion, sum(penalty_bp) as penalty_bp
    from {{ ref('user_channel_hits') }}
    where effect = 'DEMOTE'
    group by person_id, rule_channel, is_promotion

),

pair_penalties as (

    select person_id, offer_id, channel, sum(penalty_bp) as penalty_bp
    from {{ ref('pair_hits') }}
    where effect = 'DEMOTE'
    group by person_id, offer_id, channel

),

offer_penalties as (

    select creative_id, sum(penalty_bp) as penalty_bp
    from {{ ref('offer_hits') }}
    where effect = 'DEMOTE'
    group by creative_id

),

offer_regime_penalties as (

    select creative_id, place_id, sum(penalty_bp) as penalty_bp
    from {{ ref('offer_regime_hits') }}
    where effect = 'DEMOTE'
    group by creative_id, place_id

),

candidates as (

    select
        dated.person_id,
        dated.offer_id,
        dated.offer_version,
        dated.product_line,
        dated.channel,
        dated.creative_id,
        dated.locale,
        dated.market,
        segments.segment,
        dated.o_is_promotion as is_promotion,
        least(
            9000,
            coalesce(all_penalties.penalty_bp, 0) + coalesce(kind_penalties.penalty_bp, 0)
            + coalesce(user_product_penalties.penalty_bp, 0)
            + coalesce(all_channel_penalties.penalty_bp, 0) + coalesce(kind_channel_penalties.penalty_bp, 0)
            + coalesce(offer_penalties.penalty_bp, 0) + coalesce(offer_regime_penalties.penalty_bp, 0)
            + coalesce(pair_penalties.penalty_bp, 0)
        )::integer as penalty_bp,
        dated.send_after,
        dated.send_before,
        dated.valid_until

    from dated

    inner join segments
        on dated.person_id = segments.person_id

    left join user_penalties as all_penalties
        on dated.person_id = all_penalties.person_id
        and all_penalties.is_promotion is null

    left join user_penalties as kind_penalties
        on dated.person_id = kind_penalties.person_id
        and dated.o_is_promotion = kind_penalties.is_promotion

    left join user_product_penalties
        on dated.person_id = user_product_penalties.person_id
        and dated.offer_class = user_product_penalties.offer_class

    left join user_channel_penalties as all_channel_penalties
        on dated.person_id = all_channel_penalties.person_id
        and dated.c_channel = all_channel_penalties.rule_channel
        and all_channel_penalties.is_promotion is null

    left join user_channel_penalties as kind_channel_penalties
        on dated.person_id = kind_channel_penalties.person_id
        and dated.c_channel = kind_channel_penalties.rule_channel
        and dated.o_is_promotion = kind_channel_penalties.is_promotion

    left join pair_penalties
        on dated.person_id = pair_penalties.person_id
        and dated.offer_id = pair_penalties.offer_id
        and dated.channel = pair_penalties.channel

    left join pair_blocks
        on dated.person_id = pair_blocks.person_id
        and dated.offer_id = pair_blocks.offer_id
        and dated.channel = pair_blocks.channel

    left join offer_penalties
        on dated.creative_id = offer_penalties.creative_id

    left join offer_regime_penalties
        on dated.creative_id = offer_regime_penalties.creative_id
        and dated.place_id = offer_regime_penalties.place_id

    where pair_blocks.person_id is null

)

select * from candidates
