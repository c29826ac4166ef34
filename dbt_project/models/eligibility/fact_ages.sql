{#- Facts whose meaning falls with prices are believed for less long while markets are stressed. -#}
with

facts as (

    select * from {{ source('policy', 'facts') }}
    where max_age_hours is not null

),

ages as (

    select
        fact,
        sources,
        case
            when {{ is_stressed() }} then coalesce(max_age_stressed_hours, max_age_hours)
            else max_age_hours
        end as max_age_hours

    from facts

)

select * from ages
