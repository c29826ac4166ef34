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

languages as (

    select
        coalesce(language, '') as language,
        place_id,
        count(*) as people

    from person_facts

    group by coalesce(language, ''), place_id

),

readers as (

    select
        creative_choices.creative_id,
        languages.place_id,
        sum(languages.people)::bigint as people

    from languages

    inner join creative_choices
        on languages.language = creative_choices.language

    group by creative_choices.creative_id, languages.place_id

),

without_creative as (

    select
        language,
        count(*) as pairs

    from creative_choices

    where creative_id is null

    group by language

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

-- A person has one combination of facts per rule, and a code is of one rule, so people of combinations may be added up.
pattern_people as (

    select
        pattern_id,
        count(*) as people

    from {{ ref('int_person_product_patterns') }}

    group by pattern_id

),

of_patterns as (

    select
        hits.pattern_id,
        hits.code,
        hits.visibility,
        sum(offer_classes.offer_channels) as pairs

    from {{ ref('int_product_pattern_hits') }} as hits

    inner join offer_classes
        on hits.offer_class = offer_classes.offer_class

    where hits.effect <> 'RELEASED'

    group by hits.pattern_id, hits.code, hits.visibility

),

of_people_and_products as (

    select
        of_patterns.code,
        of_patterns.visibility,
        'user_x_product' as grain,
        sum(pattern_people.people)::bigint as people,
        sum(pattern_people.people * of_patterns.pairs)::bigint as pairs

    from of_patterns

    inner join pattern_people
        on of_patterns.pattern_id = pattern_people.pattern_id

    group by of_patterns.code, of_patterns.visibility

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
        sum(languages.people)::bigint as people,
        sum(languages.people * without_creative.pairs)::bigint as pairs

    from languages

    inner join without_creative
        on languages.language = without_creative.language

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
