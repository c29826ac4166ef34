with

candidates as (

    select * from {{ ref('candidates_valued') }}

),

placements as (

    select * from {{ ref('int_placements') }}

),

batches as (

    select * from {{ source('state', 'batches') }}

    where batch_seq = {{ batch_seq() }}

),

candidates_decided as (

    select
        'd' || left(
            md5(concat_ws('|', batches.run_id, candidates.person_id, candidates.channel, candidates.offer_id)), 24
        ) as decision_id,
        batches.run_id,
        candidates.person_id,
        candidates.channel,
        candidates.offer_id,
        candidates.offer_version::bigint as offer_version,
        candidates.product_line,
        candidates.creative_id,
        candidates.locale,
        candidates.market,
        candidates.segment,
        candidates.is_promotion,
        candidates.is_push,
        candidates.arm,
        candidates.p_if_shown,
        candidates.p_if_held_out,
        candidates.unit_value_usd,
        candidates.cost_usd,
        candidates.incremental_value_usd,
        candidates.trust_multiplier,
        candidates.penalty_bp,
        candidates.fatigue_usd,
        candidates.risk_usd,
        candidates.expected_incremental_value_usd,
        placements.shadow_price_usd,
        placements.propensity,
        placements.is_explored,
        placements.rank,
        placements.slot,
        placements.slot is not null as is_chosen,
        placements.not_chosen_reason,
        candidates.send_after,
        candidates.send_before,
        candidates.valid_until,
        candidates.model_version,
        batches.policy_version

    from candidates

    left join placements
        on candidates.person_id = placements.person_id
        and candidates.channel = placements.channel
        and candidates.offer_id = placements.offer_id

    cross join batches

)

select * from candidates_decided
