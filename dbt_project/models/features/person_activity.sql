with

events as (

    select * from {{ ref('events') }}

),

trades as (

    select * from {{ ref('trades') }}

),

ledger_entries as (

    select * from {{ ref('ledger_entries') }}

),

product_uses as (

    select * from {{ ref('product_uses') }}

),

message_facts as (

    select * from {{ ref('message_facts') }}

),

assignments as (

    select * from {{ ref('assignments') }}

    where arm = 'shown'

),

offers as (

    select * from {{ ref('stg_catalogue__offers') }}

),

event_days as (

    select
        person_id,
        'events' as silo,
        occurred_at::date as occurred_day,
        greatest(occurred_at, known_at) as usable_at,
        count(distinct session_id)::bigint as sessions,
        count(*)::bigint as events,
        count(*) filter (where channel = 'app')::bigint as app_events,
        count(*) filter (where event_name = 'asset_view')::bigint as asset_views,
        count(*) filter (where event_name = 'product_view')::bigint as product_views,
        count(*) filter (where event_name = 'search')::bigint as searches,
        count(*) filter (where event_name = 'lesson_started')::bigint as lessons_started,
        count(*) filter (where event_name = 'lesson_completed')::bigint as lessons_completed,
        count(*) filter (where event_name = 'offer_shown')::bigint as offers_shown,
        count(*) filter (where event_name = 'offer_clicked')::bigint as offers_clicked,
        count(*) filter (where event_name = 'offer_accepted')::bigint as offers_accepted,
        count(*) filter (where event_name in ('offer_dismissed', 'offer_not_relevant'))::bigint as offers_refused

    from events

    group by
        person_id,
        occurred_day,
        usable_at

),

trade_days as (

    select
        person_id,
        'exchange' as silo,
        traded_at::date as occurred_day,
        greatest(traded_at, known_at) as usable_at,
        count(*)::bigint as trades,
        count(*) filter (where side = 'buy')::bigint as buys,
        sum(round(amount_usd * 100)::hugeint)::bigint as traded_cents,
        -- one bit per month of a five-year cycle: or-ing them counts months with a trade without a distinct count
        bit_or(1::bigint << ((year(traded_at) * 12 + month(traded_at)) % 60)::integer) as trade_month

    from trades

    group by
        person_id,
        occurred_day,
        usable_at

),

-- liquidations and limit hits are left out on purpose: policy.md 5.3 forbids them as a targeting signal
ledger_days as (

    select
        person_id,
        'exchange' as silo,
        occurred_at::date as occurred_day,
        greatest(occurred_at, known_at) as usable_at,
        count(*) filter (where kind = 'deposit')::bigint as deposits,
        (coalesce(sum(round(amount_usd * 100)::hugeint) filter (where kind = 'deposit'), 0))::bigint as deposited_cents,
        count(*) filter (where kind = 'withdrawal')::bigint as withdrawals,
        count(*) filter (where kind = 'reward')::bigint as rewards

    from ledger_entries

    where kind in ('deposit', 'withdrawal', 'reward')

    group by
        person_id,
        occurred_day,
        usable_at

),

use_days as (

    select
        person_id,
        'exchange' as silo,
        occurred_at::date as occurred_day,
        greatest(occurred_at, known_at) as usable_at,
        count(*)::bigint as product_uses

    from product_uses

    group by
        person_id,
        occurred_day,
        usable_at

),

message_days as (

    select
        person_id,
        'crm' as silo,
        occurred_at::date as occurred_day,
        usable_at,
        count(*) filter (where fact = 'received')::bigint as messages_received,
        count(*) filter (where fact = 'opened')::bigint as messages_opened,
        count(*) filter (where fact = 'clicked')::bigint as messages_clicked

    from message_facts

    group by
        person_id,
        occurred_day,
        usable_at

),

-- An offer counts from just after it was made: the decision whose features these are must not count itself.
-- It has no silo, because it is what the shop did and no sign of life.
offers_made as (

    select
        assignments.person_id,
        assignments.product_line,
        assignments.assigned_at,
        assignments.assigned_at + to_days(offers.outcome_window_days::integer) as window_ends_at,
        greatest(assignments.assigned_at, assignments.known_at) + interval 1 microsecond as usable_at

    from assignments

    left join offers
        on
            assignments.offer_id = offers.offer_id
            and assignments.offer_version = offers.version

),

offer_days as (

    select
        person_id,
        null::varchar as silo,
        assigned_at::date as occurred_day,
        usable_at,
        count(*)::bigint as offers_made

    from offers_made

    group by
        person_id,
        occurred_day,
        usable_at

),

-- A use that several offers may have brought about counts once, from when the first of them and the use are both known.
uses_after_offers as (

    select
        product_uses.person_id,
        product_uses.use_id,
        product_uses.occurred_at,
        greatest(product_uses.occurred_at, product_uses.known_at, min(offers_made.usable_at)) as usable_at

    from product_uses

    inner join offers_made
        on
            product_uses.person_id = offers_made.person_id
            and product_uses.product_line = offers_made.product_line
            and product_uses.occurred_at > offers_made.assigned_at
            and product_uses.occurred_at <= offers_made.window_ends_at

    group by
        product_uses.person_id,
        product_uses.product_line,
        product_uses.use_id,
        product_uses.occurred_at,
        product_uses.known_at

),

outcome_days as (

    select
        person_id,
        'exchange' as silo,
        occurred_at::date as occurred_day,
        usable_at,
        count(*)::bigint as offer_outcomes

    from uses_after_offers

    group by
        person_id,
        occurred_day,
        usable_at

),

all_days as (

    select * from event_days
    union all by name
    select * from trade_days
    union all by name
    select * from ledger_days
    union all by name
    select * from use_days
    union all by name
    select * from message_days
    union all by name
    select * from offer_days
    union all by name
    select * from outcome_days

)

select * from all_days
