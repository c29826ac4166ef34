{#-
  The rows of an entity as known at the run's instant: per key the newest content by (updated_at, extraction, row hash) among rows
  that the table's last whole extract did not leave out. `known_at` looks at all pinned deliveries, the left-out ones too: content that
  was delivered, dropped and delivered again was known the first time. `ties` orders versions of one instant, the more restrictive first:
  a message and its unsubscription can arrive in one delivery.
-#}
{% macro newest_content(relation, key, updated_at=none, ties=[]) -%}
    select
        newest.* exclude (_row_hash, _delivery_id, _extracted_at, _is_superseded, _file, _line),
        newest._row_hash as row_hash,
        {% if updated_at -%}
        greatest(newest.{{ updated_at }}, first_deliveries.first_extracted_at) as known_at
        {%- else -%}
        first_deliveries.first_extracted_at as known_at
        {%- endif %}

    from (
        select * from {{ relation }}
        where {{ 'true' if keeps_copies(relation) else 'not _is_superseded' }}
            and _extracted_at <= {{ as_of() }}
            {%- if updated_at %}
            and {{ updated_at }} <= {{ as_of() }}
            {%- endif %}
            {%- if is_withheld(relation) %}
            and false
            {%- endif %}
        {% if not keeps_copies(relation) -%}
        qualify row_number() over (
            partition by {{ key | join(', ') }}
            order by {% if updated_at %}{{ updated_at }} desc, {% endif %}_extracted_at desc, {% for tie in ties %}{{ tie }}, {% endfor %}_row_hash desc
        ) = 1
        {%- endif %}
    ) as newest

    inner join (
        select
            _row_hash,
            min(_extracted_at) as first_extracted_at
        from {{ relation }}
        where _extracted_at <= {{ as_of() }}
        group by _row_hash
    ) as first_deliveries
        on newest._row_hash = first_deliveries._row_hash
{%- endmacro %}

{#-
  One row per key of a table of facts: the one known first (ties by row hash), and how many more rows had the key.
  Only keys that more than one row has go through a window; at 40 million events most do not. The routing is by hash, so a collision
  only sends a row the slow way. `repeated_keys` names a table that already holds those hashes.
-#}
{% macro first_known(relation, key, repeated_keys=none) -%}
    {%- set key_hash = 'hash(' ~ key | join(', ') ~ ')' -%}
    {%- set repeated -%}
        {%- if repeated_keys -%}
        select key_hash from {{ repeated_keys }}
        {%- else -%}
        select {{ key_hash }} as key_hash from {{ relation }}
        where _extracted_at <= {{ as_of() }} group by all having count(*) > 1
        {%- endif -%}
    {%- endset -%}
    select
        known.* exclude (_row_hash, _delivery_id, _extracted_at, _is_superseded, _file, _line),
        known._row_hash as row_hash,
        known._extracted_at as known_at
    from (
        {% if is_withheld(relation) or keeps_copies(relation) -%}
        select *, 0::bigint as duplicates from {{ relation }}
        where _extracted_at <= {{ as_of() }}
            {%- if is_withheld(relation) %}
            and false
            {%- endif %}
        {%- else -%}
        select *, 0::bigint as duplicates from {{ relation }}
        where _extracted_at <= {{ as_of() }}
            and {{ key_hash }} not in ({{ repeated }})

        union all

        select *, count(*) over (partition by {{ key | join(', ') }}) - 1 as duplicates from {{ relation }}
        where _extracted_at <= {{ as_of() }}
            and {{ key_hash }} in ({{ repeated }})
        qualify row_number() over (partition by {{ key | join(', ') }} order by _extracted_at, _row_hash) = 1
        {%- endif %}
    ) as known
{%- endmacro %}
