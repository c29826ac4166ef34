with

seen as (

    select * from {{ ref('int_identifiers_blocked') }}

),

pairs as (

    select * from {{ ref('int_identifier_pairs_observed') }}

),

limits as (

    select * from {{ ref('link_limits') }}

),

blocked as (

    select
        identifier_kind,
        identifier

    from seen

    where blocked_why is not null

),

-- What a blocked value or a void row meets says nothing about how shared the other side is.
usable_pairs as (

    select pairs.*

    from pairs

    anti join blocked
        on pairs.identifier_kind = blocked.identifier_kind
        and pairs.identifier = blocked.identifier

    anti join blocked as other_blocked
        on pairs.other_kind = other_blocked.identifier_kind
        and pairs.other_identifier = other_blocked.identifier

    where pairs.source_reason is null

),

-- Accounts first: a QA account that logged in on every device must not turn all those devices into hubs.
account_degrees as (

    select
        identifier_kind,
        identifier,
        other_kind,
        count(*) as others

    from usable_pairs

    where identifier_kind = 'account_id'

    group by identifier_kind, identifier, other_kind

),

hub_accounts as (

    select
        account_degrees.identifier_kind,
        account_degrees.identifier,
        min(account_degrees.other_kind) as hub_of

    from account_degrees

    inner join limits
        on account_degrees.identifier_kind = limits.identifier_kind
        and account_degrees.other_kind = limits.other_kind

    where account_degrees.others > limits.max_others

    group by account_degrees.identifier_kind, account_degrees.identifier

),

meetings as (

    select
        identifier_kind,
        identifier,
        other_kind

    from usable_pairs

    union all

    select
        usable_pairs.other_kind as identifier_kind,
        usable_pairs.other_identifier as identifier,
        usable_pairs.identifier_kind as other_kind

    from usable_pairs

    anti join hub_accounts
        on usable_pairs.identifier_kind = hub_accounts.identifier_kind
        and usable_pairs.identifier = hub_accounts.identifier

),

-- Pairs are distinct, so a count of rows is a count of distinct others.
degrees as (

    select
        identifier_kind,
        identifier,
        other_kind,
        count(*) as others

    from meetings

    group by identifier_kind, identifier, other_kind

)

select * from degrees
