with

people as (

    select * from {{ ref('people') }}
    where not is_test

),

persons as (

    select * from {{ source('identity', 'persons') }}

),

of_people as (

    select
        people.person_id,
        people.sources_present,
        people.has_email,
        people.has_phone,
        persons.identifiers,
        persons.weakest_evidence

    from people

    inner join persons
        on people.person_id = persons.person_id

),

leveled (person_id, measure, level) as (

    select person_id, 'silos a person is seen in', len(sources_present)::varchar from of_people

    union all

    select person_id, 'seen in', unnest(sources_present) from of_people

    union all

    select person_id, 'can be reached by', 'email' from of_people where has_email

    union all

    select person_id, 'can be reached by', 'phone' from of_people where has_phone

    union all

    select person_id, 'can be reached by', 'neither' from of_people where not has_email and not has_phone

    union all

    select person_id, 'weakest bridge', weakest_evidence from of_people

    union all

    select
        person_id,
        'identifiers',
        case
            when identifiers = 1 then '1'
            when identifiers <= 5 then '2 to 5'
            when identifiers <= 10 then '6 to 10'
            when identifiers <= 50 then '11 to 50'
            else 'over 50'
        end
    from of_people

),

stitching as (

    select
        measure,
        level,
        count(*) as people,
        round(count(*)::double / nullif((select count(*) from of_people), 0), 6) as share_of_people
    from leveled
    group by measure, level

)

select * from stitching
order by measure, level
