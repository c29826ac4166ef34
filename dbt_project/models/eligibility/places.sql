{{ config(database=vault_database()) }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

places as (

    select
        place_id,
        any_value(u_regimes) as u_regimes,
        any_value(u_perm_regimes) as u_perm_regimes,
        any_value(u_client_class) as u_client_class,
        any_value(u_tzs) as u_tzs,
        count(*) as people

    from person_facts

    group by place_id

)

select * from places
