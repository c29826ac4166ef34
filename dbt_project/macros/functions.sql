{#-
  Functions that models and candor.identity both call, made in the warehouse before each build (dbt_project.yml, on-run-start).

  is_same_name: the same human as far as names go: equal; or the last name with at most one typing error and the first name equal, its initial,
  or with one inner letter mistyped (jonathan, jonathon; but maria and mario, julia and julian are two people of one family); or turned
  around; or only one of the two names given. Names as name_std leaves them.

  identifier_key: an identifier as one number. identifier_row_key, edge_row_key, claim_row_key: all that candor.identity reads of a row of
  identifiers, edges or int_record_claims as one number, so that a day is compared with the one before without reading more. Whoever
  writes such a row writes its keys; to read more of it is to hash more (and to raise VERSION in candor/identity/memory.py).
-#}
{% macro create_functions() %}
create or replace macro {{ target.database }}.main.is_same_name(name, first, last, other_name, other_first, other_last) as
    name = other_name
    or (
        damerau_levenshtein(last, other_last) <= 1
        and left(first, 1) = left(other_first, 1)
        and (
            first = other_first
            or least(length(first), length(other_first)) = 1
            or (
                right(first, 1) = right(other_first, 1)
                and least(length(first), length(other_first)) >= 5
                and damerau_levenshtein(first, other_first) = 1
            )
        )
    )
    or (first = other_last and last = other_first)
    or (first = name and name in (other_first, other_last))
    or (other_first = other_name and other_name in (first, last));

create or replace macro {{ target.database }}.main.identifier_key(kind, identifier) as hash(kind, identifier);

create or replace macro {{ target.database }}.main.identifier_row_key(identifier_key, is_hub, is_blocked) as
    hash(identifier_key, is_hub, is_blocked);

create or replace macro {{ target.database }}.main.edge_row_key(identifier_key, other_key, evidence_rank, first_known_at) as
    hash(identifier_key, other_key, evidence_rank::integer, first_known_at::timestamp);

create or replace macro {{ target.database }}.main.claim_row_key(record_key, birth_date, name, is_verified) as
    hash(record_key, birth_date, name, is_verified)
{% endmacro %}
