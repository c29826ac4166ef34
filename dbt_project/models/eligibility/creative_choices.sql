{#- The creative in the person's language when there is one, else the British English one. -#}
with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

languages as (

    select distinct coalesce(language, '') as language
    from {{ ref('people') }}

),

comparable as (

    select
        language,
        lower(replace(language, '_', '-')) as locale_wanted,
        split_part(lower(replace(language, '_', '-')), '-', 1) as language_wanted

    from languages

),

fits as (

    select
        comparable.language,
        offer_facts.offer_id,
        offer_facts.channel,
        offer_facts.creative_id,
        offer_facts.locale,
        case
            when lower(replace(offer_facts.locale, '_', '-')) = comparable.locale_wanted then 1
            when split_part(lower(replace(offer_facts.locale, '_', '-')), '-', 1) = comparable.language_wanted
                and lower(offer_facts.locale) = 'en-gb' then 2
            when split_part(lower(replace(offer_facts.locale, '_', '-')), '-', 1) = comparable.language_wanted then 3
            when lower(offer_facts.locale) = 'en-gb' then 4
        end as distance

    from offer_facts

    cross join comparable

),

chosen as (

    select
        language,
        offer_id,
        channel,
        case when distance is not null then creative_id end as creative_id,
        case when distance is not null then locale end as locale

    from fits

    qualify row_number() over (
        partition by language, offer_id, channel
        order by distance asc nulls last, locale, creative_id
    ) = 1

)

select * from chosen
