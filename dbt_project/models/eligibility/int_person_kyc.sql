{{ config(database=vault_database()) }}

with

accounts as (

    select * from {{ ref('int_accounts_checked') }}

),

zones as (

    select distinct time_zone_std as zone
    from accounts
    where is_open and time_zone_std is not null

),

zone_dates as (

    select
        zone,
        {{ local_time('zone', as_of()) }}::date as local_date

    from zones

),

-- A band is as old as its score, not as its row; one from the future is none.
accounts_banded as (

    select
        *,
        case
            when kyc_risk_scored_at <= {{ as_of() }} and kyc_risk_scored_at >= {{ as_of() }} - {{ max_age('u_aml_band') }}
                then list_position(['low', 'medium', 'high', 'prohibited'], kyc_risk_band)
        end as band,
        list_position(['none', 'domestic', 'international', 'rca', 'foreign'], kyc_pep) as exposure

    from accounts

),

grouped as (

    select
        accounts.person_id,
        bool_or(accounts.is_open) as has_open_account,
        (min(case when accounts.is_verified then accounts.kyc_tier else 0 end) filter (where accounts.is_open))::integer as kyc_tier,
        case
            when coalesce(bool_and(accounts.kyc_expires_at is not null) filter (where accounts.is_open and accounts.has_kyc), false)
                then min(accounts.kyc_expires_at) filter (where accounts.is_open and accounts.has_kyc)
        end as kyc_expires_at,
        count(distinct accounts.kyc_birth_date) filter (where accounts.is_open and accounts.is_verified) > 1
        or count(distinct accounts.kyc_country) filter (where accounts.is_open and accounts.is_verified) > 1 as is_kyc_conflict,
        greatest(
            max(accounts.birth_date), max(accounts.kyc_birth_date_of_age) filter (where accounts.is_open)
        ) as birth_date,
        list_sort(list(distinct accounts.time_zone_std) filter (where accounts.is_open and accounts.time_zone_std is not null)) as tzs,
        -- Nobody's birthday has come before it has come in the last of their zones. Without a zone: UTC-12.
        coalesce(
            min(zone_dates.local_date) filter (where accounts.is_open), ({{ as_of() }} - interval 12 hour)::date
        ) as local_date,
        case
            when bool_and(coalesce(accounts.client_class = 'professional', false)) filter (where accounts.is_open) then 'professional'
            when bool_and(coalesce(accounts.client_class = 'institutional', false)) filter (where accounts.is_open) then 'institutional'
            else 'retail'
        end as client_class,
        case
            when bool_and(accounts.band is not null) filter (where accounts.is_open)
                then ['low', 'medium', 'high', 'prohibited'][max(accounts.band) filter (where accounts.is_open)]
        end as aml_band,
        case
            when bool_and(accounts.exposure is not null) filter (where accounts.is_open)
                then ['none', 'domestic', 'international', 'rca', 'foreign'][max(accounts.exposure) filter (where accounts.is_open)]
        end as pep

    from accounts_banded as accounts

    left join zone_dates
        on accounts.time_zone_std = zone_dates.zone

    group by accounts.person_id

),

aged as (

    select
        *,
        {{ full_years('birth_date', 'local_date') }} as age_years

    from grouped

)

select * from aged
