{{ config(database=vault_database()) }}

with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

contacts as (

    select * from {{ ref('stg_crm__contacts') }}

),

given_emails as (

    select distinct
        person_identifiers.person_id,
        lower(trim(accounts.email)) as email,
        accounts.email_std

    from accounts

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and accounts.account_id = person_identifiers.identifier

    where accounts.email is not null

    union

    select distinct
        person_identifiers.person_id,
        lower(trim(contacts.email)) as email,
        contacts.email_std

    from contacts

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'contact_id'
        and contacts.contact_id = person_identifiers.identifier

    where contacts.email is not null

)

select * from given_emails
