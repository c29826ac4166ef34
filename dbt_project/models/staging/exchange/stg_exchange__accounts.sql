with

current_rows as (

    {{ newest_content(source('raw', 'exchange__accounts'), key=['account_id'], updated_at='source_updated_at') }}

),

email_providers as (

    select * from {{ ref('email_providers') }}

),

email_domains as (

    select * from {{ source('state', 'email_domains') }}

),

phone_numbers as (

    select * from {{ source('state', 'phone_numbers') }}

),

time_zones as (

    select distinct name from pg_timezone_names()

),

-- The name is spelled out first: its reason looks it up among the placeholders.
spelled as (

    select
        *,
        {{ name_spelled('full_name') }} as name_spelled

    from current_rows

),

standardised as (

    select
        spelled.account_id,
        spelled.email,
        {{ email_std('spelled.email', 'email_providers') }} as email_std,
        {{ email_valid('spelled.email') }} as email_valid,
        {{ email_reason('spelled.email') }} as email_reason,
        coalesce(email_domains.is_disposable, false) as email_is_disposable,
        {{ email_is_role('spelled.email') }} as email_is_role,
        spelled.phone,
        phone_numbers.phone_std,
        phone_numbers.phone_country,
        coalesce(phone_numbers.is_valid, false) as phone_valid,
        {{ phone_reason('spelled.phone', 'phone_numbers') }} as phone_reason,
        spelled.full_name,
        case when {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} is null then spelled.name_spelled end as name_std,
        spelled.full_name is not null and {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} is null as name_valid,
        {{ name_reason('spelled.full_name', 'spelled.name_spelled') }} as name_reason,
        spelled.birth_date,
        case when {{ birth_date_reason('spelled.birth_date') }} is null then spelled.birth_date end as birth_date_std,
        spelled.birth_date is not null and {{ birth_date_reason('spelled.birth_date') }} is null as birth_date_valid,
        {{ birth_date_reason('spelled.birth_date') }} as birth_date_reason,
        spelled.postal_code,
        case when {{ postal_code_reason('spelled.postal_code') }} is null then {{ postal_code_std('spelled.postal_code') }} end as postal_code_std,
        spelled.postal_code is not null and {{ postal_code_reason('spelled.postal_code') }} is null as postal_code_valid,
        {{ postal_code_reason('spelled.postal_code') }} as postal_code_reason,
        spelled.country_code,
        spelled.region_code,
        case when {{ region_reason('spelled.country_code', 'spelled.region_code') }} is null then spelled.region_code end as region_std,
        spelled.region_code is not null and {{ region_reason('spelled.country_code', 'spelled.region_code') }} is null as region_valid,
        {{ region_reason('spelled.country_code', 'spelled.region_code') }} as region_reason,
        spelled.pending_country,
        spelled.pending_region,
        spelled.time_zone,
        time_zones.name as time_zone_std,
        spelled.language,
        spelled.contracting_entity,
        spelled.created_at,
        spelled.closed_at,
        spelled.is_test,
        spelled.source_updated_at,
        spelled.row_hash,
        spelled.known_at

    from spelled

    left join email_providers
        on {{ email_domain('spelled.email') }} = email_providers.domain

    left join email_domains
        on {{ email_domain('spelled.email') }} = email_domains.domain

    left join phone_numbers
        on spelled.phone = phone_numbers.raw
        and coalesce(spelled.country_code, '') = phone_numbers.country

    left join time_zones
        on trim(spelled.time_zone) = time_zones.name

)

select * from standardised
