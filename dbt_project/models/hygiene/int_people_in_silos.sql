{#- Reads the vault for who has a KYC record; what leaves it are counts. -#}
{{ config(database=vault_database()) }}

with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

test_people as (

    select distinct person_identifiers.person_id

    from {{ ref('int_test_records') }} as records

    inner join person_identifiers
        on records.record_kind = person_identifiers.identifier_kind
        and records.record_id = person_identifiers.identifier

    where records.is_test

),

seen (silo, identifier_kind, identifier) as (

    select 'exchange', 'account_id', account_id from {{ ref('stg_exchange__accounts') }}
    union all
    select 'crm', 'contact_id', contact_id from {{ ref('stg_crm__contacts') }}
    union all
    select 'wallets', 'wallet', wallet_std from {{ ref('stg_wallets__wallet_links') }}
    union all
    select 'events', 'device_id', device_id from {{ ref('int_event_identifiers_grouped') }}
    union all
    select 'events', 'anonymous_id', anonymous_id from {{ ref('int_event_identifiers_grouped') }}
    union all
    select 'events', 'account_id', account_id from {{ ref('int_event_identifiers_grouped') }}
    union all
    select 'compliance', 'account_id', account_id from {{ ref('stg_compliance__kyc_records') }}
    union all
    select 'surveys', 'account_id', account_id from {{ ref('stg_surveys__responses') }}
    union all
    select 'surveys', 'email', email_std from {{ ref('stg_surveys__responses') }}
    union all
    select 'surveys', 'anonymous_id', anonymous_id from {{ ref('stg_surveys__responses') }}

),

people_in_silos as (

    select distinct
        person_identifiers.person_id,
        seen.silo

    from person_identifiers

    left join seen
        on person_identifiers.identifier_kind = seen.identifier_kind
        and person_identifiers.identifier = seen.identifier

    where person_identifiers.person_id not in (select person_id from test_people)

)

select * from people_in_silos
