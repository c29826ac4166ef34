with

removed as (

    select
        row_hash,
        message_id,
        contact_id,
        person_id,
        reasons,
        {{ noise_score('reasons') }} as score
    from {{ ref('int_messages_judged') }}
    where len(reasons) > 0

)

select * from removed
