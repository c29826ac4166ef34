{#-
  What a build cleans. Everything, always, except under target `reduced`, which measures what cleaning is worth: it builds on a copy of a
  warehouse that candor.cleaning made and marked (state.reduced_cleaning) and reads there which silos are withheld and which steps are left out.

  Target `reduced` has schemas of its own for staging and core (generate_schema_name), so the whole rows stay beside the reduced ones. Eligibility is
  built under `restricted` as ever, from the whole rows: no switch reaches it.
-#}
{% macro cleaning() -%}
    {%- if target.name != 'reduced' or not execute -%}
        {{ return({'withheld': [], 'removes_duplicates': true, 'removes_noise': true, 'standardises': true}) }}
    {%- endif -%}
    {%- set mark = adapter.get_relation(target.database, 'state', 'reduced_cleaning') -%}
    {%- if mark is none -%}
        {{ exceptions.raise_compiler_error("target reduced builds only on a copy that candor.cleaning made; this warehouse has no state.reduced_cleaning") }}
    {%- endif -%}
    {%- set row = run_query('select withheld, removes_duplicates, removes_noise, standardises from ' ~ mark).rows[0] -%}
    {{ return({
        'withheld': row[0].split(',') if row[0] else [],
        'removes_duplicates': row[1],
        'removes_noise': row[2],
        'standardises': row[3],
    }) }}
{%- endmacro %}

{#- True when the silo that a raw relation (<source>__<table>) comes from is withheld. -#}
{% macro is_withheld(relation) -%}
    {{ return(relation.identifier.split('__')[0] in cleaning().withheld) }}
{%- endmacro %}

{#- True when copies and older versions of a raw relation's rows stay. Reference data has neither people nor copies: it is always clean. -#}
{% macro keeps_copies(relation) -%}
    {{ return(not cleaning().removes_duplicates and relation.identifier.split('__')[0] not in ['catalogue', 'market']) }}
{%- endmacro %}

{#- Ends the condition of what finds rows said again under another key: nothing is found when duplicates stay. -#}
{% macro unless_duplicates_stay() -%}
    {%- if not cleaning().removes_duplicates %} and false{% endif -%}
{%- endmacro %}

{#-
  Whether a judged row is used: when nothing speaks against it. When noise stays, only two kinds of reason do: what is no noise (its score is 0: nobody's,
  not yet due) and, where duplicates are looked for at all, having been said before.
-#}
{% macro is_used(reasons) -%}
    {%- if cleaning().removes_noise -%}
    len({{ reasons }}) = 0
    {%- else -%}
    not list_has_any({{ reasons }}, [
        {%- for reason, score, _ in noise_reasons() if score == 0 or reason.startswith('duplicate_') -%}
        '{{ reason }}'{{ ', ' if not loop.last }}
        {%- endfor -%}
    ])
    {%- endif -%}
{%- endmacro %}

{#- Whether something marks a record as a test. When noise stays, nobody looks. -#}
{% macro is_marked_test(condition) -%}
    {%- if cleaning().removes_noise -%}{{ condition }}{%- else -%}false{%- endif -%}
{%- endmacro %}
