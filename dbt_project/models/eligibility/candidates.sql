with

dated as (

    select * from {{ ref('int_candidates_dated') }}
    where send_after < valid_until
        and killed_by is null

),

pair_judgements as (

    select
        person_id,
        offer_id,
        channel,
        bool_or(effect in ('BLOCK', 'HOLD')) as is_blocked,
        coalesce(sum(penalty_bp) filter (where effect = 'DEMOTE'), 0) as penalty_bp

    from {{ ref('pair_hits') }}

    group by person_id, offer_id, channel

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
        dated.segment,
        dated.o_is_promotion as is_promotion,
        least(9000, dated.penalty_bp + coalesce(pair_judgements.penalty_bp, 0))::integer as penalty_bp,
        dated.send_after,
        dated.send_before,
        dated.valid_until

    from dated

    left join pair_judgements
        on dated.person_id = pair_judgements.person_id
        and dated.offer_id = pair_judgements.offer_id
        and dated.channel = pair_judgements.channel

    where not coalesce(pair_judgements.is_blocked, false)

)

select * from candidates
