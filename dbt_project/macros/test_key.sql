{#-
  What a table has one row of: a returned row is a value that more than one row has, or the rows that have none. Hashes are counted first, 8 bytes
  a row; the values themselves only where a hash repeats.
-#}
{% test key(model, column_name) %}
select {{ column_name }} as key_value, count(*) as rows
from {{ model }}
where {{ column_name }} is null
    or hash({{ column_name }}) in (
        select hash({{ column_name }}) as key_hash from {{ model }}
        group by key_hash
        having count(*) > 1
    )
group by key_value
having key_value is null or count(*) > 1
{% endtest %}
