with

events as (

    select * from {{ ref('stg_events__events') }}

),

person_identifiers as (

    select * from {{ ref('int_identifier_owners') }}

),

bot_agents as (

    select * from {{ ref('int_bot_agents') }}

),

bot_sessions as (

    select * from {{ ref('int_bot_sessions') }}

),

bot_actors as (

    select * from {{ ref('int_bot_actors') }}

),

-- A session that is still going after a day is not somebody's visit: its later events are dead. One that only started, and had half
-- an hour to become more, is dead from the first.
dead_sessions as (

    select
        session_id,
        case
            when not has_content then started_at
            else started_at + interval 24 hour + interval 1 microsecond
        end as dead_from
    from {{ ref('int_sessions') }}
    where (not has_content and ended_at <= {{ as_of() }} - interval 30 minute)
        or ended_at > started_at + interval 24 hour

),

said_again as (

    select * from {{ ref('int_events_said_again') }}

),

test_people as (

    select * from {{ ref('int_test_people') }}

),

test_accounts as (

    select * from {{ ref('int_test_accounts') }}

),

-- An account that was used on half the shop's devices is nobody's.
hub_accounts as (

    select * from {{ ref('identifiers') }}
    where identifier_kind = 'account_id'
        and (is_hub or is_blocked)

),

offers as (

    select
        offer_id,
        max_by(product_line, version) as product_line
    from {{ ref('stg_catalogue__offers') }}
    group by offer_id

),

asset_product_lines as (

    select * from {{ ref('asset_product_lines') }}

),

-- Whoever is logged in did it. Without an account the cookie says more than the device, which a family or a library shares.
-- An account that belongs to nobody we know is never passed on to the owner of the device.
attributed as (

    select
        events.*,
        case
            when events.account_id is not null then by_account.person_id
            else coalesce(by_cookie.person_id, by_device.person_id)
        end as person_id,
        -- Since when the run can know that this is theirs, and from when on a machine's own history counts for them.
        case
            when events.account_id is not null then by_account.linked_at
            when by_cookie.person_id is not null then by_cookie.linked_at
            else by_device.linked_at
        end as linked_at,
        case
            when events.account_id is not null then null
            when by_cookie.person_id is not null then by_cookie.counts_from
            else by_device.counts_from
        end as counts_from

    from events

    left join person_identifiers as by_account
        on events.account_id = by_account.identifier
        and by_account.identifier_kind = 'account_id'

    left join person_identifiers as by_cookie
        on events.anonymous_id = by_cookie.identifier
        and by_cookie.identifier_kind = 'anonymous_id'

    left join person_identifiers as by_device
        on events.device_id = by_device.identifier
        and by_device.identifier_kind = 'device_id'

),

judged as (

    select
        attributed.event_id,
        attributed.person_id,
        attributed.occurred_at,
        greatest(attributed.known_at, attributed.linked_at) as known_at,
        attributed.event_name,
        attributed.channel,
        attributed.session_id,
        coalesce(
            json_extract_string(attributed.properties, '$.product_line'),
            offers.product_line,
            case when starts_with(attributed.event_name, 'lesson_') then 'education' end,
            asset_product_lines.product_line
        ) as product_line,
        attributed.offer_id,
        attributed.decision_id,
        attributed.asset,
        attributed.value_usd,
        attributed.row_hash,
        list_filter(
            [
                case when attributed.occurred_at > {{ as_of() }} then 'not_yet_happened' end,
                case when attributed.person_id is null then 'unattributed' end,
                case when attributed.occurred_at < attributed.counts_from then 'before_backstitch' end,
                case when said_again.event_id is not null then 'duplicate_semantic' end,
                case when hub_accounts.identifier is not null then 'hub_account' end,
                case when bot_agents.is_declared then 'bot_declared' end,
                case when bot_agents.is_headless then 'bot_headless' end,
                -- An app may call itself what it likes; nobody visits a website with anything but a browser.
                case when bot_agents.is_no_browser and attributed.channel = 'web' then 'bot_no_browser' end,
                case when bot_sessions.is_too_fast then 'bot_rate' end,
                case when bot_sessions.is_too_regular or bot_actors.keeps_the_clock or bot_actors.is_metronome then 'bot_regular' end,
                case when bot_actors.never_rests then 'bot_no_rest' end,
                case when bot_actors.has_bot_sessions then 'bot_actor' end,
                case when coalesce(test_people.person_id, test_accounts.account_id) is not null then 'test_account' end,
                case when {{ is_testnet("json_extract_string(attributed.properties, '$.chain')") }} then 'testnet' end,
                case when attributed.occurred_at >= dead_sessions.dead_from then 'dead_session' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from attributed

    left join said_again
        on attributed.event_id = said_again.event_id

    left join hub_accounts
        on attributed.account_id = hub_accounts.identifier

    left join bot_agents
        on attributed.user_agent = bot_agents.user_agent

    left join bot_sessions
        on attributed.session_id = bot_sessions.session_id

    left join bot_actors
        on {{ actor('attributed') }} = bot_actors.actor

    left join dead_sessions
        on attributed.session_id = dead_sessions.session_id

    left join test_people
        on attributed.person_id = test_people.person_id

    left join test_accounts
        on attributed.account_id = test_accounts.account_id

    left join offers
        on attributed.offer_id = offers.offer_id

    left join asset_product_lines
        on attributed.asset = asset_product_lines.asset

)

select * from judged
