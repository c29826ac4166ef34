{{ config(database=vault_database()) }}

with

account_assessments as (

    select * from {{ ref('int_account_assessments') }}
    where kind = 'appropriateness'

),

person_product_facts as (

    select
        person_id,
        product_line,
        case when bool_and(result = 'passed') then 'passed' else 'failed' end as u_approp

    from account_assessments

    where product_line is not null

    group by person_id, product_line

)

select * from person_product_facts
