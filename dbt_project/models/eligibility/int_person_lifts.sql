{{ config(database=vault_database()) }}

with

releases as (

    select * from {{ source('vault_review', 'releases') }}
    where person_id is not null

),

person_lifts as (

    select
        person_id,
        rule_id,
        v,
        list_sort(list(distinct fact_hash)) as lifted

    from releases

    group by person_id, rule_id, v

)

select * from person_lifts
