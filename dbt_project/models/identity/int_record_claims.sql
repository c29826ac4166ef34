{{ config(database=vault_database()) }}

with

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

contacts as (

    select * from {{ ref('stg_crm__contacts') }}

),

kyc_records as (

    select * from {{ ref('stg_compliance__kyc_records') }}

),

-- What a checked document says comes before what was typed; expired documents still name the same human.
verified as (

    select
        account_id,
        name_std,
        birth_date_std as birth_date

    from kyc_records

    where status in ('verified', 'expired')

    qualify row_number() over (
        partition by account_id
        order by verified_at desc nulls last, source_updated_at desc, kyc_id asc
    ) = 1

),

claims (record_kind, record_id, name, birth_date, is_verified) as (

    select
        'account_id',
        accounts.account_id,
        coalesce(verified.name_std, accounts.name_std),
        coalesce(verified.birth_date, accounts.birth_date_std),
        verified.account_id is not null

    from accounts

    left join verified
        on accounts.account_id = verified.account_id

    union all

    select
        'contact_id',
        contact_id,
        name_std,
        null,
        false

    from contacts

),

record_claims as (

    select
        record_kind,
        record_id,
        birth_date,
        name,
        is_verified,
        split_part(name, ' ', 1) as first_name,
        split_part(name, ' ', -1) as last_name,
        identifier_key(record_kind, record_id) as record_key

    from claims

)

select
    *,
    claim_row_key(record_key, birth_date, name, is_verified) as row_key
from record_claims
