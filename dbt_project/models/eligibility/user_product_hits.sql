{#- A view: people meet what speaks against the combinations of facts they have, which is some ten rows a person, each with several texts. -#}
{{ config(database=vault_database(), materialized='view') }}

with

person_patterns as (

    select * from {{ ref('int_person_product_patterns') }}

),

pattern_hits as (

    select * from {{ ref('int_product_pattern_hits') }}

),

hits as (

    select
        person_patterns.person_id,
        pattern_hits.* exclude (pattern_id)

    from person_patterns

    inner join pattern_hits
        on person_patterns.pattern_id = pattern_hits.pattern_id

)

select * from hits
