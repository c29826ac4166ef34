with

persons as (

    select
        identifiers,
        case
            when identifiers = 1 then '1'
            when identifiers <= 5 then '2 to 5'
            when identifiers <= 10 then '6 to 10'
            when identifiers <= 50 then '11 to 50'
            else 'over 50'
        end as size
    from {{ source('identity', 'persons') }}

),

sizes (size, place) as (

    values ('1', 1), ('2 to 5', 2), ('6 to 10', 3), ('11 to 50', 4), ('over 50', 5)

)

select
    sizes.size,
    sizes.place,
    count(persons.identifiers) as persons,
    coalesce(sum(persons.identifiers), 0)::bigint as identifiers,
    round(count(persons.identifiers) / nullif((select count(*) from persons), 0), 9) as share_of_persons
from sizes
left join persons
    on sizes.size = persons.size
group by sizes.size, sizes.place
order by sizes.place
