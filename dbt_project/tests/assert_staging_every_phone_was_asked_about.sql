-- A returned row is a phone number that phonenumbers was never asked about, so it would count as invalid.
-- Usual cause: the staging layer was built without candor.standardise before it.
with

phones as (

    select phone, coalesce(country_code, '') as country from {{ ref('stg_exchange__accounts') }}
    where phone is not null
    union
    select phone, coalesce(country_code, '') from {{ ref('stg_crm__contacts') }}
    where phone is not null

),

never_asked as (

    select phones.* from phones
    anti join {{ source('state', 'phone_numbers') }} as phone_numbers
        on phones.phone = phone_numbers.raw
        and phones.country = phone_numbers.country

)

select * from never_asked
