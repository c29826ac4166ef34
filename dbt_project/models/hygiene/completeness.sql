{#- The columns that identify somebody, place them, or date what they did; the rest may be empty without anybody missing it. -#}
{%- set columns = [
    ('exchange', 'accounts', 'email', 'email is not null', 'email_valid'),
    ('exchange', 'accounts', 'phone', 'phone is not null', 'phone_valid'),
    ('exchange', 'accounts', 'full_name', 'full_name is not null', 'name_valid'),
    ('exchange', 'accounts', 'birth_date', 'birth_date is not null', 'birth_date_valid'),
    ('exchange', 'accounts', 'postal_code', 'postal_code is not null', 'postal_code_valid'),
    ('exchange', 'accounts', 'country_code', 'country_code is not null', 'country_code is not null'),
    ('exchange', 'accounts', 'time_zone', 'time_zone is not null', 'time_zone_std is not null'),
    ('crm', 'contacts', 'email', 'email is not null', 'email_valid'),
    ('crm', 'contacts', 'phone', 'phone is not null', 'phone_valid'),
    ('crm', 'contacts', 'full_name', 'full_name is not null', 'name_valid'),
    ('crm', 'contacts', 'postal_code', 'postal_code is not null', 'postal_code_valid'),
    ('crm', 'consents', 'contact_id', 'contact_id is not null', 'contact_id is not null'),
    ('crm', 'messages', 'decision_id', 'decision_id is not null', 'decision_id is not null'),
    ('exchange', 'trades', 'asset', 'asset is not null', 'asset_valid'),
    ('exchange', 'ledger_entries', 'amount_usd', 'amount_usd is not null', 'amount_usd is not null'),
    ('wallets', 'wallet_links', 'account_id', 'account_id is not null', 'account_id is not null'),
    ('wallets', 'wallet_links', 'wallet_address', 'wallet_address is not null', 'wallet_valid'),
    ('wallets', 'transfers', 'from_address', 'from_address is not null', 'from_wallet_valid'),
    ('events', 'events', 'account_id', 'account_id is not null', 'account_id is not null'),
    ('events', 'events', 'device_id', 'device_id is not null', 'device_id is not null'),
    ('events', 'events', 'anonymous_id', 'anonymous_id is not null', 'anonymous_id is not null'),
    ('events', 'events', 'user_agent', 'user_agent is not null', 'user_agent is not null'),
    ('surveys', 'responses', 'account_id', 'account_id is not null', 'account_id is not null'),
] -%}
with

{% for table_name, of_table in columns | groupby(1) -%}
{%- set source_name = of_table[0][0] -%}
{{ source_name }}_{{ table_name }} as (

    select
        count(*) as rows,
        {%- for column in of_table %}
        count(*) filter (where {{ column[3] }}) as {{ column[2] }}_given,
        count(*) filter (where {{ column[4] }}) as {{ column[2] }}_valid{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_' ~ source_name ~ '__' ~ table_name) }}

),

{% endfor -%}
counted as (

    {% for source_name, table_name, column, given, valid in columns -%}
    select
        '{{ source_name }}' as source,
        '{{ table_name }}' as table_name,
        '{{ column }}' as column_name,
        rows,
        {{ column }}_given as given,
        {{ column }}_valid as valid
    from {{ source_name }}_{{ table_name }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    source,
    table_name,
    column_name,
    rows,
    given,
    valid,
    round(given / nullif(rows, 0), 9) as share_given,
    round(valid / nullif(rows, 0), 9) as share_valid
from counted
order by source, table_name, column_name
