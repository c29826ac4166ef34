{{ config(database=vault_database()) }}

with

restrictions as (

    select * from {{ ref('stg_compliance__restrictions') }}
    where status = 'open'
        and starts_at <= {{ as_of() }}
        and (ends_at is null or ends_at > {{ as_of() }})

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

contacts as (

    select * from {{ ref('stg_crm__contacts') }}

),

-- An e-mail also speaks of whoever gave it, where identity dropped it as a link because too many share it.
people_by_email as (

    select distinct
        person_identifiers.person_id,
        lower(trim(accounts.email)) as email

    from accounts

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and accounts.account_id = person_identifiers.identifier

    where accounts.email is not null

    union

    select distinct
        person_identifiers.person_id,
        lower(trim(contacts.email)) as email

    from contacts

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'contact_id'
        and contacts.contact_id = person_identifiers.identifier

    where contacts.email is not null

),

matched as (

    select
        person_identifiers.person_id,
        restrictions.kind

    from restrictions

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and restrictions.account_id = person_identifiers.identifier

    union all

    select
        person_identifiers.person_id,
        restrictions.kind

    from restrictions

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'wallet'
        and restrictions.wallet_std = person_identifiers.identifier

    union all

    select
        person_identifiers.person_id,
        restrictions.kind

    from restrictions

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'email'
        and restrictions.email_std = person_identifiers.identifier

    union all

    select
        people_by_email.person_id,
        restrictions.kind

    from restrictions

    inner join people_by_email
        on lower(trim(restrictions.email)) = people_by_email.email

),

-- A kind that nobody here knows is treated as the gravest.
person_restrictions as (

    select
        person_id,
        list_sort(list_distinct(list(
            case
                when kind in (
                    'embargo', 'fincrime_hold', 'adverse_media', 'minor_signal', 'vulnerable', 'harm_signal', 'self_exclusion', 'erasure',
                    'objection', 'do_not_contact', 'profiling_objection'
                ) then kind
                else 'fincrime_hold'
            end
        ))) as kinds

    from matched

    group by person_id

)

select * from person_restrictions
