with

messages as (

    select
        *,
        hash(contact_id, channel, is_promotion, risk_class, decision_id, offer_id, sent_at) as content_hash
    from {{ ref('stg_crm__messages') }}
    where sent_at <= {{ as_of() }}

),

-- Exported again under another id: to the same contact, on the same channel, about the same, at the same microsecond. The one known first stays.
-- Few contents repeat, and only those are compared.
said_again as (

    select message_id
    from messages
    where contact_id is not null
        and content_hash in (select content_hash from messages group by content_hash having count(*) > 1){{ unless_duplicates_stay() }}
    qualify row_number() over (
        partition by contact_id, channel, is_promotion, risk_class, decision_id, offer_id, sent_at order by known_at, message_id
    ) > 1

),

person_contacts as (

    select * from {{ ref('person_contacts') }}

),

judged as (

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
        greatest(messages.known_at, person_contacts.linked_at) as known_at,
        list_filter(
            [case when said_again.message_id is not null then 'duplicate_semantic' end],
            lambda reason: reason is not null
        ) as reasons

    from messages

    left join person_contacts
        on messages.contact_id = person_contacts.contact_id

    left join said_again
        on messages.message_id = said_again.message_id

)

select * from judged
