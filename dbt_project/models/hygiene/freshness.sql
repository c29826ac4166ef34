{%- set happened = [
    ('exchange', 'accounts', 'source_updated_at'), ('exchange', 'trades', 'traded_at'), ('exchange', 'ledger_entries', 'occurred_at'),
    ('wallets', 'wallet_links', 'linked_at'), ('wallets', 'transfers', 'occurred_at'), ('events', 'events', 'occurred_at'),
    ('crm', 'contacts', 'source_updated_at'), ('crm', 'consents', 'recorded_at'), ('crm', 'preferences', 'recorded_at'),
    ('crm', 'messages', 'sent_at'), ('surveys', 'responses', 'submitted_at'), ('catalogue', 'past_assignments', 'assigned_at'),
    ('market', 'prices', 'bar_start'),
] -%}
with

silos as (

    select * from {{ source('raw', 'silos') }}

),

feeds as (

    select * from {{ source('raw', 'feeds') }}

),

-- The latest that had happened by the run's instant; clocks that run ahead are left out.
events (source, table_name, last_event_at) as (

    {% for source_name, table_name, column in happened -%}
    select '{{ source_name }}', '{{ table_name }}', max({{ column }}) filter (where {{ column }} <= {{ as_of() }})
    from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    silos.source,
    silos.table_name,
    silos.state,
    silos.last_delivered_at,
    silos.hours_since_delivery,
    feeds.known_whole_at,
    events.last_event_at,
    round(epoch({{ as_of() }} - events.last_event_at) / 3600.0, 2) as hours_since_event,
    silos.when_late
from silos
inner join feeds
    on silos.source = feeds.source
    and silos.table_name = feeds.table_name
left join events
    on silos.source = events.source
    and silos.table_name = events.table_name
order by silos.source, silos.table_name
