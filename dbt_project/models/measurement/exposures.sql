with

events as (

    select * from {{ ref('events') }}

    where event_name in ('offer_shown', 'offer_clicked', 'offer_accepted', 'offer_dismissed', 'offer_not_relevant')
        and decision_id is not null

),

assignments as (

    select * from {{ ref('assignments') }}

),

what_happened as (

    select
        decision_id,
        min(occurred_at) filter (where event_name = 'offer_shown') as first_shown_at,
        count(*) filter (where event_name = 'offer_shown') as times_shown,
        count(*) filter (where event_name = 'offer_clicked') as times_clicked,
        count(*) filter (where event_name = 'offer_accepted') as times_accepted,
        count(*) filter (where event_name = 'offer_dismissed') as times_dismissed,
        count(*) filter (where event_name = 'offer_not_relevant') as times_not_relevant

    from events

    group by decision_id

),

assignments_made as (

    -- Of one offer that an earlier system and Candor both name alike, Candor's own record.
    select * from assignments

    where arm = 'shown'

    qualify row_number() over (partition by assignment_id order by source) = 1

),

exposures_counted as (

    select
        assignments_made.assignment_id,
        assignments_made.source,
        assignments_made.person_id,
        assignments_made.offer_id,
        assignments_made.offer_version,
        assignments_made.product_line,
        assignments_made.channel,
        assignments_made.assigned_at,
        what_happened.first_shown_at,
        coalesce(what_happened.times_shown, 0) as times_shown,
        coalesce(what_happened.times_clicked, 0) as times_clicked,
        coalesce(what_happened.times_accepted, 0) as times_accepted,
        coalesce(what_happened.times_dismissed, 0) as times_dismissed,
        coalesce(what_happened.times_not_relevant, 0) as times_not_relevant

    from assignments_made

    left join what_happened
        on assignments_made.assignment_id = what_happened.decision_id

)

select * from exposures_counted
