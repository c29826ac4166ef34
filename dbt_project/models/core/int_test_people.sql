with

marked as (

    select person_id from {{ ref('person_accounts') }} where is_test
    union
    select person_id from {{ ref('person_contacts') }} where is_test

)

select * from marked
