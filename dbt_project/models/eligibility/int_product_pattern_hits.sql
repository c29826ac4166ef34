{{ config(database=vault_database()) }}

with

patterns as (

    select * from {{ ref('int_product_patterns') }}

),

offer_classes as (

    select * from {{ ref('offer_classes') }}

),

numbered_lines as (

    {{ numbered_lines() }}

),

market_state as (

    select * from {{ ref('market_state') }}

),

eval_user_x_product as not materialized (

    select
        patterns.* exclude (lines_tested, lines_passed, lifted),
        offer_classes.* exclude (product_line, offer_channels),
        case
            when get_bit(patterns.lines_passed, numbered_lines.place) = 1 then 'passed'
            when get_bit(patterns.lines_tested, numbered_lines.place) = 1 then 'failed'
            else 'not_taken'
        end as u_approp,
        market_state.c_vol_rank,
        {{ as_of() }} as c_as_of

    from patterns

    cross join offer_classes

    inner join numbered_lines
        on offer_classes.product_line = numbered_lines.product_line

    cross join market_state

),

hits as (

    {{ compiled_rules('user_x_product') }}

),

lifted_patterns as (

    select
        pattern_id,
        lifted

    from patterns

    where lifted is not null

),

-- What reviewers lifted for a person, as for hits of people (released_of_people).
released as (

    select
        hits.* replace (
            case
                when hits.effect = 'HOLD' and list_contains(lifted_patterns.lifted, md5(hits.facts)) then 'RELEASED'
                else hits.effect
            end as effect
        )

    from hits

    left join lifted_patterns
        on hits.pattern_id = lifted_patterns.pattern_id

)

select * from released
