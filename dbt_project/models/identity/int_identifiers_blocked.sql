with

pairs as (

    select * from {{ ref('int_identifier_pairs_observed') }}

),

event_identifiers as (

    select * from {{ ref('int_event_identifiers_grouped') }}

),

blocked_values as (

    select * from {{ ref('identity_blocked_values') }}

),

-- Identifiers seen alone count too: an account without an e-mail address is somebody.
sightings (identifier_kind, identifier, known_at) as (

    select identifier_kind, identifier, first_known_at from pairs

    union all

    select other_kind, other_identifier, first_known_at from pairs

    union all

    select 'account_id', account_id, first_known_at from event_identifiers

    union all

    select 'device_id', device_id, first_known_at from event_identifiers

    union all

    select 'anonymous_id', anonymous_id, first_known_at from event_identifiers

    union all

    select 'account_id', account_id, known_at from {{ ref('stg_exchange__accounts') }}

    union all

    select 'contact_id', contact_id, known_at from {{ ref('stg_crm__contacts') }}

    union all

    select 'account_id', account_id, min(known_at) from {{ ref('stg_exchange__trades') }} group by account_id

    union all

    select 'account_id', account_id, min(known_at) from {{ ref('stg_exchange__ledger_entries') }} group by account_id

    union all

    select 'contact_id', contact_id, min(known_at) from {{ ref('stg_crm__messages') }} group by contact_id

    union all

    select 'contact_id', contact_id, min(known_at) from {{ ref('stg_crm__consents') }} group by contact_id

    union all

    select 'account_id', account_id, min(known_at) from {{ ref('stg_crm__consents') }} group by account_id

    union all

    select 'contact_id', contact_id, min(known_at) from {{ ref('stg_crm__preferences') }} group by contact_id

    union all

    select 'account_id', account_id, min(known_at) from {{ ref('stg_crm__preferences') }} group by account_id

    union all

    select 'contact_id', contact_id, min(known_at) from {{ ref('stg_catalogue__past_assignments') }} group by contact_id

    union all

    select 'account_id', account_id, min(known_at) from {{ ref('stg_catalogue__past_assignments') }} group by account_id

),

seen as (

    select
        identifier_kind,
        identifier,
        min(known_at) as first_known_at

    from sightings

    where identifier is not null

    group by identifier_kind, identifier

),

-- What is left of an identifier without its punctuation and a leading 0x or +, to see whether it is one character repeated.
spelled as (

    select
        *,
        regexp_replace(regexp_replace(lower(identifier), '^(0x|\+)', ''), '[^0-9a-z]', '', 'g') as letters,
        case when identifier_kind = 'email' then split_part(identifier, '@', 1) end as local_part,
        case when identifier_kind = 'email' then split_part(identifier, '@', 2) end as domain

    from seen

),

blocked as (

    select
        spelled.identifier_kind,
        spelled.identifier,
        spelled.first_known_at,
        coalesce(exact.why, by_local_part.why, by_domain.why, repeated.why) as blocked_why

    from spelled

    left join blocked_values as exact
        on spelled.identifier_kind = exact.identifier_kind
        and exact.match = 'exact'
        and lower(spelled.identifier) = exact.value

    left join blocked_values as by_local_part
        on spelled.identifier_kind = by_local_part.identifier_kind
        and by_local_part.match = 'local_part'
        and spelled.local_part = by_local_part.value

    left join blocked_values as by_domain
        on spelled.identifier_kind = by_domain.identifier_kind
        and by_domain.match = 'domain'
        and spelled.domain = by_domain.value

    left join blocked_values as repeated
        on spelled.identifier_kind = repeated.identifier_kind
        and repeated.match = 'repeated_character'
        and length(spelled.letters) >= 4
        and replace(spelled.letters, left(spelled.letters, 1), '') = ''

)

select * from blocked
