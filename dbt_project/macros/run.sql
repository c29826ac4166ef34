{#- What every model may know about the run it is built for. Nothing in this project asks the clock. -#}

{#- The instant of the run as a TIMESTAMP literal in UTC. -#}
{% macro as_of() -%}
    {%- if var('as_of', none) is none and execute -%}
        {{ exceptions.raise_compiler_error("variable as_of is not given; build through `candor` or pass --vars '{as_of: \"2026-11-23 15:00:00\"}'") }}
    {%- endif -%}
    timestamp '{{ var("as_of", "2026-11-23 15:00:00") }}'
{%- endmacro %}

{#- The run's id and its place in the order of runs, as literals. -#}
{% macro run_id() -%} '{{ var("run_id") }}' {%- endmacro %}
{% macro batch_seq() -%} {{ var("batch_seq") }} {%- endmacro %}

{#- The database of restricted models: config(database=vault_database()). Without the vault they would be compiled, never built. -#}
{% macro vault_database() -%}
    {{ return('vault' if target.name in ('restricted', 'reduced') else target.database) }}
{%- endmacro %}

{#- True when a relation made outside this project (a source) exists; false at parse time. A unit test's fixture has no database. -#}
{% macro has_relation(relation) -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {%- if relation.database is none -%}{{ return(true) }}{%- endif -%}
    {{ return(adapter.get_relation(relation.database, relation.schema, relation.identifier) is not none) }}
{%- endmacro %}
