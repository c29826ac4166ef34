{#- Many people share the few facts that one rule reads, so a rule is asked once per combination of them and not once per person. -#}
{{ config(database=vault_database()) }}

{%- set rules = rule_facts('user_x_product') %}
{%- set facts = rules | map(attribute='facts') | sum(start=[]) | unique | sort %}

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

-- Without rows: the names and types of all columns, whatever a rule leaves out.
every_fact as (

    select
        0::integer as rule_no,
        0::bigint as pattern_id,
        {% for fact in facts -%}
        person_facts.{{ fact }},
        {% endfor -%}
        person_tests.lines_tested,
        person_tests.lines_passed,
        person_lifts.lifted

    from person_facts

    cross join person_tests

    cross join person_lifts

    where false

),

{% for rule in rules -%}
{%- set read = rule.facts + (['lines_tested', 'lines_passed'] if rule.reads_tests else []) + (['lifted'] if rule.is_liftable else []) -%}
facts_of_rule_{{ rule.rule_no }} as (

    select distinct
        {{ (read or ['null as nothing_read']) | join(',\n        ') }}

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
    {%- endif %}

),

patterns_of_rule_{{ rule.rule_no }} as (

    select
        {{ rule.rule_no }}::integer as rule_no,
        {{ rule.rule_no }}::bigint * 1000000000000 + row_number() over (order by {{ (read or ['nothing_read']) | join(', ') }}) as pattern_id
        {%- for fact in read %},
        {{ fact }}
        {%- endfor %}

    from facts_of_rule_{{ rule.rule_no }}

),

{% endfor -%}
patterns as (

    select * from every_fact
    {% for rule in rules -%}
    union all by name
    select * from patterns_of_rule_{{ rule.rule_no }}
    {% endfor %}
)

select * from patterns
