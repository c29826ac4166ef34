{{ config(database=vault_database()) }}

with

person_product_facts as (

    select * from {{ ref('person_product_facts') }}

),

numbered_lines as (

    {{ numbered_lines() }}

),

line_bits as (

    select
        product_line,
        {{ one_bit('place', 'size') }} as bits

    from numbered_lines

),

person_tests as (

    select
        person_product_facts.person_id,
        bit_or(line_bits.bits) as lines_tested,
        bit_or(line_bits.bits) filter (where person_product_facts.u_approp = 'passed') as lines_passed

    from person_product_facts

    inner join line_bits
        on person_product_facts.product_line = line_bits.product_line

    group by person_product_facts.person_id

)

select * from person_tests
