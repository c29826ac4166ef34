with

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

contacts as (

    select * from {{ ref('stg_crm__contacts') }}

),

wallet_links as (

    select
        *,
        case
            when unlinked_at <= {{ as_of() }} then 'unlinked'
            when is_testnet then 'testnet'
            when not wallet_valid then 'invalid'
        end as reason

    from {{ ref('stg_wallets__wallet_links') }}

),

event_identifiers as (

    select * from {{ ref('int_event_identifiers_grouped') }}

),

consents as (

    select * from {{ ref('stg_crm__consents') }}

),

preferences as (

    select * from {{ ref('stg_crm__preferences') }}

),

past_assignments as (

    select * from {{ ref('stg_catalogue__past_assignments') }}

),

responses as (

    select * from {{ ref('stg_surveys__responses') }}

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

-- `reason` says why this row proves nothing; another row may still join the same two identifiers.
observations (identifier_kind, identifier, other_kind, other_identifier, evidence, reason, known_at) as (

    select 'account_id', account_id, 'email', email_std, 'email', case when not email_valid then 'invalid' end, known_at
    from accounts

    union all

    select 'account_id', account_id, 'phone', phone_std, 'phone', case when not phone_valid then 'invalid' end, known_at
    from accounts

    union all

    select 'contact_id', contact_id, 'email', email_std, 'email', case when not email_valid then 'invalid' end, known_at
    from contacts

    union all

    select 'contact_id', contact_id, 'phone', phone_std, 'phone', case when not phone_valid then 'invalid' end, known_at
    from contacts

    union all

    select 'account_id', account_id, 'wallet', wallet_std, proof, reason, known_at
    from wallet_links

    union all

    select 'device_id', device_id, 'wallet', wallet_std, proof, reason, known_at
    from wallet_links

    union all

    select 'account_id', account_id, 'device_id', device_id, 'login', null, first_known_at
    from event_identifiers

    union all

    select 'account_id', account_id, 'anonymous_id', anonymous_id, 'login', null, first_known_at
    from event_identifiers

    union all

    select 'device_id', device_id, 'anonymous_id', anonymous_id, 'device', null, first_known_at
    from event_identifiers

    union all

    select 'account_id', account_id, 'contact_id', contact_id, 'declared', null, known_at
    from consents

    union all

    select 'contact_id', contact_id, 'email', email_std, 'declared', case when not email_valid then 'invalid' end, known_at
    from consents

    union all

    select 'account_id', account_id, 'email', email_std, 'declared', case when not email_valid then 'invalid' end, known_at
    from consents

    union all

    select 'account_id', account_id, 'contact_id', contact_id, 'declared', null, known_at
    from preferences

    union all

    select 'account_id', account_id, 'contact_id', contact_id, 'declared', null, known_at
    from past_assignments

    union all

    select 'account_id', account_id, 'email', email_std, 'declared', case when not email_valid then 'invalid' end, known_at
    from responses

    union all

    select 'account_id', account_id, 'anonymous_id', anonymous_id, 'declared', null, known_at
    from responses

    union all

    select 'anonymous_id', anonymous_id, 'email', email_std, 'declared', case when not email_valid then 'invalid' end, known_at
    from responses

),

observations_of_two as (

    select observations.*

    from observations

    where observations.identifier is not null
        and observations.other_identifier is not null

),

pairs as (

    select
        observations_of_two.identifier_kind,
        observations_of_two.identifier,
        observations_of_two.other_kind,
        observations_of_two.other_identifier,
        -- The strongest evidence among the rows that prove something, else among all.
        coalesce(
            min(evidence_classes.evidence_rank) filter (where observations_of_two.reason is null),
            min(evidence_classes.evidence_rank)
        ) as evidence_rank,
        case when count(*) = count(observations_of_two.reason) then min(observations_of_two.reason) end as source_reason,
        coalesce(
            min(observations_of_two.known_at) filter (where observations_of_two.reason is null),
            min(observations_of_two.known_at)
        ) as first_known_at

    from observations_of_two

    inner join evidence_classes
        on observations_of_two.evidence = evidence_classes.evidence

    group by
        observations_of_two.identifier_kind,
        observations_of_two.identifier,
        observations_of_two.other_kind,
        observations_of_two.other_identifier

)

select * from pairs
