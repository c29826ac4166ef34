{#- A table's own rows grouped by the key's value: (source, table, key, record, value when it is usable, relation, what it must meet). -#}
{%- set keys = [
    ('exchange', 'accounts', 'email', 'account_id', 'case when email_valid then email_std end', 'contact email'),
    ('exchange', 'accounts', 'phone', 'account_id', 'case when phone_valid then phone_std end', 'contact phone'),
    ('crm', 'contacts', 'email', 'contact_id', 'case when email_valid then email_std end', 'account email'),
    ('crm', 'contacts', 'phone', 'contact_id', 'case when phone_valid then phone_std end', 'account phone'),
    ('crm', 'consents', 'contact_id', 'consent_id', 'contact_id', 'contact'),
    ('crm', 'messages', 'contact_id', 'message_id', 'contact_id', 'contact'),
    ('exchange', 'trades', 'account_id', 'trade_id', 'account_id', 'account'),
    ('exchange', 'ledger_entries', 'account_id', 'entry_id', 'account_id', 'account'),
    ('wallets', 'wallet_links', 'account_id', 'link_id', 'account_id', 'account'),
    ('wallets', 'wallet_links', 'device_id', 'link_id', 'device_id', 'device'),
    ('surveys', 'responses', 'account_id', 'response_id', 'account_id', 'account'),
    ('surveys', 'responses', 'email', 'response_id', 'case when email_valid then email_std end', 'contact email'),
] -%}
with

previous as (

    select {{ previous_as_of() }} as as_of

),

targets (met, value) as (

    select 'account', account_id from {{ ref('stg_exchange__accounts') }}
    union
    select 'account email', email_std from {{ ref('stg_exchange__accounts') }} where email_valid
    union
    select 'account phone', phone_std from {{ ref('stg_exchange__accounts') }} where phone_valid
    union
    select 'contact', contact_id from {{ ref('stg_crm__contacts') }}
    union
    select 'contact email', email_std from {{ ref('stg_crm__contacts') }} where email_valid
    union
    select 'contact phone', phone_std from {{ ref('stg_crm__contacts') }} where phone_valid
    union
    select 'device', device_id from {{ ref('int_event_identifiers_grouped') }} where device_id is not null

),

-- One row per value of a key, so that millions of trades are a row per account.
records (source, table_name, key, met, value, rows, new_rows, examples) as (

    {% for source_name, table_name, key, record, value, met in keys -%}
    select
        '{{ source_name }}', '{{ table_name }}', '{{ key }}', '{{ met }}', {{ value }},
        count(*), count(*) filter (where known_at > previous.as_of), min({{ record }}, 3) filter (where known_at > previous.as_of)
    from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }}
    cross join previous
    group by all
    union all
    {% endfor -%}
    -- Browsers and devices: which of them are known to be somebody's.
    select
        'events', 'events', 'account_id', 'account', account_id,
        count(*), count(*) filter (where first_known_at > previous.as_of),
        min(coalesce(device_id, anonymous_id, account_id), 3) filter (where first_known_at > previous.as_of)
    from {{ ref('int_event_identifiers_grouped') }}
    cross join previous
    group by all

),

-- What is seen for the first time is judged apart: a key that got lost today is still there in all the rows of before.
seen as (

    select
        records.* exclude (rows, new_rows, examples),
        'all' as seen,
        records.rows,
        null::varchar[] as examples
    from records

    union all

    select
        records.* exclude (rows, new_rows, examples),
        'new' as seen,
        records.new_rows as rows,
        records.examples
    from records
    cross join previous
    where records.new_rows > 0
        and previous.as_of > timestamp '1900-01-01'

),

counted as (

    select
        seen.source,
        seen.table_name,
        seen.key,
        seen.met,
        seen.seen,
        sum(seen.rows)::bigint as records,
        coalesce(sum(seen.rows) filter (where seen.value is not null), 0)::bigint as carrying,
        coalesce(sum(seen.rows) filter (where targets.value is not null), 0)::bigint as joined,
        nullif(array_to_string(list_sort(flatten(list(seen.examples) filter (where targets.value is null)))[1:3], ', '), '') as not_joined

    from seen

    left join targets
        on seen.met = targets.met
        and seen.value = targets.value

    group by all

),

latest as (

    select
        deliveries.source,
        deliveries.table_name,
        max_by(deliveries.delivery, (deliveries.extracted_at, deliveries.delivery_id)) filter (where deliveries.rows_loaded > 0) as latest_delivery

    from {{ source('state', 'deliveries') }} as deliveries

    inner join {{ source('state', 'pins') }} as pins
        on deliveries.delivery_id = pins.delivery_id

    where pins.as_of = {{ as_of() }}

    group by deliveries.source, deliveries.table_name

)

select
    counted.source,
    counted.table_name,
    counted.key,
    counted.met,
    counted.seen,
    counted.records,
    counted.carrying,
    counted.joined,
    round(counted.carrying / nullif(counted.records, 0), 9) as share_carrying,
    round(counted.joined / nullif(counted.records, 0), 9) as share_joined,
    (select count(*) from targets where targets.met = counted.met) as targets,
    counted.not_joined,
    latest.latest_delivery
from counted
left join latest
    on counted.source = latest.source
    and counted.table_name = latest.table_name
order by counted.source, counted.table_name, counted.key, counted.seen
