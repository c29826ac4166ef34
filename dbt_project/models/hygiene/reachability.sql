{#- A count for watching, of addresses and open consents; whether somebody may be sent something is the rules' question, in eligibility. -#}
with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

people as (

    select distinct person_id from {{ ref('int_people_in_silos') }}

),

channels (channel, identifier_kind) as (

    values ('email', 'email'), ('sms', 'phone'), ('push', 'device_id'), ('web', 'anonymous_id'), ('app', 'account_id')

),

addressed as (

    select distinct
        people.person_id,
        channels.channel

    from people

    inner join person_identifiers
        on people.person_id = person_identifiers.person_id

    inner join channels
        on person_identifiers.identifier_kind = channels.identifier_kind

),

consents as (

    select
        case
            when contact_id is not null then 'contact_id'
            when account_id is not null then 'account_id'
            else 'email'
        end as subject_kind,
        coalesce(contact_id, account_id, email_std) as subject,
        unnest(case when channel is null then ['email', 'sms', 'push'] else [channel] end) as channel,
        status,
        recorded_at,
        consent_id

    from {{ ref('stg_crm__consents') }}

    where purpose = 'marketing'
        and recorded_at <= {{ as_of() }}

),

latest_consents as (

    select
        subject_kind,
        subject,
        channel,
        max_by(status, (recorded_at, status <> 'granted', consent_id)) as status

    from consents

    where subject is not null

    group by subject_kind, subject, channel

),

consented as (

    select
        person_identifiers.person_id,
        latest_consents.channel,
        bool_and(latest_consents.status = 'granted') as is_granted

    from latest_consents

    inner join person_identifiers
        on latest_consents.subject_kind = person_identifiers.identifier_kind
        and latest_consents.subject = person_identifiers.identifier

    group by person_identifiers.person_id, latest_consents.channel

)

select
    channels.channel,
    (select count(*) from people) as people,
    count(addressed.person_id) as with_address,
    -- What is shown where somebody comes by themselves needs no consent to be contacted.
    count(addressed.person_id) filter (where channels.channel in ('web', 'app') or consented.is_granted) as with_consent,
    round(with_address / nullif((select count(*) from people), 0), 9) as share_with_address,
    round(with_consent / nullif((select count(*) from people), 0), 9) as share_with_consent
from channels
left join addressed
    on channels.channel = addressed.channel
left join consented
    on addressed.person_id = consented.person_id
    and addressed.channel = consented.channel
group by channels.channel
order by channels.channel
