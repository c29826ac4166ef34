{#- Past decisions are read only once something was published. -#}
{{ config(database=vault_database()) }}

{%- set decisions = source('state', 'decisions') -%}
{%- set published = has_relation(decisions) %}

with

messages as (

    select * from {{ ref('stg_crm__messages') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'contact_id'

),

messages_sent as (

    select
        person_identifiers.person_id,
        messages.sent_at

    from messages

    inner join person_identifiers
        on messages.contact_id = person_identifiers.identifier

    where messages.is_promotion
        and messages.sent_at > {{ as_of() }} - interval 168 hour
        and messages.sent_at <= {{ as_of() }}

),

{% if published -%}
decisions_unreported as (

    select
        decisions.person_id,
        decisions.send_after as sent_at

    from {{ decisions }} as decisions

    where decisions.as_of < {{ as_of() }}
        and decisions.is_chosen
        and decisions.is_promotion
        and decisions.channel in ('email', 'sms', 'push')
        and decisions.send_after > {{ as_of() }} - interval 168 hour
        and decisions.send_after <= {{ as_of() }}
        and decisions.decision_id not in (select decision_id from messages where decision_id is not null)

),
{%- endif %}

contacts as (

    select * from messages_sent
    {% if published -%}
    union all
    select * from decisions_unreported
    {%- endif %}

),

counted as (

    select
        person_id,
        (count(*) filter (where sent_at > {{ as_of() }} - interval 24 hour))::integer as contacts_24h,
        count(*)::integer as contacts_7d

    from contacts

    group by person_id

)

select * from counted
