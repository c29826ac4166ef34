{#- How many people and how many person x offer x channel pairs each code speaks against, without ever listing the pairs. What a reviewer
    released speaks against nobody. -#}
{{ config(database=vault_database()) }}

with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

offer_classes as (

    select * from {{ ref('offer_classes') }}

),

person_facts as (

    select * from {{ ref('person_facts') }}

),

creative_choices as (

    select * from {{ ref('creative_choices') }}

),

promotion_pairs as (

    select
        o_is_promotion,
        sum(offer_channels)::bigint as pairs

    from offer_classes

    group by o_is_promotion

    union all

    select
        null as o_is_promotion,
        sum(offer_channels)::bigint as pairs

    from offer_classes

),

channel_pairs as (

    select
        c_channel,
        o_is_promotion,
        count(distinct (offer_id, channel))::bigint as pairs

    from offer_facts

    group by c_channel, o_is_promotion

    union all

    select
        c_channel,
        null as o_is_promotion,
        count(distinct (offer_id, channel))::bigint as pairs

    from offer_facts

    group by c_channel

),

readers as (

    select
        creative_choices.creative_id,
        person_facts.place_id,
        count(*)::bigint as people

    from person_facts

    inner join creative_choices
        on coalesce(person_facts.language, '') = creative_choices.language

    group by creative_choices.creative_id, person_facts.place_id

),

of_people as (

    select
        hits.code,
        hits.visibility,
        'user' as grain,
        count(distinct hits.person_id) as people,
        sum(promotion_pairs.pairs)::bigint as pairs

    from {{ ref('user_hits') }} as hits

    inner join promotion_pairs
        on hits.is_promotion is not distinct from promotion_pairs.o_is_promotion

    where hits.effect <> 'RELEASED'

    group by all

),

of_people_and_products as (

    select
        hits.code,
        hits.visibility,
        'user_x_product' as grain,
        count(distinct hits.person_id) as people,
        sum(offer_classes.offer_channels)::bigint as pairs

    from {{ ref('user_product_hits') }} as hits

    inner join offer_classes
        on hits.offer_class = offer_classes.offer_class

    where hits.effect <> 'RELEASED'

    group by all

),

of_people_and_channels as (

    select
        hits.code,
        hits.visibility,
        'user_x_channel' as grain,
        count(distinct hits.person_id) as people,
        coalesce(sum(channel_pairs.pairs), 0)::bigint as pairs

    from {{ ref('user_channel_hits') }} as hits

    left join channel_pairs
        on hits.rule_channel = channel_pairs.c_channel
        and hits.is_promotion is not distinct from channel_pairs.o_is_promotion

    where hits.effect <> 'RELEASED'

    group by all

),

-- Places partition the people, so the most people of any one creative, added over places, is the number affected at most once each.
of_offers as (

    select
        code,
        visibility,
        grain,
        sum(people)::bigint as people,
        sum(pairs)::bigint as pairs

    from (
        select
            hits.code,
            hits.visibility,
            'offer' as grain,
            readers.place_id,
            max(readers.people) as people,
            sum(readers.people) as pairs

        from {{ ref('offer_hits') }} as hits

        inner join readers
            on hits.creative_id = readers.creative_id

        where hits.effect <> 'RELEASED'

        group by all

        union all

        select
            hits.code,
            hits.visibility,
            'offer_x_regime' as grain,
            readers.place_id,
            max(readers.people) as people,
            sum(readers.people) as pairs

        from {{ ref('offer_regime_hits') }} as hits

        inner join readers
            on hits.creative_id = readers.creative_id
            and hits.place_id = readers.place_id

        where hits.effect <> 'RELEASED'

        group by all
    ) as by_place

    group by all

),

of_pairs as (

    select
        code,
        visibility,
        'pair' as grain,
        count(distinct person_id) as people,
        count(*) as pairs

    from {{ ref('pair_hits') }}

    group by all

    union all

    select
        'ENG_NO_CREATIVE' as code,
        'internal' as visibility,
        'pair' as grain,
        count(distinct person_facts.person_id) as people,
        count(*) as pairs

    from person_facts

    inner join creative_choices
        on coalesce(person_facts.language, '') = creative_choices.language
        and creative_choices.creative_id is null

    having count(*) > 0

),

counted as (

    select * from of_people
    union all by name
    select * from of_people_and_products
    union all by name
    select * from of_people_and_channels
    union all by name
    select * from of_offers
    union all by name
    select * from of_pairs

)

select * from counted
