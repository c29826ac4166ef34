with

messages as (

    select * from {{ ref('messages') }}

    where person_id is not null

),

facts as (

    select
        message_id,
        person_id,
        known_at,
        unnest(['received', 'opened', 'clicked']) as fact,
        unnest([sent_at, opened_at, clicked_at]) as occurred_at,
        greatest(
            sent_at,
            coalesce(opened_at, sent_at),
            coalesce(clicked_at, sent_at),
            coalesce(unsubscribed_at, sent_at),
            coalesce(complained_at, sent_at)
        ) as last_fact_at

    from messages

),

facts_that_happened as (

    select * from facts

    where occurred_at is not null

),

extractions as (

    select distinct known_at as extracted_at

    from messages

),

-- A message row is replaced when it is opened, and the row that stays is known from that later delivery only. Counting the sending from
-- there would hide a message from its moment to its opening: unopened ones would be those that stay unopened, which is the future.
-- So an earlier fact of a row counts from the first delivery that could have held it.
facts_with_first_delivery as (

    select
        facts_that_happened.*,
        extractions.extracted_at as first_delivery_at

    from facts_that_happened

    asof left join extractions
        on facts_that_happened.occurred_at <= extractions.extracted_at

),

usable_facts as (

    select
        message_id,
        person_id,
        fact,
        occurred_at,
        case
            when occurred_at >= last_fact_at or first_delivery_at is null then greatest(occurred_at, known_at)
            else greatest(occurred_at, least(known_at, first_delivery_at))
        end as usable_at

    from facts_with_first_delivery

)

select * from usable_facts
