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

-- An e-mail also speaks of whoever gave it, where identity dropped it as a link because too many share it.
person_emails as (

    select * from {{ ref('person_emails') }}

),

-- The same of a wallet that somebody claims and identity did not make theirs: mistyped, or claimed by too many.
person_wallets as (

    select * from {{ ref('person_wallets') }}

),

-- Who was erased and came back is somebody new, and is left alone all the same.
suppressed_people as (

    select * from {{ source('vault_state', 'suppressed_people') }}

),

matched as (

    select
        person_id,
        'erasure' as kind

    from suppressed_people

    union all

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
        person_emails.person_id,
        restrictions.kind

    from restrictions

    inner join person_emails
        on lower(trim(restrictions.email)) = person_emails.email

    union all

    select
        person_wallets.person_id,
        restrictions.kind

    from restrictions

    inner join person_wallets
        on restrictions.wallet_std = person_wallets.wallet_std

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
