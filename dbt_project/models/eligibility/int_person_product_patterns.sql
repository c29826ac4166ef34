{{ config(database=vault_database()) }}

{%- set rules = rule_facts('user_x_product') %}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

person_tests as (

    select * from {{ ref('int_person_tests') }}

),

person_lifts as (

    select * from {{ ref('int_person_lifts') }}

),

patterns_hit as (

    select *
    from {{ ref('int_product_patterns') }}
    where pattern_id in (select pattern_id from {{ ref('int_product_pattern_hits') }})

),

person_patterns as (

    select
        null::varchar as person_id,
        null::bigint as pattern_id
    where false

    {% for rule in rules -%}
    union all

    select
        person_facts.person_id,
        patterns_hit.pattern_id

    from person_facts

    {% if rule.reads_tests -%}
    left join person_tests
        on person_facts.person_id = person_tests.person_id

    {% endif -%}
    {% if rule.is_liftable -%}
    left join person_lifts
        on person_facts.person_id = person_lifts.person_id
        and person_lifts.rule_id = '{{ rule.rule_id }}'
        and person_lifts.v = {{ rule.v }}

    {% endif -%}
    inner join patterns_hit
        on patterns_hit.rule_no = {{ rule.rule_no }}
        {% for fact in rule.facts -%}
        and person_facts.{{ fact }} is not distinct from patterns_hit.{{ fact }}
        {% endfor -%}
        {% if rule.reads_tests -%}
        and person_tests.lines_tested is not distinct from patterns_hit.lines_tested
        and person_tests.lines_passed is not distinct from patterns_hit.lines_passed
        {% endif -%}
        {% if rule.is_liftable -%}
        and person_lifts.lifted is not distinct from patterns_hit.lifted
        {% endif %}
    {% endfor -%}

)

select * from person_patterns
