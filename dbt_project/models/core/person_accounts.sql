with

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

accounts_of_people as (

    select
        accounts.account_id,
        person_identifiers.person_id,
        accounts.country_code,
        accounts.region_code,
        accounts.time_zone_std as time_zone,
        accounts.language,
        {{ is_marked_test('coalesce(accounts.is_test, false) or ' ~ is_test_email('accounts.email')) }} as is_test,
        accounts.email_valid as has_email,
        accounts.phone_valid as has_phone,
        accounts.created_at,
        accounts.closed_at,
        accounts.source_updated_at,
        accounts.row_hash,
        accounts.known_at

    from accounts

    inner join person_identifiers
        on accounts.account_id = person_identifiers.identifier

)

select * from accounts_of_people
