{%- set children = [
    ('exchange', 'trades', 'account_id', 'account'), ('exchange', 'ledger_entries', 'account_id', 'account'),
    ('wallets', 'wallet_links', 'account_id', 'account'), ('wallets', 'wallet_links', 'device_id', 'device'),
    ('crm', 'consents', 'contact_id', 'contact'), ('crm', 'consents', 'account_id', 'account'),
    ('crm', 'preferences', 'contact_id', 'contact'), ('crm', 'messages', 'contact_id', 'contact'), ('crm', 'messages', 'offer_id', 'offer'),
    ('surveys', 'responses', 'account_id', 'account'), ('surveys', 'responses', 'offer_id', 'offer'), ('events', 'events', 'account_id', 'account'),
    ('catalogue', 'past_assignments', 'account_id', 'account'), ('catalogue', 'past_assignments', 'contact_id', 'contact'),
    ('catalogue', 'past_assignments', 'offer_id', 'offer'),
] -%}
with

parents (parent, value) as (

    select 'account', account_id from {{ ref('stg_exchange__accounts') }}
    union
    select 'contact', contact_id from {{ ref('stg_crm__contacts') }}
    union
    select 'device', device_id from {{ ref('int_event_identifiers_grouped') }} where device_id is not null
    union
    select 'offer', offer_id from {{ ref('stg_catalogue__offers') }}

),

children (source, table_name, column_name, parent, value, times) as (

    {% for source_name, table_name, column, parent in children -%}
    select '{{ source_name }}', '{{ table_name }}', '{{ column }}', '{{ parent }}', {{ column }}, {{ 'sum(events)' if source_name == 'events' else 'count(*)' }}
    from {{ ref('int_event_identifiers_grouped' if source_name == 'events' else 'stg_' ~ source_name ~ '__' ~ table_name) }}
    where {{ column }} is not null
    group by {{ column }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    children.source,
    children.table_name,
    children.column_name,
    children.parent,
    sum(children.times)::bigint as rows,
    coalesce(sum(children.times) filter (where parents.value is null), 0)::bigint as orphans,
    round(orphans / sum(children.times), 9) as share_orphans,
    min(children.value) filter (where parents.value is null) as example
from children
left join parents
    on children.parent = parents.parent
    and children.value = parents.value
group by children.source, children.table_name, children.column_name, children.parent
order by children.source, children.table_name, children.column_name
