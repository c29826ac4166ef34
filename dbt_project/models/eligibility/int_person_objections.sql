{{ config(database=vault_database()) }}

with

preferences as (

    select * from {{ ref('stg_crm__preferences') }}
    where personalisation_off is not null
        and recorded_at <= {{ as_of() }}

),

messages as (

    select * from {{ ref('stg_crm__messages') }}
    where channel = 'email'
        and unsubscribed_at <= {{ as_of() }}

),

consents as (

    select * from {{ ref('stg_crm__consents') }}
    where purpose = 'marketing'
        and status = 'granted'
        and (channel = 'email' or channel is null)
        and recorded_at <= {{ as_of() }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

preferences_of_people as (

    select
        person_identifiers.person_id,
        preferences.recorded_at,
        preferences.personalisation_off

    from preferences

    inner join person_identifiers
        on person_identifiers.identifier_kind = case when preferences.contact_id is not null then 'contact_id' else 'account_id' end
        and person_identifiers.identifier = coalesce(preferences.contact_id, preferences.account_id)

),

-- The latest word counts; of two at one instant the one that says stop.
personalisation as (

    select
        person_id,
        arg_max(personalisation_off, (recorded_at, personalisation_off)) as personalisation_off

    from preferences_of_people

    group by person_id

),

unsubscribed as (

    select
        person_identifiers.person_id,
        max(messages.unsubscribed_at) as unsubscribed_at

    from messages

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'contact_id'
        and messages.contact_id = person_identifiers.identifier

    group by person_identifiers.person_id

),

granted_again as (

    select
        person_identifiers.person_id,
        max(consents.recorded_at) as granted_at

    from consents

    inner join person_identifiers
        on person_identifiers.identifier_kind = case
            when consents.contact_id is not null then 'contact_id'
            when consents.account_id is not null then 'account_id'
            else 'email'
        end
        and person_identifiers.identifier = coalesce(consents.contact_id, consents.account_id, consents.email_std)

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

    where not coalesce(evidence_classes.is_weak, false)

    group by person_identifiers.person_id

),

objections as (

    select
        coalesce(personalisation.person_id, unsubscribed.person_id) as person_id,
        coalesce(personalisation.personalisation_off, false) as is_personalisation_off,
        unsubscribed.person_id is not null
        and coalesce(granted_again.granted_at <= unsubscribed.unsubscribed_at, true) as is_unsubscribed

    from personalisation

    full outer join unsubscribed
        on personalisation.person_id = unsubscribed.person_id

    left join granted_again
        on unsubscribed.person_id = granted_again.person_id

)

select * from objections
