with

line_activity as (

    select * from {{ ref('line_activity') }}

),

moments as (

    select distinct
        person_id,
        product_line,
        {{ as_of() }} as moment_at

    from line_activity

),

features_at_moments as (

    {{ line_features_at('moments') }}

),

features_as_of as (

    select
        moment_at as as_of,
        features_at_moments.*
        exclude (moment_at)

    from features_at_moments

)

select * from features_as_of
order by
    person_id,
    product_line
