{{ config(database=vault_database()) }}

with

consents as (

    select * from {{ ref('stg_crm__consents') }}
    where recorded_at <= {{ as_of() }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind in ('contact_id', 'account_id', 'email')

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

person_emails as (

    select * from {{ ref('person_emails') }}

),

-- A row speaks of one subject: its contact, else its account, else its e-mail.
consents_by_subject as (

    select
        case
            when contact_id is not null then 'contact_id'
            when account_id is not null then 'account_id'
            else 'email'
        end as subject_kind,
        coalesce(contact_id, account_id, email_std) as subject,
        purpose,
        channel,
        status,
        recorded_at,
        -- The signal of a browser is a no, whatever the row calls it.
        case when purpose <> 'gpc' and status = 'granted' then 1 when status = 'withdrawn' then 3 else 2 end as severity

    from consents

),

-- A row without a channel is about all of them. Only marketing has channels that mean something of their own.
consents_by_channel as (

    select
        subject_kind,
        subject,
        purpose,
        unnest(
            case
                when purpose in ('profiling', 'third_party', 'glba', 'gpc', 'sale_or_share') then ['any']
                when channel is null then ['email', 'sms', 'push', 'chat']
                else [channel]
            end
        ) as channel,
        recorded_at,
        severity

    from consents_by_subject

),

consents_latest as (

    select
        subject_kind,
        subject,
        purpose,
        channel,
        -- No later word takes back an opt-out from sale or sharing: it was stored, and it stays.
        case
            when purpose in ('gpc', 'sale_or_share') then max(severity)
            else arg_max(severity, (recorded_at, severity))
        end as severity

    from consents_by_channel

    group by subject_kind, subject, purpose, channel

),

consents_of_people as (

    -- Over a weak link a no passes, a yes does not (policy 5.2).
    select
        person_identifiers.person_id,
        consents_latest.purpose,
        consents_latest.channel,
        consents_latest.severity

    from consents_latest

    inner join person_identifiers
        on consents_latest.subject_kind = person_identifiers.identifier_kind
        and consents_latest.subject = person_identifiers.identifier

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

    where consents_latest.severity > 1
        or not coalesce(evidence_classes.is_weak, false)

    union all

    -- A no by e-mail reaches everybody who gave that address, also where identity dropped it because it is shared; a yes does not.
    select
        person_emails.person_id,
        consents_latest.purpose,
        consents_latest.channel,
        consents_latest.severity

    from consents_latest

    inner join person_emails
        on consents_latest.subject = person_emails.email_std

    where consents_latest.subject_kind = 'email'
        and consents_latest.severity > 1

),

person_consents as (

    select
        person_id,
        purpose,
        channel,
        case max(severity) when 1 then 'granted' when 2 then 'denied' else 'withdrawn' end as status

    from consents_of_people

    group by person_id, purpose, channel

)

select * from person_consents
