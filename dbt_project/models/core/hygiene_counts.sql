{#- Facts: a further row of a key is a duplicate. Entities: a further content of a key is an older version. -#}
{%- set facts = [('exchange', 'trades'), ('exchange', 'ledger_entries'), ('wallets', 'transfers')] -%}
{%- set entities = [
    ('exchange', 'accounts'), ('wallets', 'wallet_links'), ('crm', 'contacts'), ('crm', 'consents'), ('crm', 'preferences'), ('crm', 'messages'),
    ('surveys', 'responses'), ('catalogue', 'offers'), ('catalogue', 'creatives'), ('catalogue', 'past_assignments'), ('catalogue', 'approvals'),
    ('market', 'prices'),
] -%}
{%- set removed_tables = [
    ('events', 'events', 'removed_events'), ('exchange', 'trades', 'removed_trades'), ('exchange', 'ledger_entries', 'removed_ledger_entries'),
    ('wallets', 'transfers', 'removed_transfers'), ('crm', 'messages', 'removed_messages'), ('catalogue', 'past_assignments', 'removed_assignments'),
] -%}
with

landed as (

    {% for source_name, table_name in facts + entities -%}
    select
        '{{ source_name }}' as source,
        '{{ table_name }}' as table_name,
        {{ 'true' if (source_name, table_name) in facts else 'false' }} as is_facts,
        (
            select count(*) from {{ source('raw', source_name ~ '__' ~ table_name) }}
            where _extracted_at <= {{ as_of() }}
        ) as landed_rows,
        (
            select count(distinct _row_hash) from {{ source('raw', source_name ~ '__' ~ table_name) }}
            where _extracted_at <= {{ as_of() }}
        ) as contents,
        (select count(*) from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }}) as current_rows
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- Events are counted from what was kept and removed: another pass over all their raw rows would cost more than the rest of this model.
event_rows as (

    select
        (select count(*) from {{ ref('stg_events__events') }}) + (select count(*) from {{ ref('stg_events__event_duplicates') }})
            as landed_rows

),

removed as (

    {% for source_name, table_name, removed_table in removed_tables -%}
    select
        '{{ source_name }}' as source,
        '{{ table_name }}' as table_name,
        unnest(reasons) as reason
    from {{ ref(removed_table) }}
    {%- if removed_table == 'removed_assignments' %}
    where source = 'past'
    {%- endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

removed_by_reason as (

    select
        source,
        table_name,
        reason,
        count(*) as rows
    from removed
    group by source, table_name, reason

),

expired as (

    {% for period in validity_periods() -%}
    select
        '{{ period.source }}' as source,
        '{{ period.table }}' as table_name,
        '{{ period.attribute }}' as attribute,
        count(*) filter (
            where {{ period.attribute }} is not null and {{ period.since }} <= {{ as_of() }} - interval {{ period.days }} day
        ) as rows
    from {{ ref('stg_' ~ period.source ~ '__' ~ period.table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

counted as (

    select source, table_name, 'rows' as kind, null::varchar as detail, landed_rows as rows from landed
    union all
    select source, table_name, 'duplicate_exact' as kind, null as detail, landed_rows - contents as rows from landed
    union all
    select source, table_name, 'duplicate_near' as kind, null as detail, contents - current_rows as rows from landed where is_facts
    union all
    select source, table_name, 'superseded' as kind, null as detail, contents - current_rows as rows from landed where not is_facts
    union all
    select 'events' as source, 'events' as table_name, 'rows' as kind, null as detail, landed_rows as rows from event_rows
    union all
    select source, table_name, reason as kind, null as detail, rows from removed_by_reason where starts_with(reason, 'duplicate_')
    union all
    select source, table_name, 'expired' as kind, attribute as detail, rows from expired
    union all
    select source, table_name, 'removed' as kind, reason as detail, rows from removed_by_reason
    where not starts_with(reason, 'duplicate_')

)

select
    source,
    table_name,
    kind,
    detail,
    rows::bigint as rows
from counted
order by source, table_name, kind, detail
