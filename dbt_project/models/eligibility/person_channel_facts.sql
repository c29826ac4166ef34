{{ config(database=vault_database()) }}

with

person_facts as (

    select * from {{ ref('person_facts') }}

),

channels as (

    select
        rule_channel,
        bool_or(has_window) as has_window

    from {{ source('policy', 'channels') }}

    group by rule_channel

),

optout_regimes as (

    select list(regime order by regime) as regimes
    from {{ source('policy', 'email_optout_regimes') }}

),

send_windows as (

    select * from {{ ref('send_windows') }}

),

places as (

    select
        places.place_id,
        {{ is_email_opt_out('places.u_perm_regimes', 'optout_regimes.regimes') }} as is_email_opt_out

    from {{ ref('places') }} as places

    cross join optout_regimes

),

person_channel_facts as (

    select
        person_facts.person_id,
        channels.rule_channel,
        {{ channel_ok('channels.rule_channel', 'places.is_email_opt_out', 'person_facts', 'person_facts.u_consent_thirdparty') }} as d_channel_ok,
        case
            when not channels.has_window then 0
            when not send_windows.is_zone_known then null
            when send_windows.send_after is null then 1
            else 0
        end as d_quiet_house_violations,
        case
            when not channels.has_window then 0
            when not send_windows.is_zone_known then null
            when send_windows.send_after is null and send_windows.is_in_us then 1
            else 0
        end as d_quiet_us_violations

    from person_facts

    cross join channels

    left join places
        on person_facts.place_id = places.place_id

    left join send_windows
        on person_facts.place_id = send_windows.place_id
        and channels.rule_channel = send_windows.rule_channel

)

select * from person_channel_facts
