-- A returned row is a code that several rules give: int_exclusions_counted, which adds up the people of each rule, would count a person twice.
-- Usual cause: a policy of two versions of a rule that hold at once, which loading refuses.
with

patterns as (

    select * from {{ ref('int_product_patterns') }}

),

hits as (

    select * from {{ ref('int_product_pattern_hits') }}

)

select
    hits.code,
    count(distinct patterns.rule_no) as rules

from hits

inner join patterns
    on hits.pattern_id = patterns.pattern_id

group by hits.code

having count(distinct patterns.rule_no) > 1
