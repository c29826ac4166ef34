{#- What counts as somebody, and how far along they are. Limits stand here with their why, once. -#}

{#- Declared robots, tools and headless browsers, by the words they put into their own user agent. -#}
{% macro declares_a_bot(column) -%}
    coalesce(
        regexp_matches(
            lower({{ column }}),
            'bot\b|bot/|[^a-z]bot|crawl|spider|slurp|scrap|fetcher|archiver|monitor|uptime|pingdom|lighthouse|'
            || 'python-|python/|aiohttp|httpx|curl/|wget/|libwww|okhttp/0|java/|go-http-client|node-fetch|axios/|postman|'
            || 'facebookexternalhit|feedfetcher|mediapartners|bingpreview|whatsapp/|dataprovider|nutch|scrapy|http-?client'
        ),
        false
    )
{%- endmacro %}

{% macro is_headless(column) -%}
    coalesce(
        regexp_matches(lower({{ column }}), 'headless|phantomjs|slimerjs|puppeteer|playwright|selenium|webdriver|electron/.*nightmare|cypress'),
        false
    )
{%- endmacro %}

{#- Who made an event, as the website knows them: the browser, else the device. -#}
{% macro actor(events) -%}
    coalesce({{ events }}.anonymous_id, {{ events }}.device_id)
{%- endmacro %}

{#- An e-mail address that only tests and staff have. -#}
{% macro is_test_email(column) -%}
    exists (
        select 1 from (select * from {{ ref('test_email_domains') }}) as test_email_domains
        where ends_with({{ email_domain(column) }}, test_email_domains.domain_suffix)
    )
{%- endmacro %}

{#- Ledger kinds that only somebody with money here can have. Rewards, lessons and fees come without any; a kind not listed proves none. -#}
{% macro needs_money(kind) -%}
    {{ kind }} in ('deposit', 'withdrawal', 'stake', 'lend', 'borrow', 'card_spend', 'liquidation')
{%- endmacro %}

{#-
  prospect: never put money in and never traded. dormant: has, but nothing genuine for 90 days. new: under 30 days since the first
  money, or under 3 trades. experienced: 180 days and 20 trades in 4 calendar months or more; volume alone never makes it.
  All arguments are expressions; `at` is the instant the stage is asked for, and the rest must be what was known then.
-#}
{% macro lifecycle_stage(at, first_funded_at, trades, trade_months, last_active_at) -%}
    case
        when {{ first_funded_at }} is null then 'prospect'
        when coalesce({{ last_active_at }} <= {{ at }} - interval 90 day, true) then 'dormant'
        when {{ first_funded_at }} > {{ at }} - interval 30 day or coalesce({{ trades }}, 0) < 3 then 'new'
        when {{ first_funded_at }} <= {{ at }} - interval 180 day and {{ trades }} >= 20 and {{ trade_months }} >= 4 then 'experienced'
        else 'developing'
    end
{%- endmacro %}
