with

responses as (

    select * from {{ ref('stg_surveys__responses') }}

    where offer_id is not null
        and score is not null
        and scale_max > 0
        and submitted_at <= {{ as_of() }}
        and submitted_at > {{ as_of() }} - to_days({{ limit_value('feedback_days') }}::integer)

),

offers as (

    select distinct offer_id

    from {{ ref('stg_catalogue__offers') }}

),

answers as (

    -- 1 is the best that somebody can say, of whatever kind the question was.
    select
        offer_id,
        kind,
        least(1, greatest(0, case when kind = 'intrusiveness' then 1 - score / scale_max else score / scale_max end))::double
            as goodness

    from responses

),

answers_compared as (

    -- Each kind of question has its own middle; an offer is compared with the other offers on the same question.
    select
        offer_id,
        goodness - avg(goodness) over (partition by kind) as difference

    from answers

),

answers_summed as (

    select
        offer_id,
        count(*) as answers,
        sum(difference) as difference

    from answers_compared

    group by offer_id

),

offers_compared as (

    select
        offers.offer_id,
        coalesce(answers_summed.answers, 0)::bigint as answers,
        -- Shrunk to nought by answers that say what the others say: an offer about which nobody has spoken is like the others.
        round(
            coalesce(answers_summed.difference, 0)
            / (coalesce(answers_summed.answers, 0) + {{ objective('trust_prior_responses') }}),
            6
        ) as difference

    from offers

    left join answers_summed
        on offers.offer_id = answers_summed.offer_id

),

feedback as (

    select
        offer_id,
        answers,
        difference,
        -- What is better liked than the others is not worth more for it: trust takes away, it never adds.
        least(1, greatest({{ objective('trust_floor') }}, 1 + {{ objective('trust_lambda') }} * difference))::decimal(7, 6)
            as trust_multiplier

    from offers_compared

)

select * from feedback
