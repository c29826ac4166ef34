{#-
  Schemas are named exactly as docs/architecture.md names them, without dbt's prefix of the target's schema. Target `reduced` (macros/cleaning.sql)
  keeps its staging and core beside the whole ones.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ ('reduced_' if target.name == 'reduced' and custom_schema_name in ('staging', 'core') else '') ~ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
