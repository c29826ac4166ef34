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

offers as (

    select
        offer_id,
        product_line

    from {{ ref('stg_catalogue__offers') }}

    qualify row_number() over (partition by offer_id order by version desc) = 1

),

offer_risks as (

    select
        offers.offer_id,
        matrix.rank >= 4 as is_high_risk

    from offers

    inner join {{ source('policy', 'matrix') }} as matrix
        on offers.product_line = matrix.product_line

),

-- What nobody knows to be harmless may have been anything.
messages_sent as (

    select
        person_identifiers.person_id,
        messages.sent_at,
        coalesce(offer_risks.is_high_risk, coalesce(messages.risk_class, '') not in ('low', 'medium')) as is_high_risk

    from messages

    inner join person_identifiers
        on messages.contact_id = person_identifiers.identifier

    left join offer_risks
        on messages.offer_id = offer_risks.offer_id

    where messages.is_promotion
        and messages.sent_at > {{ as_of() }} - interval 720 hour
        and messages.sent_at <= {{ as_of() }}

),

{% if published -%}
decisions_unreported as (

    select
        decisions.person_id,
        decisions.send_after as sent_at,
        coalesce(offer_risks.is_high_risk, true) as is_high_risk

    from {{ decisions }} as decisions

    left join offer_risks
        on decisions.offer_id = offer_risks.offer_id

    where decisions.as_of < {{ as_of() }}
        and decisions.is_chosen
        and decisions.is_promotion
        and decisions.channel in ('email', 'sms', 'push')
        and decisions.send_after > {{ as_of() }} - interval 720 hour
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
        (count(*) filter (where sent_at > {{ as_of() }} - interval 168 hour))::integer as contacts_7d,
        (count(*) filter (where is_high_risk))::integer as high_risk_30d

    from contacts

    group by person_id

)

select * from counted
