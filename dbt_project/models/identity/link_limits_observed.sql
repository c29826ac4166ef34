with

degrees as (

    select * from {{ ref('int_identifier_degrees') }}

),

limits as (

    select * from {{ ref('link_limits') }}

),

-- Of several at the top the first by name, so that the same rows always name the same one.
observed as (

    select
        identifier_kind,
        other_kind,
        count(*) as identifiers,
        quantile_disc(others, 0.5)::bigint as median_others,
        quantile_disc(others, 0.99)::bigint as p99_others,
        max(others)::bigint as most_others,
        min_by(identifier, (-others, identifier)) as most_identifier

    from degrees

    group by identifier_kind, other_kind

),

above as (

    select
        degrees.identifier_kind,
        degrees.other_kind,
        count(*) as hubs,
        sum(degrees.others)::bigint as pairs_at_hubs

    from degrees

    inner join limits
        on degrees.identifier_kind = limits.identifier_kind
        and degrees.other_kind = limits.other_kind

    where degrees.others > limits.max_others

    group by degrees.identifier_kind, degrees.other_kind

),

limits_observed as (

    select
        coalesce(limits.identifier_kind, observed.identifier_kind) as identifier_kind,
        coalesce(limits.other_kind, observed.other_kind) as other_kind,
        limits.max_others,
        coalesce(observed.identifiers, 0) as identifiers,
        observed.median_others,
        observed.p99_others,
        observed.most_others,
        observed.most_identifier,
        coalesce(above.hubs, 0) as hubs,
        coalesce(above.pairs_at_hubs, 0) as pairs_at_hubs,
        limits.why

    from limits

    full join observed
        on limits.identifier_kind = observed.identifier_kind
        and limits.other_kind = observed.other_kind

    left join above
        on observed.identifier_kind = above.identifier_kind
        and observed.other_kind = above.other_kind

)

select * from limits_observed
