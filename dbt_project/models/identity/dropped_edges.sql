with

links as (

    select * from {{ ref('int_links_judged') }}

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

dropped_edges as (

    select
        links.identifier_kind,
        links.identifier,
        links.other_kind,
        links.other_identifier,
        evidence_classes.evidence,
        links.evidence_rank,
        links.reason,
        links.first_known_at

    from links

    inner join evidence_classes
        on links.evidence_rank = evidence_classes.evidence_rank

    where links.reason is not null

)

select * from dropped_edges
