{#- Where a person is, by every signal: whether these agree, and the worst that FATF lists of any of them. -#}
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

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

fatf_countries as (

    select * from {{ source('policy', 'fatf_countries') }}
    where valid_from <= {{ as_of() }}
        and valid_to > {{ as_of() }}

),

-- Both lists must be known for the day; of one country that both name, the worse.
fatf_known as (

    select coalesce(count(distinct list) = 2, false) as is_known
    from fatf_countries

),

listed as (

    select
        country,
        bool_or(list = 'CFA') as is_call_for_action

    from fatf_countries

    group by country

),

all_phones as (

    {{ person_phones() }}

),

phones as (

    select
        all_phones.person_id,
        all_phones.country,
        coalesce(evidence_classes.is_weak, false) as is_weak

    from all_phones

    left join evidence_classes
        on all_phones.evidence_rank = evidence_classes.evidence_rank

),

signals as (

    select person_id, country_code as country, region_code as region, is_weak
    from accounts

    union all

    select person_id, kyc_country as country, kyc_region as region, is_weak
    from accounts

    union all

    select person_id, country, null as region, is_weak
    from phones

),

-- What a likely link says of somebody goes to repair; it does not hold anything (policy 5.2).
signals_agreed as (

    select
        person_id,
        count(distinct country) filter (where not is_weak) > 1
        or count(distinct region) filter (where not is_weak) > 1 as is_disagreeing

    from signals

    group by person_id

),

accounts_grouped as (

    select
        person_id,
        bool_and(country_code is not null) as is_everywhere_known,
        bool_or(not is_weak and (pending_country is not null or pending_region is not null)) as is_moving,
        bool_and(country_code is not null and kyc_nationality is not null) as is_nationality_known

    from accounts

    group by person_id

),

fatf_signals as (

    select person_id, unnest([country_code, pending_country, kyc_country, kyc_nationality]) as country
    from accounts

),

fatf_worst as (

    select
        fatf_signals.person_id,
        bool_or(coalesce(listed.is_call_for_action, false)) as is_call_for_action,
        bool_or(listed.country is not null) as is_listed

    from fatf_signals

    left join listed
        on fatf_signals.country = listed.country

    group by fatf_signals.person_id

),

person_countries as (

    select
        accounts_grouped.person_id,
        case
            when accounts_grouped.is_everywhere_known
                then accounts_grouped.is_moving or signals_agreed.is_disagreeing
        end as is_country_conflict,
        case
            when not fatf_known.is_known or not accounts_grouped.is_nationality_known then null
            when fatf_worst.is_call_for_action then 'CFA'
            when fatf_worst.is_listed then 'IM'
            else 'none'
        end as fatf

    from accounts_grouped

    cross join fatf_known

    inner join signals_agreed
        on accounts_grouped.person_id = signals_agreed.person_id

    inner join fatf_worst
        on accounts_grouped.person_id = fatf_worst.person_id

)

select * from person_countries
