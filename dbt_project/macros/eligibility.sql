{#- What the eligibility models share: the compiled rules, and the few expressions that facts have in common. -#}

{#- The SELECTs of all rules of one grain, compiled by candor.policy from the policy pinned to the run. They read eval_<grain>. -#}
{% macro compiled_rules(grain) -%}
    {%- set compiled = var('compiled_rules', none) -%}
    {%- if compiled is none -%}
        {%- if execute -%}
            {{ exceptions.raise_compiler_error("variable compiled_rules is not given; build this layer through `candor`, which compiles the run's policy") }}
        {%- endif -%}
        select null as code
    {%- else -%}
        {{ compiled[grain] }}
    {%- endif -%}
{%- endmacro %}

{#- Wall-clock time in `zone` at the UTC instant `instant`. Unambiguous in this direction, also when clocks change. -#}
{% macro local_time(zone, instant) -%}
    timezone({{ zone }}, timezone('UTC', {{ instant }}))
{%- endmacro %}

{#- The UTC instant at which clocks in `zone` first show `local`. In an overlap the engine gives the second, so an hour and half an hour
    earlier are tried; in a gap it moves forward. -#}
{% macro first_instant(zone, local) -%}
    case
        when {{ local_time(zone, "timezone('UTC', timezone(" ~ zone ~ ", " ~ local ~ ")) - interval 60 minute") }} = {{ local }}
            then timezone('UTC', timezone({{ zone }}, {{ local }})) - interval 60 minute
        when {{ local_time(zone, "timezone('UTC', timezone(" ~ zone ~ ", " ~ local ~ ")) - interval 30 minute") }} = {{ local }}
            then timezone('UTC', timezone({{ zone }}, {{ local }})) - interval 30 minute
        else timezone('UTC', timezone({{ zone }}, {{ local }}))
    end
{%- endmacro %}

{#- Full years between two dates by month and day: somebody born on 29 February turns a year older on 1 March. -#}
{% macro full_years(born, today) -%}
    (
        extract(year from {{ today }}) - extract(year from {{ born }})
        - case when strftime({{ today }}, '%m%d') < strftime({{ born }}, '%m%d') then 1 else 0 end
    )::integer
{%- endmacro %}

{#- "US-NY" when the map has it, else "US" when the map has that; the caller joins both. -#}
{% macro region_market(country, region) -%}
    {{ country }} || '-' || nullif(split_part({{ region }}, '-', 2), '')
{%- endmacro %}

{#- A number from policy.limits. -#}
{% macro limit_value(name) -%}
    (select value from {{ source('policy', 'limits') }} where name = '{{ name }}')
{%- endmacro %}

{#- `seen` unless the fact is stale, then null: older than its max age, or never known whole. -#}
{% macro unless_stale(fact, expression) -%}
    case when fresh_facts.fresh['{{ fact }}'] then {{ expression }} end
{%- endmacro %}
