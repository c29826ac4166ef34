{#- How far back examples reach, and how many are kept. 400 days: where offers run for two months, half a year holds too few that have
    ended on both sides of a split by time. Past 1,000,000 a model of this size no longer changes; who is kept is decided by
    a hash, so the same assignments always give the same examples. -#}
{%- set window_days = var('training_window_days', 400) -%}
{%- set max_examples = var('training_max_examples', 1000000) -%}

with

assignments as (

    select * from {{ ref('assignments') }}

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

product_lines as (

    select * from {{ source('policy', 'product_lines') }}

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

assignments_in_window as (

    select
        assignments.assignment_id,
        assignments.person_id,
        assignments.offer_id,
        assignments.offer_version,
        assignments.product_line,
        assignments.channel,
        assignments.arm,
        assignments.propensity,
        assignments.assigned_at,
        offers.incentive,
        offers.asset_kind,
        offers.target_market,
        offers.unit_value_usd,
        offers.outcome_window_days,
        assignments.assigned_at + to_days(offers.outcome_window_days::integer) as window_ends_at

    from assignments

    left join offers
        on
            assignments.offer_id = offers.offer_id
            and assignments.offer_version = offers.version

    where assignments.assigned_at > {{ as_of() }} - to_days({{ window_days }})
        and assignments.assigned_at <= {{ as_of() }}
        -- Whoever was not yet known to be this person had other features when the offer was made, and which cannot be told any more.
        and (assignments.linked_at is null or assignments.linked_at <= assignments.assigned_at)

    qualify row_number() over (order by md5(assignments.assignment_id), assignments.assignment_id) <= {{ max_examples }}

),

person_moments as (

    select distinct
        person_id,
        assigned_at as moment_at

    from assignments_in_window

),

line_moments as (

    select distinct
        person_id,
        product_line,
        assigned_at as moment_at

    from assignments_in_window

),

person_features as (

    {{ person_features_at('person_moments') }}

),

line_features as (

    {{ line_features_at('line_moments') }}

),

first_uses as (

    select
        assignments_in_window.assignment_id,
        min(product_uses.known_at) as known_at

    from assignments_in_window

    inner join product_uses
        on
            assignments_in_window.person_id = product_uses.person_id
            and assignments_in_window.product_line = product_uses.product_line
            and assignments_in_window.assigned_at < product_uses.occurred_at
            and assignments_in_window.window_ends_at >= product_uses.occurred_at

    group by assignments_in_window.assignment_id

),

labelled as (

    select
        assignments_in_window.*,
        case
            when assignments_in_window.window_ends_at > outcomes_known.known_until then null
            when outcomes_known.known_until is null or assignments_in_window.window_ends_at is null then null
            else (first_uses.assignment_id is not null)::integer
        end as label,
        greatest(assignments_in_window.window_ends_at, first_uses.known_at) as label_known_at

    from assignments_in_window

    cross join outcomes_known

    left join first_uses
        on assignments_in_window.assignment_id = first_uses.assignment_id

),

examples as (

    select
        labelled.assignment_id,
        labelled.person_id,
        labelled.offer_id,
        labelled.offer_version,
        labelled.arm,
        labelled.arm = 'shown' as is_exposed,
        labelled.propensity::double as propensity,
        labelled.assigned_at,
        labelled.outcome_window_days::integer as outcome_window_days,
        labelled.label,
        case when labelled.label is not null then labelled.label_known_at end as label_known_at,
        1.0::double as weight,
        -- a line that the policy does not know is one whose outcome may well happen by itself
        coalesce(product_lines.outcome_needs_offer, false) as outcome_needs_offer,
        labelled.product_line,
        labelled.channel,
        labelled.incentive,
        labelled.asset_kind,
        labelled.target_market,
        labelled.unit_value_usd::double as unit_value_usd,
        person_features.*
        exclude (person_id, moment_at),
        line_features.*
        exclude (person_id, product_line, moment_at)

    from labelled

    left join product_lines
        on labelled.product_line = product_lines.product_line

    left join person_features
        on
            labelled.person_id = person_features.person_id
            and labelled.assigned_at = person_features.moment_at

    left join line_features
        on
            labelled.person_id = line_features.person_id
            and labelled.product_line = line_features.product_line
            and labelled.assigned_at = line_features.moment_at

)

select * from examples
order by
    assigned_at,
    assignment_id
