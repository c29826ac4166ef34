{#-
    Features are defined here once, for any moment: features.person_features asks for them at the run's as_of,
    features.training_examples at each decision, so the two cannot differ.

    A row counts at a moment when its usable_at, the later of when it happened and when it became known, is not after it.
    Windows are calendar days in UTC that end with the moment's own day: `days_ago < 7` is that day and the six before it.
-#}

{#- Counts are kept in bands (0, 1, 2-3, 4-7, 8-15, 16 and more): policy.md 5.3 allows trade counts and amounts only coarsened. -#}
{% macro count_band(count) -%}
    (case
        when {{ count }} >= 16 then 5
        when {{ count }} >= 8 then 4
        when {{ count }} >= 4 then 3
        when {{ count }} >= 2 then 2
        when {{ count }} >= 1 then 1
        else 0
    end)::integer
{%- endmacro %}

{#- Amounts in cents become their order of magnitude in USD: 0, up to 100, up to 1,000, up to 10,000, up to 100,000, above. -#}
{% macro amount_band(cents) -%}
    (case
        when {{ cents }} > 10000000 then 5
        when {{ cents }} > 1000000 then 4
        when {{ cents }} > 100000 then 3
        when {{ cents }} > 10000 then 2
        when {{ cents }} > 0 then 1
        else 0
    end)::integer
{%- endmacro %}

{#- Sum of a counting column over the last `days` days, or over all of history. Integers, so the order of rows cannot matter. -#}
{% macro total(column, days=none) -%}
    coalesce(sum(activity.{{ column }}){% if days %} filter (where activity.days_ago < {{ days }}){% endif %}, 0)::bigint
{%- endmacro %}

{#-
    On how many of the last `days` days (up to 126) the person traded: how often, where a count of trades says how much.
    One bit per day: or-ing them costs far less than a distinct count.
-#}
{% macro trade_days(days) -%}
    bit_count(bit_or(1::hugeint << least(activity.days_ago, 126)::integer) filter (where activity.trades > 0 and activity.days_ago < {{ days }}))
{%- endmacro %}

{% macro days_since(condition) -%}
    (min(activity.days_ago){% if condition %} filter (where {{ condition }}){% endif %})::integer
{%- endmacro %}

{#-
    One row per row of `moments` (person_id, moment_at: distinct pairs) with everything known about the person then.
    A person without activity has zeros, and null where there is nothing to measure from.
-#}
{% macro person_features_at(moments) %}
    select
        activity.person_id,
        activity.moment_at,
        {{ total('sessions', 7) }} as sessions_last_7_days,
        {{ total('sessions', 30) }} as sessions_last_30_days,
        {{ total('sessions', 90) }} as sessions_last_90_days,
        {{ total('events', 30) }} as events_last_30_days,
        {{ total('app_events', 30) }} as app_events_last_30_days,
        {{ total('asset_views', 7) }} as asset_views_last_7_days,
        {{ total('asset_views', 30) }} as asset_views_last_30_days,
        {{ total('product_views', 7) }} as product_views_last_7_days,
        {{ total('product_views', 30) }} as product_views_last_30_days,
        {{ total('searches', 30) }} as searches_last_30_days,
        {{ total('lessons_started', 90) }} as lessons_started_last_90_days,
        {{ total('lessons_completed', 90) }} as lessons_completed_last_90_days,
        {{ total('offers_shown', 30) }} as offers_shown_last_30_days,
        {{ total('offers_clicked', 30) }} as offers_clicked_last_30_days,
        {{ total('offers_accepted', 90) }} as offers_accepted_last_90_days,
        {{ total('offers_refused', 90) }} as offers_refused_last_90_days,
        {{ total('messages_received', 30) }} as messages_received_last_30_days,
        {{ total('messages_opened', 30) }} as messages_opened_last_30_days,
        {{ total('messages_clicked', 30) }} as messages_clicked_last_30_days,
        {{ count_band(total('trades', 7)) }} as trades_last_7_days_band,
        {{ count_band(total('trades', 30)) }} as trades_last_30_days_band,
        {{ count_band(total('trades', 90)) }} as trades_last_90_days_band,
        {{ amount_band(total('traded_cents', 30)) }} as traded_usd_last_30_days_band,
        {{ amount_band(total('traded_cents', 90)) }} as traded_usd_last_90_days_band,
        (case
            when {{ total('trades', 90) }} > 0
                then round(4.0 * {{ total('buys', 90) }} / {{ total('trades', 90) }})
        end)::integer as buy_share_last_90_days_quarters,
        {{ count_band(total('deposits', 30)) }} as deposits_last_30_days_band,
        {{ count_band(total('deposits', 90)) }} as deposits_last_90_days_band,
        {{ amount_band(total('deposited_cents', 90)) }} as deposited_usd_last_90_days_band,
        {{ count_band(total('withdrawals', 30)) }} as withdrawals_last_30_days_band,
        {{ count_band(total('rewards', 90)) }} as rewards_last_90_days_band,
        {{ total('product_uses', 30) }} as product_uses_last_30_days,
        {{ total('product_uses', 90) }} as product_uses_last_90_days,
        {{ count_band(trade_days(30)) }} as trade_days_last_30_days_band,
        {{ count_band(trade_days(90)) }} as trade_days_last_90_days_band,
        {{ total('offers_made', 365) }} as offers_made_last_365_days,
        {{ total('offer_outcomes', 90) }} as offer_outcomes_last_90_days,
        {{ total('offer_outcomes', 365) }} as offer_outcomes_last_365_days,
        {{ days_since('activity.offer_outcomes > 0') }} as days_since_last_offer_outcome,
        {{ days_since('activity.events > 0') }} as days_since_last_event,
        {{ days_since('activity.trades > 0') }} as days_since_last_trade,
        {{ days_since('activity.deposits > 0') }} as days_since_last_deposit,
        (max(activity.days_ago) filter (where activity.silo <> 'crm'))::integer as days_since_first_activity,
        count(distinct activity.silo)::integer as silos_present,
        {#- day-grained, from known rows only: core.people.lifecycle_stage holds what is known today -#}
        {{ lifecycle_stage(
            at='activity.moment_at',
            first_funded_at='(min(activity.occurred_day) filter (where activity.trades > 0 or activity.deposits > 0))',
            trades=total('trades'),
            trade_months='bit_count(bit_or(activity.trade_month))',
            last_active_at="(max(activity.occurred_day) filter (where activity.silo <> 'crm'))",
        ) }} as activity_stage

    from (

        select
            moments.person_id,
            moments.moment_at,
            person_activity.*
            exclude (person_id),
            date_diff('day', person_activity.occurred_day, moments.moment_at::date) as days_ago

        from {{ moments }} as moments

        left join {{ ref('person_activity') }} as person_activity
            on
                moments.person_id = person_activity.person_id
                and moments.moment_at >= person_activity.usable_at

    ) as activity

    group by
        activity.person_id,
        activity.moment_at
{% endmacro %}

{#-
    One row per row of `moments` (person_id, product_line, moment_at: distinct) with what the person did with that product line.
    A line the person never touched has zeros; scoring gives the same zeros to pairs that have no row.
-#}
{% macro line_features_at(moments) %}
    select
        activity.person_id,
        activity.product_line,
        activity.moment_at,
        {{ total('product_views', 7) }} as line_views_last_7_days,
        {{ total('product_views', 30) }} as line_views_last_30_days,
        {{ total('offers_shown', 30) }} as line_offers_shown_last_30_days,
        {{ total('offers_clicked', 30) }} as line_offers_clicked_last_30_days,
        {{ total('offers_refused', 90) }} as line_offers_refused_last_90_days,
        {{ count_band(total('product_uses', 30)) }} as line_uses_last_30_days_band,
        {{ count_band(total('product_uses', 90)) }} as line_uses_last_90_days_band,
        ({{ total('product_uses') }} > 0)::integer as line_ever_used,
        {{ days_since('activity.product_uses > 0') }} as days_since_last_line_use

    from (

        select
            moments.person_id,
            moments.product_line,
            moments.moment_at,
            line_activity.*
            exclude (person_id, product_line),
            date_diff('day', line_activity.occurred_day, moments.moment_at::date) as days_ago

        from {{ moments }} as moments

        left join {{ ref('line_activity') }} as line_activity
            on
                moments.person_id = line_activity.person_id
                and moments.product_line = line_activity.product_line
                and moments.moment_at >= line_activity.usable_at

    ) as activity

    group by
        activity.person_id,
        activity.product_line,
        activity.moment_at
{% endmacro %}
