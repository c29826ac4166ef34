{{ config(database=vault_database()) }}

with

person_product_facts as (

    select * from {{ ref('person_product_facts') }}

),

product_lines as (

    select distinct product_line
    from {{ ref('offer_classes') }}

),

person_tests as (

    select
        person_product_facts.person_id,
        list({'product_line': person_product_facts.product_line, 'u_approp': person_product_facts.u_approp} order by person_product_facts.product_line)
            as u_tests

    from person_product_facts

    inner join product_lines
        on person_product_facts.product_line = product_lines.product_line

    group by person_product_facts.person_id

)

select * from person_tests
