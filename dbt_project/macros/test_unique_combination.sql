{#-
  A returned row is a combination of values that more than one row has. Hashes are counted first, 8 bytes a row; the values themselves only
  where a hash repeats: at a million people all values of a table do not fit in memory beside each other.
-#}
{% test unique_combination(model, columns) %}
{%- set key_hash = 'hash(' ~ columns | join(', ') ~ ')' %}
select {{ columns | join(', ') }}, count(*) as rows
from {{ model }}
where {{ key_hash }} in (
    select {{ key_hash }} as key_hash from {{ model }}
    group by key_hash
    having count(*) > 1
)
group by all
having count(*) > 1
{% endtest %}
