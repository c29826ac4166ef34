with

previous as (

    select {{ previous_as_of() }} as as_of

),

identifiers as (

    select * from {{ ref('identifiers') }}
    where is_hub

),

-- What had an owner and lost them to being a hub.
blocked_now as (

    select distinct
        identifier_kind,
        identifier

    from {{ source('state', 'identity_changes') }}

    where event = 'block'
        and batch_seq = {{ batch_seq() }}

),

dropped as (

    select * from {{ ref('dropped_edges') }}
    where reason = 'hub'

),

touched as (

    select
        identifier_kind,
        identifier,
        min(record) as record

    from (
        select identifier_kind, identifier, other_kind || '/' || other_identifier as record from dropped
        where other_kind in ('account_id', 'contact_id')
        union all
        select other_kind, other_identifier, identifier_kind || '/' || identifier as record from dropped
        where identifier_kind in ('account_id', 'contact_id')
    ) as ends

    group by identifier_kind, identifier

)

-- An address is nobody's business in a report that everybody reads; one record that it touches leads to it.
select
    identifiers.identifier_kind,
    identifiers.identifier,
    case identifiers.identifier_kind
        when 'email' then regexp_replace(identifiers.identifier, '^(.).*@', '\1…@')
        when 'phone' then '…' || right(identifiers.identifier, 3)
        else identifiers.identifier
    end as shown_as,
    touched.record,
    identifiers.hub_of,
    identifiers.degree,
    identifiers.accounts,
    identifiers.contacts,
    identifiers.first_known_at,
    blocked_now.identifier is not null as had_an_owner
from identifiers
cross join previous
left join blocked_now
    on identifiers.identifier_kind = blocked_now.identifier_kind
    and identifiers.identifier = blocked_now.identifier
left join touched
    on identifiers.identifier_kind = touched.identifier_kind
    and identifiers.identifier = touched.identifier
where previous.as_of > timestamp '1900-01-01'
    and (identifiers.first_known_at > previous.as_of or blocked_now.identifier is not null)
order by identifiers.degree desc, identifiers.identifier_kind, identifiers.identifier
