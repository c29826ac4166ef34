{#- What people did with offers and said of them in 30 days. A shared browser or a likely link counts too: it can only demote. -#}
{{ config(database=vault_database()) }}

with

events as (

    select * from {{ ref('stg_events__events') }}
    where event_name in ('offer_dismissed', 'offer_not_relevant')
        and occurred_at > {{ as_of() }} - interval 720 hour
        and occurred_at <= {{ as_of() }}

),

responses as (

    select * from {{ ref('stg_surveys__responses') }}
    where submitted_at > {{ as_of() }} - interval 720 hour
        and submitted_at <= {{ as_of() }}
        and case
            when kind = 'intrusiveness' then score >= 0.8 * scale_max
            when kind in ('csat', 'relevance') then score <= 0.4 * scale_max
            else false
        end

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

person_emails as (

    select * from {{ ref('person_emails') }}

),

dismissals as (

    select
        person_identifiers.person_id,
        count(distinct events.event_id) as dismissals

    from events

    inner join person_identifiers
        on person_identifiers.identifier_kind = case
            when events.account_id is not null then 'account_id'
            when events.device_id is not null then 'device_id'
            else 'anonymous_id'
        end
        and person_identifiers.identifier = coalesce(events.account_id, events.device_id, events.anonymous_id)

    group by person_identifiers.person_id

),

responses_of_people as (

    select
        person_identifiers.person_id,
        responses.response_id

    from responses

    inner join person_identifiers
        on person_identifiers.identifier_kind = case
            when responses.account_id is not null then 'account_id'
            when responses.email is not null then 'email'
            else 'anonymous_id'
        end
        and person_identifiers.identifier = case
            when responses.account_id is not null then responses.account_id
            when responses.email is not null then responses.email_std
            else responses.anonymous_id
        end

    union

    select
        person_emails.person_id,
        responses.response_id

    from responses

    inner join person_emails
        on responses.email_std = person_emails.email_std

    where responses.account_id is null

),

bad_answers as (

    select
        person_id,
        count(*) as bad_answers

    from responses_of_people

    group by person_id

),

feedback as (

    select
        coalesce(dismissals.person_id, bad_answers.person_id) as person_id,
        coalesce(dismissals.dismissals, 0)::integer as dismissals_30d,
        coalesce(bad_answers.bad_answers, 0)::integer as bad_answers_30d

    from dismissals

    full outer join bad_answers
        on dismissals.person_id = bad_answers.person_id

)

select * from feedback
