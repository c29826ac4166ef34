{{ config(database=vault_database()) }}

{#- Facts that may grow stale (unless_stale). -#}
{%- set aging = [
    'u_adverse_media', 'u_aml_band', 'u_au_tmd_fit', 'u_consent_chat', 'u_consent_email', 'u_consent_push',
    'u_consent_sms', 'u_consent_thirdparty', 'u_contacts_24h', 'u_contacts_7d', 'u_country_conflict',
    'u_dismiss_30d', 'u_dm_objection', 'u_dnc', 'u_dofp_reconfirmed', 'u_dofp_requested_at',
    'u_edd_approved', 'u_embargo', 'u_erasure', 'u_fatf', 'u_fincrime_hold', 'u_first_time', 'u_glba_optout',
    'u_gpc', 'u_harm_signal', 'u_highrisk_30d', 'u_hk_knowledge', 'u_minor_signal', 'u_neg_fb_30d', 'u_pep',
    'u_perm_regimes', 'u_profiling_objection', 'u_prw_shown', 'u_regimes', 'u_risk_awareness',
    'u_sanctions_status', 'u_self_excluded', 'u_soft_opt_in', 'u_tcpa_pewc', 'u_travel_ready', 'u_trust',
    'u_uk_cat', 'u_uk_cat_at', 'u_unsub_email', 'u_vuln_flag', 'u_wallet_sanctioned',
] %}

with

people as (

    select * from {{ ref('people') }}

),

kyc as (

    select * from {{ ref('int_person_kyc') }}

),

regimes as (

    select * from {{ ref('int_person_regimes') }}

),

countries as (

    select * from {{ ref('int_person_countries') }}

),

screenings as (

    select * from {{ ref('int_person_screenings') }}

),

restrictions as (

    select * from {{ ref('int_person_restrictions') }}

),

objections as (

    select * from {{ ref('int_person_objections') }}

),

withheld as (

    select distinct person_id

    from {{ source('vault_state', 'withheld') }}

    -- Rows drawn before instants were have none: they hold for their quarter.
    where
        case
            when starts_at is null
                then quarter = strftime({{ as_of() }}, '%Y-Q') || date_part('quarter', {{ as_of() }})
            else starts_at <= {{ as_of() }} and ends_at > {{ as_of() }}
        end
        and batch_seq <= {{ batch_seq() }}

),

contacts_counted as (

    select * from {{ ref('int_person_contacts_counted') }}

),

feedback as (

    select * from {{ ref('int_person_feedback') }}

),

consents as (

    select
        person_id,
        max(status) filter (where purpose = 'marketing' and channel = 'email') as consent_email,
        max(status) filter (where purpose = 'marketing' and channel = 'sms') as consent_sms,
        max(status) filter (where purpose = 'marketing' and channel = 'push') as consent_push,
        max(status) filter (where purpose = 'marketing' and channel = 'chat') as consent_chat,
        max(status) filter (where purpose = 'third_party') as consent_thirdparty,
        max(status) filter (where purpose = 'glba') as glba,
        bool_or(purpose in ('gpc', 'sale_or_share') and status in ('denied', 'withdrawn')) as is_opted_out_of_sale,
        max(status) filter (where purpose = 'soft_opt_in' and channel = 'email') as soft_opt_in,
        max(status) filter (where purpose = 'telemarketing' and channel = 'sms') as telemarketing,
        max(status) filter (where purpose = 'profiling') as profiling

    from {{ ref('int_person_consents') }}

    group by person_id

),

-- Of the accounts that have a profile the most conservative; a result outside the known ones is unknown, not a profile.
risk_profiles as (

    select
        person_id,
        bool_and(result in ('unknown', 'conservative', 'moderate', 'aggressive')) as is_known,
        min(case result when 'unknown' then 0 when 'conservative' then 1 when 'moderate' then 2 when 'aggressive' then 3 end) as caution

    from {{ ref('int_account_assessments') }}

    where kind = 'risk_profile'

    group by person_id

),

assessments as (

    select * from {{ ref('int_person_assessments') }}

),

direct_offers as (

    select * from {{ ref('int_person_direct_offers') }}

),

latest_runs as (

    select
        bool_and(list_parse_complete) as is_parse_complete,
        count(*) as scopes

    from (
        select *
        from {{ ref('stg_compliance__screening_runs') }}
        where screened_at <= {{ as_of() }}
        qualify row_number() over (partition by scope order by screened_at desc, screening_run_id desc) = 1
    ) as latest

),

fresh_facts as (

    select
        {% for fact in aging -%}
        bool_or(is_fresh) filter (where fact = '{{ fact }}') as {{ fact }}{{ '' if loop.last else ',' }}
        {% endfor %}
    from {{ ref('fact_observations') }}

),

gathered as (

    select
        people.person_id,
        people.is_test as u_is_test,
        withheld.person_id is not null as u_is_withheld,
        people.market,
        people.language,
        {{ unless_stale('u_sanctions_status', 'screenings.sanctions_status') }} as u_sanctions_status,
        {{ unless_stale('u_wallet_sanctioned', 'coalesce(screenings.is_wallet_sanctioned, false)') }} as u_wallet_sanctioned,
        case when latest_runs.scopes = 2 then latest_runs.is_parse_complete end as c_list_parse_complete,
        {% for fact, kinds in {
            'u_embargo': ['embargo'],
            'u_fincrime_hold': ['fincrime_hold'],
            'u_minor_signal': ['minor_signal'],
            'u_vuln_flag': ['vulnerable'],
            'u_harm_signal': ['harm_signal'],
            'u_self_excluded': ['self_exclusion'],
            'u_erasure': ['erasure'],
            'u_dm_objection': ['objection', 'do_not_contact'],
            'u_dnc': ['do_not_contact'],
        }.items() -%}
        {{ unless_stale(fact, "coalesce(list_has_any(restrictions.kinds, " ~ kinds ~ "), false)") }} as {{ fact }},
        {% endfor -%}
        {{ unless_stale(
            'u_adverse_media', "case when list_contains(restrictions.kinds, 'adverse_media') then 'unresolved' else 'none' end"
        ) }} as u_adverse_media,
        {{ unless_stale(
            'u_profiling_objection',
            "coalesce(list_contains(restrictions.kinds, 'profiling_objection'), false)
            or coalesce(objections.is_personalisation_off, false)
            or coalesce(consents.profiling in ('denied', 'withdrawn'), false)"
        ) }} as u_profiling_objection,
        case when kyc.has_open_account then kyc.kyc_tier end as u_kyc_tier,
        kyc.kyc_expires_at as u_kyc_expires_at,
        coalesce(kyc.is_kyc_conflict, false) as u_kyc_conflict,
        kyc.age_years as d_age,
        kyc.tzs as u_tzs,
        {{ unless_stale('u_regimes', 'regimes.regimes') }} as u_regimes,
        {{ unless_stale('u_perm_regimes', 'regimes.permission_regimes') }} as u_perm_regimes,
        {{ unless_stale('u_aml_band', 'kyc.aml_band') }} as u_aml_band,
        {{ unless_stale('u_pep', 'kyc.pep') }} as u_pep,
        {{ unless_stale('u_fatf', 'countries.fatf') }} as u_fatf,
        {{ unless_stale('u_country_conflict', 'countries.is_country_conflict') }} as u_country_conflict,
        coalesce(kyc.client_class, 'retail') as u_client_class,
        case
            when risk_profiles.person_id is null then 'unknown'
            when risk_profiles.is_known then ['unknown', 'conservative', 'moderate', 'aggressive'][risk_profiles.caution + 1]
        end as u_risk_profile,
        {% for fact, seen in {
            'u_risk_awareness': 'coalesce(assessments.is_risk_aware, false)',
            'u_hk_knowledge': 'coalesce(assessments.is_knowledgeable, false)',
            'u_prw_shown': 'coalesce(assessments.is_warned, false)',
            'u_edd_approved': 'coalesce(assessments.is_edd_approved, false)',
            'u_au_tmd_fit': 'assessments.is_inside_target_market',
            'u_travel_ready': 'assessments.is_travel_ready',
            'u_uk_cat': "case when assessments.person_id is null then 'none' else assessments.uk_category end",
            'u_uk_cat_at': 'assessments.uk_categorised_at',
            'u_dofp_requested_at': 'assessments.requested_at',
            'u_dofp_reconfirmed': 'coalesce(assessments.is_reconfirmed, false)',
            'u_first_time': 'direct_offers.person_id is null',
            'u_trust': 'assessments.trust',
        }.items() -%}
        {{ unless_stale(fact, seen) }} as {{ fact }},
        {% endfor -%}
        people.lifecycle_stage as u_stage,
        {{ unless_stale('u_consent_email', "coalesce(consents.consent_email, 'none')") }} as u_consent_email,
        {{ unless_stale('u_consent_sms', "coalesce(consents.consent_sms, 'none')") }} as u_consent_sms,
        {{ unless_stale('u_consent_push', "coalesce(consents.consent_push, 'none')") }} as u_consent_push,
        {{ unless_stale('u_consent_chat', "coalesce(consents.consent_chat, 'none')") }} as u_consent_chat,
        {{ unless_stale('u_consent_chat', "coalesce(consents.consent_chat in ('denied', 'withdrawn'), false)") }} as u_refuses_chat,
        {{ unless_stale('u_consent_thirdparty', "coalesce(consents.consent_thirdparty, 'none')") }} as u_consent_thirdparty,
        {{ unless_stale('u_gpc', 'coalesce(consents.is_opted_out_of_sale, false)') }} as u_gpc,
        {{ unless_stale('u_glba_optout', "coalesce(consents.glba in ('denied', 'withdrawn'), false)") }} as u_glba_optout,
        {{ unless_stale('u_soft_opt_in', "coalesce(consents.soft_opt_in = 'granted', false)") }} as u_soft_opt_in,
        {{ unless_stale('u_tcpa_pewc', "coalesce(consents.telemarketing = 'granted', false)") }} as u_tcpa_pewc,
        {{ unless_stale(
            'u_unsub_email',
            "coalesce(objections.is_unsubscribed, false) or coalesce(consents.consent_email in ('denied', 'withdrawn'), false)"
        ) }} as u_unsub_email,
        {{ unless_stale('u_contacts_24h', 'coalesce(contacts_counted.contacts_24h, 0)') }} as u_contacts_24h,
        {{ unless_stale('u_contacts_7d', 'coalesce(contacts_counted.contacts_7d, 0)') }} as u_contacts_7d,
        {{ unless_stale('u_highrisk_30d', 'coalesce(contacts_counted.high_risk_30d, 0)') }} as u_highrisk_30d,
        {{ unless_stale('u_dismiss_30d', 'coalesce(feedback.dismissals_30d, 0)') }} as u_dismiss_30d,
        {{ unless_stale('u_neg_fb_30d', 'coalesce(feedback.bad_answers_30d, 0)') }} as u_neg_fb_30d

    from people

    cross join fresh_facts

    cross join latest_runs

    left join withheld
        on people.person_id = withheld.person_id

    left join kyc
        on people.person_id = kyc.person_id

    left join regimes
        on people.person_id = regimes.person_id

    left join countries
        on people.person_id = countries.person_id

    left join screenings
        on people.person_id = screenings.person_id

    left join restrictions
        on people.person_id = restrictions.person_id

    left join objections
        on people.person_id = objections.person_id

    left join contacts_counted
        on people.person_id = contacts_counted.person_id

    left join feedback
        on people.person_id = feedback.person_id

    left join consents
        on people.person_id = consents.person_id

    left join risk_profiles
        on people.person_id = risk_profiles.person_id

    left join assessments
        on people.person_id = assessments.person_id

    left join direct_offers
        on people.person_id = direct_offers.person_id

),

-- People share few places; what depends only on the place is worked out once per place.
placed as (

    select
        *,
        md5(to_json([u_regimes, u_perm_regimes, [u_client_class], u_tzs])::varchar) as place_id

    from gathered

)

select * from placed
