with

outcomes as (

    select * from {{ ref('outcomes') }}

),

outcomes_by_dimension as (

    select source, 'overall' as dimension, 'all' as level, arm, person_id, has_outcome, outcome_value_usd from outcomes
    union all
    select source, 'product_line' as dimension, product_line as level, arm, person_id, has_outcome, outcome_value_usd from outcomes
    union all
    select source, 'channel' as dimension, channel as level, arm, person_id, has_outcome, outcome_value_usd from outcomes
    union all
    select source, 'segment' as dimension, segment as level, arm, person_id, has_outcome, outcome_value_usd from outcomes

),

person_outcomes as (

    -- One person's outcomes are alike, so people, not assignments, are what varies.
    select
        source,
        dimension,
        level,
        arm,
        person_id,
        count(*) as assignments,
        count(*) filter (where has_outcome) as outcomes,
        sum(outcome_value_usd)::decimal(24, 6) as outcome_value_usd

    from outcomes_by_dimension

    group by source, dimension, level, arm, person_id

),

outcomes_summed as (

    -- Sums of whole numbers and decimals only: they are the same in any order.
    select
        source,
        dimension,
        level,
        arm,
        count(*)::bigint as people,
        sum(assignments)::bigint as assignments,
        sum(outcomes)::bigint as outcomes,
        sum(outcome_value_usd)::decimal(24, 6) as outcome_value_usd,
        sum(assignments * assignments)::bigint as sum_assignments_squared,
        sum(outcomes * outcomes)::bigint as sum_outcomes_squared,
        sum(assignments * outcomes)::bigint as sum_assignments_x_outcomes

    from person_outcomes

    group by source, dimension, level, arm

)

select * from outcomes_summed
