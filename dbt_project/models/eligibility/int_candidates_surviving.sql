{#- A view, as int_candidates_dated is: they are read by who needs few of their rows, and once by who writes them all. -#}
{{ config(database=vault_database(), materialized='view') }}

with

person_audiences as (

    select * from {{ ref('int_person_audiences') }}

),

audience_offers as (

    select * from {{ ref('int_audience_offers') }}

),

survivors as (

    select
        person_audiences.person_id,
        person_audiences.market,
        person_audiences.segment,
        person_audiences.u_kyc_expires_at,
        audience_offers.* exclude (audience_id)

    from person_audiences

    inner join audience_offers
        on person_audiences.audience_id = audience_offers.audience_id

)

select * from survivors
