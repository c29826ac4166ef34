with

contacts as (

    select * from {{ ref('stg_crm__contacts') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'contact_id'

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

contacts_of_people as (

    select
        contacts.contact_id,
        person_identifiers.person_id,
        contacts.country_code,
        contacts.region_code,
        contacts.language,
        {{ is_marked_test(is_test_email('contacts.email')) }} as is_test,
        contacts.email_valid as has_email,
        contacts.phone_valid as has_phone,
        contacts.created_at,
        contacts.source_updated_at,
        contacts.row_hash,
        contacts.known_at,
        person_identifiers.linked_at,
        coalesce(evidence_classes.is_weak, false) as is_weak

    from contacts

    inner join person_identifiers
        on contacts.contact_id = person_identifiers.identifier

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

)

select * from contacts_of_people
