{#-
  How a table is made and a test asked, in place of dbt's own ways of the same names. Those write the SQL that ran to a file, rename two tables,
  drop a third and look for indexes, grants, partitions and foreign keys, which no model here has: of a small shop's day that was
  a large part. What is promised is the same: the table that was stays until the new one stands, in one transaction.
-#}
{% materialization table, adapter='duckdb' %}
    {%- if config.get('indexes') or config.get('grants') or pre_hooks or post_hooks -%}
        {{ exceptions.raise_compiler_error(this ~ ": macros/materializations.sql makes no indexes and grants and runs no hooks") }}
    {%- endif -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set made = this.incorporate(type='table') -%}
    {%- set statements -%}
        {%- if existing is not none -%} drop {{ existing.type }} {{ existing }}; {% endif -%}
        {{ create_table_as(False, made, sql) }}
    {%- endset -%}
    {%- set response, _ = adapter.execute(statements, auto_begin=True, fetch=False) -%}
    {%- do store_result('main', response=response) -%}
    {%- do adapter.commit() -%}
    {{ return({'relations': [made]}) }}
{% endmaterialization %}

{% materialization test, adapter='duckdb' %}
    {%- if should_store_failures() -%}
        {{ exceptions.raise_compiler_error("macros/materializations.sql keeps no failed rows; candor.transform shows the first") }}
    {%- endif -%}
    {%- set question = get_test_sql(
        get_limit_subquery_sql(sql, config.get('limit')), config.get('fail_calc'), config.get('warn_if'), config.get('error_if'), limit=none
    ) -%}
    {%- set response, answer = adapter.execute(question, fetch=True) -%}
    {%- do store_result('main', response=response, agate_table=answer) -%}
    {{ return({'relations': []}) }}
{% endmaterialization %}
