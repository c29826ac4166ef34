with

-- candor.agents has judged each distinct agent, by rules and a public list of crawlers.
judged as (

    select
        user_agent,
        is_declared,
        is_headless,
        is_no_browser,
        rule
    from {{ source('state', 'user_agents') }}

)

select * from judged
where is_declared or is_headless or is_no_browser
