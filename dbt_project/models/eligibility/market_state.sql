with

states as (

    select * from {{ ref('market_states') }}

),

latest as (

    select
        max(bar_end) as observed_at,
        arg_max(vol_rank, bar_end) as vol_rank

    from states

),

-- One row whatever is known: what nobody can say is null, and null passes no rule.
market_state as (

    select
        observed_at,
        case
            when epoch({{ as_of() }} - observed_at) <= {{ limit_value('market_max_age_hours') }} * 3600
                then vol_rank
        end as c_vol_rank

    from latest

)

select * from market_state
