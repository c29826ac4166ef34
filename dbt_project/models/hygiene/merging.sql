with

members as (

    select
        person_id,
        count(*) as identifiers,
        count(*) filter (where identifier_kind = 'account_id') as accounts,
        count(*) filter (where identifier_kind = 'device_id') as devices

    from {{ source('identity', 'person_identifiers') }}

    group by person_id

),

ranked as (

    select
        *,
        row_number() over (order by identifiers desc, person_id) as place,
        count(*) over () as persons

    from members

),

totals as (

    select
        count(*)::bigint as persons,
        sum(identifiers)::bigint as identifiers,
        max(identifiers)::bigint as largest,
        max_by(person_id, (identifiers, person_id)) as largest_person,
        count(*) filter (where accounts > 1) as several_accounts,
        max_by(person_id, (accounts, person_id)) as most_accounts_person,
        count(*) filter (where devices > 10) as many_devices,
        max_by(person_id, (devices, person_id)) as most_devices_person,
        count(*) filter (where identifiers = 1) as singletons,
        sum(identifiers) filter (where place <= ceil(persons * 0.001)) as in_largest

    from ranked

),

claims_apart as (

    select * from {{ ref('int_claims_apart') }}

),

indicators (side, indicator, value, n, example_person) as (

    select 'over_merge', 'largest component', largest, persons, largest_person from totals
    union all
    select 'over_merge', 'share of identifiers in the largest 0.1 % of components', round(in_largest / identifiers, 9), identifiers, largest_person from totals
    union all
    select 'over_merge', 'share of persons with two or more accounts', round(several_accounts / persons, 9), persons, most_accounts_person from totals
    union all
    select 'over_merge', 'share of persons with more than ten devices', round(many_devices / persons, 9), persons, most_devices_person from totals
    union all
    select 'over_merge', 'persons with two birth dates', persons, (select persons from totals), null from claims_apart where indicator = 'two birth dates'
    union all
    select 'under_merge', 'share of identifiers that are alone', round(singletons / identifiers, 9), identifiers, null from totals
    union all
    select
        'under_merge', 'share of records whose ' || indicator || ' another person has', round(records_apart / nullif(records, 0), 9), records, null
    from claims_apart
    where indicator <> 'two birth dates'

)

select
    side,
    indicator,
    value::double as value,
    n::bigint as n,
    example_person
from indicators
order by side, indicator
