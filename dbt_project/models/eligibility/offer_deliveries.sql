{#- When an offer could reach the people of a place: at once, or in the channel's window, while offer, approval and pack hold
    and what was decided is not stale. -#}
{{ config(database=vault_database()) }}

with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

offer_place_facts as (

    select * from {{ ref('offer_place_facts') }}

),

send_windows as (

    select * from {{ ref('send_windows') }}

),

pack as (

    select * from {{ source('policy', 'pack') }}

),

staleness as (

    select
        product_line,
        is_promotion,
        to_hours(case when {{ is_stressed() }} then hours_stressed else hours end) as lifetime

    from {{ source('policy', 'staleness') }}

),

validity as (

    select
        offer_place_facts.creative_id,
        offer_place_facts.place_id,
        offer_facts.has_window,
        least(
            {{ as_of() }} + to_hours({{ limit_value('offer_validity_hours') }}::integer),
            {{ as_of() }} + staleness.lifetime,
            offer_place_facts.o_ends_at,
            case when offer_facts.o_creative_expires > {{ as_of() }} then offer_facts.o_creative_expires end,
            pack.valid_to
        ) as valid_until,
        send_windows.send_after,
        send_windows.send_before

    from offer_place_facts

    inner join offer_facts
        on offer_place_facts.creative_id = offer_facts.creative_id

    cross join pack

    -- A line that the matrix does not know has no row, and no rule lets its offers out.
    left join staleness
        on offer_facts.product_line = staleness.product_line
        and offer_facts.o_is_promotion = staleness.is_promotion

    left join send_windows
        on offer_facts.has_window
        and offer_place_facts.place_id = send_windows.place_id
        and offer_facts.c_channel = send_windows.rule_channel

),

planned as (

    select
        creative_id,
        place_id,
        has_window,
        valid_until,
        case when has_window then send_after else {{ as_of() }} end as send_after,
        case when has_window then least(send_before, valid_until) else valid_until end as send_before

    from validity

),

deliveries as (

    select
        *,
        coalesce(send_after < valid_until, false) as is_deliverable

    from planned

)

select * from deliveries
