with

current_rows as (

    {{ newest_content(source('raw', 'exchange__accounts'), key=['account_id'], updated_at='source_updated_at') }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

phone_numbers as (

    select * from {{ source('state', 'phone_numbers') }}

),

time_zones as (

    select distinct name from pg_timezone_names()

),

standardised as (

    select
        current_rows.account_id,
        current_rows.email,
        {{ email_std('current_rows.email', 'email_providers') }} as email_std,
        {{ email_valid('current_rows.email') }} as email_valid,
        current_rows.phone,
        phone_numbers.phone_std,
        phone_numbers.phone_country,
        coalesce(phone_numbers.is_valid, false) as phone_valid,
        current_rows.full_name,
        {{ name_std('current_rows.full_name') }} as name_std,
        current_rows.birth_date,
        current_rows.postal_code,
        current_rows.country_code,
        current_rows.region_code,
        current_rows.pending_country,
        current_rows.pending_region,
        current_rows.time_zone,
        time_zones.name as time_zone_std,
        current_rows.language,
        current_rows.contracting_entity,
        current_rows.created_at,
        current_rows.closed_at,
        current_rows.is_test,
        current_rows.source_updated_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

    left join email_providers
        on {{ email_domain('current_rows.email') }} = email_providers.domain

    left join phone_numbers
        on current_rows.phone = phone_numbers.raw
        and coalesce(current_rows.country_code, '') = phone_numbers.country

    left join time_zones
        on trim(current_rows.time_zone) = time_zones.name

)

select * from standardised
