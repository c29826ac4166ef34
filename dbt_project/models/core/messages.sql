with

messages as (

    select * from {{ ref('stg_crm__messages') }}
    where sent_at <= {{ as_of() }}

),

person_contacts as (

    select * from {{ ref('person_contacts') }}

),

messages_of_people as (

    select
        messages.message_id,
        person_contacts.person_id,
        messages.contact_id,
        messages.channel,
        messages.is_promotion,
        messages.risk_class,
        messages.decision_id,
        messages.offer_id,
        messages.sent_at,
        messages.opened_at,
        messages.clicked_at,
        messages.unsubscribed_at,
        messages.complained_at,
        messages.row_hash,
        greatest(messages.known_at, person_contacts.linked_at) as known_at

    from messages

    left join person_contacts
        on messages.contact_id = person_contacts.contact_id

)

select * from messages_of_people
