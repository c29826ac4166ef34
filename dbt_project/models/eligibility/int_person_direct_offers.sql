{#- That somebody answered one before permits something, so only their own login says so. -#}
{{ config(database=vault_database()) }}

with

events as (

    select * from {{ ref('stg_events__events') }}
    where event_name = 'offer_accepted'
        and occurred_at <= {{ as_of() }}

),

direct_offers as (

    select distinct offer_id
    from {{ ref('stg_catalogue__offers') }}
    where is_direct_offer

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

accepted as (

    select
        person_identifiers.person_id,
        min(events.occurred_at) as first_accepted_at

    from events

    inner join direct_offers
        on events.offer_id = direct_offers.offer_id

    inner join person_identifiers
        on events.account_id = person_identifiers.identifier

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

    where not coalesce(evidence_classes.is_weak, false)

    group by person_identifiers.person_id

)

select * from accepted
