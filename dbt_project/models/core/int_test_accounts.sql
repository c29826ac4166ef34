with

-- Of everybody's accounts: a test account may be nobody's, because it is linked to half the shop.
accounts as (

    select account_id from {{ ref('stg_exchange__accounts') }}
    where coalesce(is_test, false) or {{ is_test_email('email') }}

),

-- One test account makes its person a test person, and their other accounts with them.
accounts_of_test_people as (

    select account_id from {{ ref('person_accounts') }}
    where person_id in (select person_id from {{ ref('int_test_people') }})

),

test_accounts as (

    select account_id from accounts
    union
    select account_id from accounts_of_test_people

)

select * from test_accounts
