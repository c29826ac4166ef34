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
        len(places.u_perm_regimes) > 0
        and len(list_filter(
            places.u_perm_regimes,
            lambda name: not list_contains(optout_regimes.regimes, split_part(name, '-', 1))
        )) = 0 as is_email_opt_out

    from {{ ref('places') }} as places

    cross join optout_regimes

),

person_channel_facts as (

    select
        person_facts.person_id,
        channels.rule_channel,
        case
            when channels.rule_channel in ('inapp', 'chatbot', 'public_ad') then true
            when channels.rule_channel = 'email'
                then case
                    when places.is_email_opt_out is null then null
                    when places.is_email_opt_out then not person_facts.u_unsub_email
                    else not person_facts.u_unsub_email
                        and (
                            person_facts.u_consent_email = 'granted'
                            or (person_facts.u_soft_opt_in and person_facts.u_consent_email = 'none')
                        )
                end
            when channels.rule_channel = 'sms' then person_facts.u_consent_sms = 'granted'
            when channels.rule_channel = 'push' then person_facts.u_consent_push = 'granted'
        end as d_channel_ok,
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
