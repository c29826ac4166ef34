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

judged as (

    select
        *,
        {{ email_reason('email') }} as email_reason,
        {{ name_reason('full_name', 'name_spelled') }} as name_reason,
        {{ birth_date_reason('birth_date') }} as birth_date_reason,
        {{ postal_code_reason('postal_code') }} as postal_code_reason,
        {{ region_reason('country_code', 'region_code') }} as region_reason

    from spelled

),

standardised as (

    select
        judged.account_id,
        judged.email,
        {{ email_std('judged.email', 'email_providers', valid='(judged.email_reason is null and judged.email is not null)') }} as email_std,
        judged.email is not null and judged.email_reason is null as email_valid,
        judged.email_reason,
        coalesce(email_domains.is_disposable, false) as email_is_disposable,
        {{ email_is_role('judged.email') }} as email_is_role,
        judged.phone,
        {{ phone_std('judged.phone', 'phone_numbers') }} as phone_std,
        phone_numbers.phone_country,
        {{ phone_valid('judged.phone', 'phone_numbers') }} as phone_valid,
        {{ phone_reason('judged.phone', 'phone_numbers') }} as phone_reason,
        judged.full_name,
        case when judged.name_reason is null then judged.name_spelled end as name_std,
        judged.full_name is not null and judged.name_reason is null as name_valid,
        judged.name_reason,
        judged.birth_date,
        case when judged.birth_date_reason is null then judged.birth_date end as birth_date_std,
        judged.birth_date is not null and judged.birth_date_reason is null as birth_date_valid,
        judged.birth_date_reason,
        judged.postal_code,
        case when judged.postal_code_reason is null then {{ postal_code_std('judged.postal_code') }} end as postal_code_std,
        judged.postal_code is not null and judged.postal_code_reason is null as postal_code_valid,
        judged.postal_code_reason,
        judged.country_code,
        judged.region_code,
        case when judged.region_reason is null then judged.region_code end as region_std,
        judged.region_code is not null and judged.region_reason is null as region_valid,
        judged.region_reason,
        judged.pending_country,
        judged.pending_region,
        judged.time_zone,
        time_zones.name as time_zone_std,
        judged.language,
        judged.contracting_entity,
        judged.created_at,
        judged.closed_at,
        judged.is_test,
        judged.source_updated_at,
        judged.row_hash,
        judged.known_at

    from judged

    left join email_providers
        on {{ email_domain('judged.email') }} = email_providers.domain

    left join email_domains
        on {{ email_domain('judged.email') }} = email_domains.domain

    left join phone_numbers
        on judged.phone = phone_numbers.raw
        and coalesce(judged.country_code, '') = phone_numbers.country

    left join time_zones
        on trim(judged.time_zone) = time_zones.name

)

select * from standardised
