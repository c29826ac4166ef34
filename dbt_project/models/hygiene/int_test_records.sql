with

previous as (

    select {{ previous_as_of() }} as as_of

),

records (source, table_name, record_kind, record_id, is_test, row_hash, known_at) as (

    select
        'exchange', 'accounts', 'account_id', account_id, coalesce(is_test, false) or {{ is_test_email('email') }}, row_hash, known_at
    from {{ ref('stg_exchange__accounts') }}

    union all

    select 'crm', 'contacts', 'contact_id', contact_id, {{ is_test_email('email') }}, row_hash, known_at
    from {{ ref('stg_crm__contacts') }}

)

select
    records.*,
    records.known_at > previous.as_of as is_new
from records
cross join previous
