{#- What is said over a likely link only counts against somebody, never for them (policy 5.2). -#}
{{ config(database=vault_database()) }}

with

assessments as (

    select
        person_id,
        kind,
        result,
        taken_at,
        is_weak,
        case when kind = 'trust' and regexp_full_match(result, '[0-9]{1,3}([.][0-9]+)?') then result::double end as score,
        case result
            when 'high_net_worth' then 'hnw'
            when 'self_certified_sophisticated' then 'sophisticated'
            else result
        end as category

    from {{ ref('int_account_assessments') }}

    where kind <> 'trust' or taken_at > {{ as_of() }} - {{ max_age('u_trust') }}

),

grouped as (

    select
        person_id,
        {{ all_say('risk_awareness', 'passed') }} as is_risk_aware,
        {{ all_say('knowledge_test', 'passed') }} as is_knowledgeable,
        {{ all_say('personal_risk_warning', 'shown') }} as is_warned,
        {{ all_say('enhanced_due_diligence', 'approved') }} as is_edd_approved,
        {{ all_say('direct_offer_request', 'requested') }} as is_requested,
        {{ all_say('direct_offer_reconfirmed', 'reconfirmed') }} as is_reconfirmed,
        {{ all_say('target_market', 'inside') }} as is_inside_target_market,
        bool_or(kind = 'target_market' and (result <> 'inside' or not is_weak)) as has_target_market,
        {{ all_say('travel_rule', 'verified') }} as is_travel_ready,
        bool_or(kind = 'travel_rule' and (result <> 'verified' or not is_weak)) as has_travel_rule,
        max(taken_at) filter (where kind = 'direct_offer_request') as requested_at,
        min(taken_at) filter (where kind = 'direct_offer_reconfirmed') as reconfirmed_at,
        bool_or(kind = 'uk_category' and not is_weak) as has_category,
        list_sort(list(distinct category) filter (where kind = 'uk_category')) as categories,
        min(taken_at) filter (where kind = 'uk_category') as categorised_at,
        bool_or(kind = 'trust' and not is_weak) as has_score,
        bool_and(score between 0 and 100) filter (where kind = 'trust' and score is not null) as are_scores_sound,
        bool_or(kind = 'trust' and score is null) as has_unreadable_score,
        min(score) filter (where kind = 'trust') as least_score

    from assessments

    group by person_id

),

person_assessments as (

    select
        person_id,
        is_risk_aware,
        is_knowledgeable,
        is_warned,
        is_edd_approved,
        case when has_target_market then is_inside_target_market end as is_inside_target_market,
        case when has_travel_rule then is_travel_ready end as is_travel_ready,
        case when is_requested then requested_at end as requested_at,
        is_requested and is_reconfirmed and reconfirmed_at >= requested_at + interval 24 hour as is_reconfirmed,
        case
            when not has_category then 'none'
            when len(categories) = 1 then categories[1]
        end as uk_category,
        case when has_category and len(categories) = 1 then categorised_at end as uk_categorised_at,
        case when has_score and are_scores_sound and not has_unreadable_score then least_score end as trust

    from grouped

)

select * from person_assessments
