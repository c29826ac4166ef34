{#- Every country signal, not the likeliest: the rules of all of them apply, and one that cannot be placed makes the set unknown. -#}
{{ config(database=vault_database()) }}

with

accounts as (

    select * from {{ ref('int_accounts_checked') }}
    where is_open

),

account_phones as (

    select * from {{ ref('stg_exchange__accounts') }}
    where phone_valid

),

contact_phones as (

    select * from {{ ref('stg_crm__contacts') }}
    where phone_valid

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

regime_map as (

    select * from {{ source('policy', 'regime_map') }}

),

phones as (

    {{ person_phones() }}

),

residences as (

    select distinct
        person_id,
        country_code as country,
        region_code as region

    from accounts

),

other_signals as (

    select person_id, pending_country as country, pending_region as region
    from accounts
    where pending_country is not null or pending_region is not null

    union

    select person_id, kyc_country as country, kyc_region as region
    from accounts
    where kyc_country is not null or kyc_region is not null

    union

    select phones.person_id, phones.country, null as region
    from phones
    where phones.person_id in (select person_id from residences)

),

-- A signal without a region in the country of a residence says nothing that the residence does not.
-- Two joins by equality alone: with `region is null` as a join condition the engine compared all with all.
signals as (

    select * from residences

    union

    select * from other_signals
    where region is not null

    union

    select other_signals.*
    from other_signals

    anti join residences
        on other_signals.person_id = residences.person_id
        and other_signals.country = residences.country

    where other_signals.region is null

),

mapped as (

    select
        signals.person_id,
        coalesce(regions.regimes, countries.regimes) as regimes,
        coalesce(regions.permission_regime, countries.permission_regime) as permission_regime

    from signals

    left join regime_map as regions
        on {{ region_market('signals.country', 'signals.region') }} = regions.residence

    left join regime_map as countries
        on signals.country = countries.residence

),

regimes as (

    select
        person_id,
        case when not bool_or(regimes is null) then list_sort(list_distinct(flatten(list(regimes)))) end as regimes,
        case
            when not bool_or(regimes is null) then list_sort(list_distinct(list(permission_regime)))
        end as permission_regimes

    from mapped

    group by person_id

)

select * from regimes
