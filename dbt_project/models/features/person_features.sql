with

people as (

    select * from {{ ref('people') }}

),

moments as (

    select
        person_id,
        {{ as_of() }} as moment_at

    from people

),

features_at_moments as (

    {{ person_features_at('moments') }}

),

features_as_of as (

    select
        moment_at as as_of,
        features_at_moments.*
        exclude (moment_at)

    from features_at_moments

)

select * from features_as_of
order by person_id
