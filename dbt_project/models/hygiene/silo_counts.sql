{#- Of six silos (exchange, wallets, events, crm, compliance, surveys); catalogue and market know no people. -#}
with

people_in_silos as (

    select * from {{ ref('int_people_in_silos') }}

),

people as (

    select
        person_id,
        count(silo) as silos
    from people_in_silos
    group by person_id

),

wanted (measure, level) as (

    select 'silos', unnest(['0', '1', '2', '3', '4', '5', '6'])
    union all
    select 'seen_in', unnest(['compliance', 'crm', 'events', 'exchange', 'surveys', 'wallets'])

),

counted (measure, level, people) as (

    select 'silos', silos::varchar, count(*) from people group by silos
    union all
    select 'seen_in', silo, count(*) from people_in_silos where silo is not null group by silo

)

select
    wanted.measure,
    wanted.level,
    coalesce(counted.people, 0) as people,
    (select count(*) from people) as of_people,
    round(coalesce(counted.people, 0) / nullif((select count(*) from people), 0), 9) as share_of_people
from wanted
left join counted
    on wanted.measure = counted.measure
    and wanted.level = counted.level
order by wanted.measure, wanted.level
