with

agents as (

    select distinct user_agent from {{ ref('stg_events__events') }}
    where user_agent is not null

),

judged as (

    select
        user_agent,
        {{ declares_a_bot('user_agent') }} as is_declared,
        {{ is_headless('user_agent') }} as is_headless
    from agents

)

select * from judged
where is_declared or is_headless
