{#- A person is as sure as the weakest link that joins their accounts, contacts, machines and wallets. -#}
with

persons as (

    select * from {{ source('identity', 'persons') }}

),

classes as (

    select
        evidence,
        evidence_rank,
        match_probability
    from {{ ref('evidence_classes') }}

    union all

    select
        'alone' as evidence,
        0 as evidence_rank,
        1 as match_probability

)

select
    classes.evidence,
    classes.evidence_rank,
    classes.match_probability,
    count(persons.person_id) as persons,
    round(count(persons.person_id) / nullif((select count(*) from persons), 0), 9) as share_of_persons
from classes
left join persons
    on classes.evidence = persons.weakest_evidence
group by classes.evidence, classes.evidence_rank, classes.match_probability
order by classes.evidence_rank desc
