with

links as (

    select * from {{ ref('int_links_judged') }}

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

edges as (

    select
        links.identifier_kind,
        links.identifier,
        links.other_kind,
        links.other_identifier,
        evidence_classes.evidence,
        links.evidence_rank,
        links.first_known_at,
        identifier_key(links.identifier_kind, links.identifier) as identifier_key,
        identifier_key(links.other_kind, links.other_identifier) as other_key

    from links

    inner join evidence_classes
        on links.evidence_rank = evidence_classes.evidence_rank

    where links.reason is null

)

select
    *,
    edge_row_key(identifier_key, other_key, evidence_rank, first_known_at) as row_key
from edges
