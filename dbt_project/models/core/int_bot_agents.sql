with

-- candor.agents has judged each distinct agent, by rules and a public list of crawlers.
agents as (

    select * from {{ source('state', 'user_agents') }}
    where is_declared or is_headless or is_no_browser

),

-- What 20 different accounts log in from on the website is the shop's own client (an app that shows web pages), whatever it calls itself.
-- Scrapers log in as nobody or as one or two; what declares itself a robot is not excused by this.
own_clients as (

    select user_agent
    from {{ ref('stg_events__events') }}
    where channel = 'web'
        and account_id is not null
        and user_agent in (select user_agent from agents where is_no_browser and not is_declared)
    group by user_agent
    having count(distinct account_id) >= 20

),

judged as (

    select
        agents.user_agent,
        agents.is_declared,
        agents.is_headless,
        agents.is_no_browser and own_clients.user_agent is null as is_no_browser,
        agents.rule

    from agents

    left join own_clients
        on agents.user_agent = own_clients.user_agent

)

select * from judged
where is_declared or is_headless or is_no_browser
