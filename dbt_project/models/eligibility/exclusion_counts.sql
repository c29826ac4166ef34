{#- Leaves the vault: codes of restricted rules are one row, so that their number does not tell which of them there were. -#}
with

counted as (

    select * from {{ ref('int_exclusions_counted') }}
    where visibility <> 'restricted'

),

offer_classes as (

    select * from {{ ref('offer_classes') }}

),

restricted_pairs as (

    select
        hits.person_id,
        offer_classes.offer_class,
        offer_classes.offer_channels

    from {{ ref('user_hits') }} as hits

    inner join offer_classes
        on coalesce(hits.is_promotion, offer_classes.o_is_promotion) = offer_classes.o_is_promotion

    where hits.visibility = 'restricted'
        and hits.effect <> 'RELEASED'

    union

    select
        hits.person_id,
        offer_classes.offer_class,
        offer_classes.offer_channels

    from {{ ref('user_product_hits') }} as hits

    inner join offer_classes
        on hits.offer_class = offer_classes.offer_class

    where hits.visibility = 'restricted'
        and hits.effect <> 'RELEASED'

),

restricted as (

    select
        'ELIG_NA' as code,
        'user' as grain,
        count(distinct person_id)::bigint as people,
        coalesce(sum(offer_channels), 0)::bigint as pairs

    from restricted_pairs

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
