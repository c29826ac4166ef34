{{ config(database=vault_database()) }}

with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

offer_place_facts as (

    select * from {{ ref('offer_place_facts') }}

),

places as (

    select * from {{ ref('places') }}

),

eval_offer_x_regime as (

    select
        offer_facts.*,
        places.place_id,
        places.u_regimes,
        places.u_perm_regimes,
        places.u_client_class,
        places.u_tzs,
        offer_place_facts.d_perm_missing,
        offer_place_facts.o_ends_at,
        {{ as_of() }} as c_as_of

    from offer_place_facts

    inner join offer_facts
        on offer_place_facts.creative_id = offer_facts.creative_id

    inner join places
        on offer_place_facts.place_id = places.place_id

),

deliveries as (

    select * from {{ ref('offer_deliveries') }}

),

hits as (

    {{ compiled_rules('offer_x_regime') }}

),

released as (

    {{ released_of_creatives('hits') }}

),

-- A message that has to wait for a window, and whose offer has none, reaches nobody; whatever it is, it needs a reason.
hits_and_windows as (

    select * from released

    union all

    select
        creative_id,
        place_id,
        'ENG-WINDOW' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'internal' as visibility,
        'ENG_NO_SEND_WINDOW' as code,
        0 as penalty_bp,
        null as facts

    from deliveries

    where has_window
        and not is_deliverable

)

select * from hits_and_windows
