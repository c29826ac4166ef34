{#- One weight of policy/objectives.yml, as an expression. Null when it is missing, which no comparison passes. -#}
{% macro objective(name) -%}
    (select max(value) from {{ source('policy', 'objectives') }} where name = '{{ name }}')
{%- endmacro %}

{#- A draw from the run's instant and `words` (expressions): 48 bits of md5, the same in any engine. The salt is the experiments' own. -#}
{% macro draw(words) -%}
    ('0x' || left(md5(concat_ws('|', {{ words | join(', ') }})), 12))::bigint
{%- endmacro %}
