{#- Before the first publication there are no decisions of our own, and no segment as it was when somebody decided. -#}
{%- set decisions = source('state', 'decisions') -%}
{%- set published = has_relation(decisions) -%}
with

assignments as (

    select * from {{ ref('assignments') }}

    -- Of one offer that an earlier system and Candor both name alike, Candor's own record.
    qualify row_number() over (partition by assignment_id order by source) = 1

),

offers as (

    select * from {{ ref('stg_catalogue__offers') }}

),

product_uses as (

    select * from {{ ref('product_uses') }}

),

feeds as (

    select * from {{ source('raw', 'feeds') }}

),

training_examples as (

    select * from {{ ref('training_examples') }}

),

decided_segments as (

    {% if published -%}
    select
        'candor' as source,
        decision_id,
        segment

    from {{ decisions }}
    {%- else -%}
    select
        null::varchar as source,
        null::varchar as decision_id,
        null::varchar as segment

    where false
    {%- endif %}

),

-- Nobody can say that something did not happen before both tables it would be found in were known whole.
outcomes_known as (

    select
        case
            when count(*) filter (where known_whole_at is not null) = 2 then least(min(known_whole_at), {{ as_of() }})
        end as known_until

    from feeds

    where source = 'exchange'
        and table_name in ('trades', 'ledger_entries')

),

assignments_closed as (

    select
        assignments.assignment_id,
        assignments.source,
        assignments.person_id,
        assignments.offer_id,
        assignments.offer_version,
        assignments.product_line,
        assignments.channel,
        assignments.arm,
        assignments.assigned_at,
        assignments.assigned_at + to_days(offers.outcome_window_days::integer) as window_ends_at,
        offers.unit_value_usd::decimal(18, 6) as unit_value_usd,
        case when assignments.arm = 'shown' then offers.cost_usd::decimal(18, 6) else 0 end as cost_usd

    from assignments

    inner join offers
        on assignments.offer_id = offers.offer_id
        and assignments.offer_version = offers.version

    cross join outcomes_known

    where assignments.assigned_at + to_days(offers.outcome_window_days::integer) <= outcomes_known.known_until

),

first_uses as (

    select
        assignments_closed.assignment_id,
        min(product_uses.occurred_at) as first_used_at

    from assignments_closed

    inner join product_uses
        on assignments_closed.person_id = product_uses.person_id
        and assignments_closed.product_line = product_uses.product_line
        and product_uses.occurred_at > assignments_closed.assigned_at
        and product_uses.occurred_at <= assignments_closed.window_ends_at

    group by assignments_closed.assignment_id

),

outcomes_found as (

    select
        assignments_closed.assignment_id,
        assignments_closed.source,
        assignments_closed.person_id,
        assignments_closed.offer_id,
        assignments_closed.offer_version,
        assignments_closed.product_line,
        assignments_closed.channel,
        -- As it was when somebody decided: afterwards it is part of what the offer may have changed.
        coalesce(decided_segments.segment, 'unknown:' || training_examples.activity_stage, 'unknown') as segment,
        assignments_closed.arm,
        assignments_closed.assigned_at,
        assignments_closed.window_ends_at,
        first_uses.first_used_at,
        first_uses.assignment_id is not null as has_outcome,
        case when first_uses.assignment_id is not null then assignments_closed.unit_value_usd else 0 end as outcome_value_usd,
        assignments_closed.cost_usd

    from assignments_closed

    left join first_uses
        on assignments_closed.assignment_id = first_uses.assignment_id

    left join decided_segments
        on assignments_closed.source = decided_segments.source
        and assignments_closed.assignment_id = decided_segments.decision_id

    left join training_examples
        on assignments_closed.assignment_id = training_examples.assignment_id

)

select * from outcomes_found
