with

seen as (

    select * from {{ ref('int_identifiers_blocked') }}

),

degrees as (

    select * from {{ ref('int_identifier_degrees') }}

),

limits as (

    select * from {{ ref('link_limits') }}

),

degrees_against_limits as (

    select
        degrees.identifier_kind,
        degrees.identifier,
        coalesce(sum(degrees.others) filter (where degrees.other_kind = 'account_id'), 0)::bigint as accounts,
        coalesce(sum(degrees.others) filter (where degrees.other_kind = 'contact_id'), 0)::bigint as contacts,
        sum(degrees.others)::bigint as degree,
        min(degrees.other_kind) filter (where degrees.others > limits.max_others) as hub_of

    from degrees

    left join limits
        on degrees.identifier_kind = limits.identifier_kind
        and degrees.other_kind = limits.other_kind

    group by degrees.identifier_kind, degrees.identifier

),

identifiers as (

    select
        seen.identifier_kind,
        seen.identifier,
        coalesce(degrees_against_limits.accounts, 0) as accounts,
        coalesce(degrees_against_limits.contacts, 0) as contacts,
        coalesce(degrees_against_limits.degree, 0) as degree,
        degrees_against_limits.hub_of is not null as is_hub,
        degrees_against_limits.hub_of,
        seen.blocked_why is not null as is_blocked,
        seen.blocked_why,
        seen.first_known_at,
        identifier_key(seen.identifier_kind, seen.identifier) as identifier_key

    from seen

    left join degrees_against_limits
        on seen.identifier_kind = degrees_against_limits.identifier_kind
        and seen.identifier = degrees_against_limits.identifier

)

select
    *,
    identifier_row_key(identifier_key, is_hub, is_blocked) as row_key
from identifiers
