with

removed as (

    select
        row_hash,
        assignment_id,
        person_id,
        source,
        reasons,
        {{ noise_score('reasons') }} as score
    from {{ ref('int_assignments_judged') }}
    where len(reasons) > 0

)

select * from removed
