{#- Leaves the vault: codes of restricted rules are one row, so that their number does not tell which of them there were. -#}
with

counted as (

    select * from {{ ref('int_exclusions_counted') }}
    where visibility <> 'restricted'

),

numbered_classes as (

    {{ numbered_classes() }}

),

classes as (

    select
        offer_classes.offer_class,
        offer_classes.o_is_promotion,
        offer_classes.offer_channels,
        numbered_classes.place,
        {{ one_bit('numbered_classes.place', 'numbered_classes.size') }} as bits

    from {{ ref('offer_classes') }} as offer_classes

    inner join numbered_classes
        on offer_classes.offer_class = numbered_classes.offer_class

),

kinds as (

    select
        o_is_promotion as is_promotion,
        bit_or(bits) as bits

    from classes

    group by o_is_promotion

    union all

    select
        null as is_promotion,
        bit_or(bits) as bits

    from classes

),

pattern_classes as (

    select
        hits.pattern_id,
        bit_or(classes.bits) as bits

    from {{ ref('int_product_pattern_hits') }} as hits

    inner join classes
        on hits.offer_class = classes.offer_class

    where hits.visibility = 'restricted'
        and hits.effect <> 'RELEASED'

    group by hits.pattern_id

),

-- A person with several restricted reasons against one class counts once.
restricted_people as (

    select
        person_id,
        bit_or(bits) as bits

    from (
        select
            hits.person_id,
            kinds.bits

        from {{ ref('user_hits') }} as hits

        inner join kinds
            on hits.is_promotion is not distinct from kinds.is_promotion

        where hits.visibility = 'restricted'
            and hits.effect <> 'RELEASED'

        union all

        select
            person_patterns.person_id,
            pattern_classes.bits

        from {{ ref('int_person_product_patterns') }} as person_patterns

        inner join pattern_classes
            on person_patterns.pattern_id = pattern_classes.pattern_id
    ) as found

    where bits is not null

    group by person_id

),

alike as (

    select
        bits,
        count(*) as people

    from restricted_people

    group by bits

),

restricted as (

    select
        'ELIG_NA' as code,
        'user' as grain,
        (select coalesce(sum(people), 0) from alike)::bigint as people,
        coalesce(sum(alike.people * classes.offer_channels), 0)::bigint as pairs

    from alike

    inner join classes
        on get_bit(alike.bits, classes.place) = 1

),

exclusion_counts as (

    select
        code,
        grain,
        people::bigint as people,
        pairs::bigint as pairs

    from counted

    union all

    select * from restricted
    where people > 0

)

select * from exclusion_counts
order by code, grain
