{{ config(database=vault_database()) }}

with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

places as (

    select * from {{ ref('places') }}

),

permissions as (

    select * from {{ source('policy', 'permissions') }}
    where valid_from <= {{ as_of() }}
        and valid_to > {{ as_of() }}

),

granted as (

    select
        client_class,
        product_line,
        list(distinct regime order by regime) as regimes

    from permissions

    group by client_class, product_line

),

local_ends as (

    select distinct
        ends_local,
        {{ wall_clock('ends_local') }} as local_end

    from offer_facts

    where ends_local is not null

),

zones_of_places as (

    select
        place_id,
        unnest(u_tzs) as zone

    from places

),

-- The earliest instant at which it is that time somewhere the person may be. No zone known: the first place on earth, UTC+14.
place_ends as (

    select
        places.place_id,
        local_ends.ends_local,
        coalesce(
            min({{ first_instant('zones_of_places.zone', 'local_ends.local_end') }}) filter (where zones_of_places.zone is not null),
            any_value(local_ends.local_end) - interval 14 hour
        ) as ends_at

    from places

    cross join local_ends

    left join zones_of_places
        on places.place_id = zones_of_places.place_id

    group by places.place_id, local_ends.ends_local

),

offer_place_facts as (

    select
        offer_facts.creative_id,
        places.place_id,
        {{ permissions_missing(
            'places.u_perm_regimes', 'places.u_client_class', 'offer_facts.m_product', 'granted.regimes'
        ) }} as d_perm_missing,
        least(offer_facts.ends_at, place_ends.ends_at) as o_ends_at

    from offer_facts

    cross join places

    left join granted
        on places.u_client_class = granted.client_class
        and offer_facts.m_product = granted.product_line

    left join place_ends
        on places.place_id = place_ends.place_id
        and offer_facts.ends_local = place_ends.ends_local

)

select * from offer_place_facts
