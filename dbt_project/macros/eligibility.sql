{#- What the eligibility models share: the compiled rules, and the few expressions that facts have in common.
    `candor policy evaluate` renders the expressions from this file (candor/policy/expressions.py), so that both derive facts by one text. -#}

{#- The SELECTs of all rules of one grain, compiled by candor.policy from the policy pinned to the run. They read eval_<grain>. -#}
{% macro compiled_rules(grain) -%}
    {%- set compiled = var('compiled_rules', none) -%}
    {%- if compiled is none -%}
        {%- if execute -%}
            {{ exceptions.raise_compiler_error("variable compiled_rules is not given; build this layer through `candor`, which compiles the run's policy") }}
        {%- endif -%}
        select null as code
    {%- else -%}
        {{ compiled[grain] }}
    {%- endif -%}
{%- endmacro %}

{#- What each rule of one grain needs to know of a person: [{rule_no, rule_id, v, facts, reads_tests, is_liftable}] (candor.policy.compiling). -#}
{% macro rule_facts(grain) -%}
    {%- set known = var('rule_facts', none) -%}
    {%- if known is none and execute -%}
        {{ exceptions.raise_compiler_error("variable rule_facts is not given; build this layer through `candor`, which reads the run's policy") }}
    {%- endif -%}
    {{ return(known[grain] if known is not none else []) }}
{%- endmacro %}

{#- `size` zeros with a one at `place`, counted from 0. bit_or over rows has the places of all of them. -#}
{% macro one_bit(place, size) -%}
    set_bit(repeat('0', {{ size }}::integer)::bit, {{ place }}::integer, 1)
{%- endmacro %}

{#- The place of each class of offers in bits of classes, and how many there are. -#}
{% macro numbered_classes() -%}
    select
        offer_class,
        (row_number() over (order by offer_class) - 1)::integer as place,
        count(*) over () as size

    from {{ ref('offer_classes') }}
{%- endmacro %}

{#- The place of each product line on offer in bits of lines, and how many there are. -#}
{% macro numbered_lines() -%}
    select
        product_line,
        (row_number() over (order by product_line) - 1)::integer as place,
        count(*) over () as size

    from (select distinct product_line from {{ ref('offer_classes') }}) as product_lines
{%- endmacro %}

{#- The place of each channel and kind of message in bits of channels, and how many there are. -#}
{% macro numbered_channels() -%}
    select
        channels.rule_channel,
        kinds.o_is_promotion,
        (row_number() over (order by channels.rule_channel, kinds.o_is_promotion) - 1)::integer as place,
        count(*) over () as size

    from (select distinct rule_channel from {{ source('policy', 'channels') }}) as channels

    cross join (select distinct o_is_promotion from {{ ref('offer_classes') }}) as kinds
{%- endmacro %}

{#- Wall-clock time in `zone` at the UTC instant `instant`. Unambiguous in this direction, also when clocks change. -#}
{% macro local_time(zone, instant) -%}
    timezone({{ zone }}, timezone('UTC', {{ instant }}))
{%- endmacro %}

{#- The UTC instant at which clocks in `zone` first show `local`. In an overlap the engine gives the second, so an hour and half an hour
    earlier are tried; in a gap it moves forward. -#}
{% macro first_instant(zone, local) -%}
    case
        when {{ local_time(zone, "timezone('UTC', timezone(" ~ zone ~ ", " ~ local ~ ")) - interval 60 minute") }} = {{ local }}
            then timezone('UTC', timezone({{ zone }}, {{ local }})) - interval 60 minute
        when {{ local_time(zone, "timezone('UTC', timezone(" ~ zone ~ ", " ~ local ~ ")) - interval 30 minute") }} = {{ local }}
            then timezone('UTC', timezone({{ zone }}, {{ local }})) - interval 30 minute
        else timezone('UTC', timezone({{ zone }}, {{ local }}))
    end
{%- endmacro %}

{#- Wall-clock text ("2026-11-30 24:00" or ISO) as a local timestamp. `cast` is how: a case's text may be tried first. -#}
{% macro wall_clock(text, cast='cast') -%}
    case
        when {{ text }} like '% 24:00%'
            then {{ cast }}(left({{ text }}, 10) || ' 00:00:00' as timestamp) + interval 1 day
        else {{ cast }}(replace({{ text }}, 'T', ' ') as timestamp)
    end
{%- endmacro %}

{#- Minutes since local midnight. -#}
{% macro minute_of_day(local) -%}
    extract(hour from {{ local }}) * 60 + extract(minute from {{ local }})
{%- endmacro %}

{#- Whether a row of policy.quiet_hours forbids that minute of its weekday: [opens, closes), the margin already taken off. -#}
{% macro is_quiet(local_minute, quiet_hours) -%}
    not ({{ local_minute }} >= {{ quiet_hours }}.opens_minute and {{ local_minute }} < {{ quiet_hours }}.closes_minute)
{%- endmacro %}

{#- Whether every regime that must permit lets one mail until somebody unsubscribes; unknown while the regimes are. -#}
{% macro is_email_opt_out(perm_regimes, optout_regimes) -%}
    len({{ perm_regimes }}) > 0
    and len(list_filter(
        {{ perm_regimes }},
        lambda name: not list_contains({{ optout_regimes }}, split_part(name, '-', 1))
    )) = 0
{%- endmacro %}

{#- d_channel_ok: what consent the channel needs, and whether it is there. -#}
{% macro channel_ok(channel, is_email_opt_out, facts, consent_thirdparty='cast(null as varchar)') -%}
    case
        when {{ channel }} in ('inapp', 'chatbot', 'public_ad') then true
        when {{ channel }} = 'email'
            then case
                when {{ is_email_opt_out }} is null then null
                when {{ is_email_opt_out }} then not {{ facts }}.u_unsub_email
                else not {{ facts }}.u_unsub_email
                    and (
                        {{ facts }}.u_consent_email = 'granted'
                        or ({{ facts }}.u_soft_opt_in and {{ facts }}.u_consent_email = 'none')
                    )
            end
        when {{ channel }} = 'sms' then {{ facts }}.u_consent_sms = 'granted'
        when {{ channel }} = 'push' then {{ facts }}.u_consent_push = 'granted'
        when {{ channel }} = 'third_party_ad' then {{ consent_thirdparty }} = 'granted'
    end
{%- endmacro %}

{#- d_perm_missing: how many regimes that must permit do not; unknown while the regimes, the client class or the product are. -#}
{% macro permissions_missing(perm_regimes, client_class, product, granted) -%}
    case
        when {{ perm_regimes }} is null or {{ client_class }} is null or {{ product }} is null then null
        else len(list_filter(
            {{ perm_regimes }},
            lambda name: not list_contains(coalesce({{ granted }}, []), name)
        ))
    end
{%- endmacro %}

{#- Full years between two dates by month and day: somebody born on 29 February turns a year older on 1 March. -#}
{% macro full_years(born, today) -%}
    (
        extract(year from {{ today }}) - extract(year from {{ born }})
        - case when strftime({{ today }}, '%m%d') < strftime({{ born }}, '%m%d') then 1 else 0 end
    )::integer
{%- endmacro %}

{#- "US-NY" when the map has it, else "US" when the map has that; the caller joins both. -#}
{% macro region_market(country, region) -%}
    {{ country }} || '-' || nullif(split_part({{ region }}, '-', 2), '')
{%- endmacro %}

{#- A number from policy.limits. -#}
{% macro limit_value(name) -%}
    (select value from {{ source('policy', 'limits') }} where name = '{{ name }}')
{%- endmacro %}

{#- Whether some account that is surely the person's has an assessment of that kind, and all accounts that have one say `yes`. -#}
{% macro all_say(kind, yes) -%}
    coalesce(
        bool_and(result = '{{ yes }}') filter (where kind = '{{ kind }}')
        and bool_or(not is_weak) filter (where kind = '{{ kind }}'),
        false
    )
{%- endmacro %}

{#- `seen` unless the fact is stale, then null: older than its max age, or never known whole. Over the one row of the CTE fresh_facts, which
    has a column per fact: a lookup by name in every row of people costs more than all else together. -#}
{% macro unless_stale(fact, expression) -%}
    case when fresh_facts.{{ fact }} then {{ expression }} end
{%- endmacro %}

{#- One row per valid phone number of a person's accounts and contacts: person_id, evidence_rank, country. Over the CTEs account_phones,
    contact_phones and person_identifiers of the model. -#}
{% macro person_phones() -%}
    select
        person_identifiers.person_id,
        person_identifiers.evidence_rank,
        account_phones.phone_country as country

    from account_phones

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and account_phones.account_id = person_identifiers.identifier

    union all

    select
        person_identifiers.person_id,
        person_identifiers.evidence_rank,
        contact_phones.phone_country as country

    from contact_phones

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'contact_id'
        and contact_phones.contact_id = person_identifiers.identifier
{%- endmacro %}

{#- How old what a fact rests on may be now, where each of its rows has an age of its own. -#}
{% macro max_age(fact) -%}
    to_hours((select max(max_age_hours) from {{ ref('fact_ages') }} where fact = '{{ fact }}')::integer)
{%- endmacro %}

{#- Whether markets are stressed, or nobody can say how they are. A shop that looks at no market knows no stress. -#}
{% macro is_stressed() -%}
    (
        exists (select 1 from {{ source('policy', 'market_basket') }})
        and coalesce((select max(c_vol_rank) from {{ ref('market_state') }}), 2) = 2
    )
{%- endmacro %}
{#- What reviewers lifted. A hit that a release names stays on record as RELEASED: nothing that looks for BLOCK or HOLD sees it.
    A release names the rule, its version, the hash of the facts that the hold rests on, and each creative by version and hash. -#}

{#- Hits of people: all releases of the person, whichever creatives they name; pair_hits holds again what they do not name. -#}
{% macro released_of_people(hits) -%}
    select
        {{ hits }}.* replace (
            case when {{ hits }}.effect = 'HOLD' and releases.rule_id is not null then 'RELEASED' else {{ hits }}.effect end as effect
        )

    from {{ hits }}

    left join (
        select distinct person_id, rule_id, v, fact_hash
        from {{ source('vault_review', 'releases') }}
        where person_id is not null
    ) as releases
        on {{ hits }}.person_id = releases.person_id
        and {{ hits }}.rule_id = releases.rule_id
        and {{ hits }}.v = releases.v
        and md5({{ hits }}.facts) = releases.fact_hash
{%- endmacro %}

{#- Hits of creatives: only a release of this very content of the creative and version of the offer. -#}
{% macro released_of_creatives(hits) -%}
    select
        {{ hits }}.* replace (
            case when {{ hits }}.effect = 'HOLD' and releases.rule_id is not null then 'RELEASED' else {{ hits }}.effect end as effect
        )

    from {{ hits }}

    left join (
        select distinct named.rule_id, named.v, named.fact_hash, named.creative_id
        from {{ source('vault_review', 'releases') }} as named
        inner join {{ ref('offer_facts') }} as offer_facts
            on named.creative_id = offer_facts.creative_id
            and named.offer_version = offer_facts.offer_version
            and named.creative_hash = offer_facts.creative_hash
        where named.person_id is null
    ) as releases
        on {{ hits }}.creative_id = releases.creative_id
        and {{ hits }}.rule_id = releases.rule_id
        and {{ hits }}.v = releases.v
        and md5({{ hits }}.facts) = releases.fact_hash
{%- endmacro %}

{#- What reviewers said must not be shown, of `candidates`: that version of the offer, to that person or segment, or with those words to anybody. -#}
{% macro upheld_by_reviewers(candidates) -%}
    select distinct
        {{ candidates }}.person_id,
        {{ candidates }}.offer_id,
        {{ candidates }}.channel

    from {{ candidates }}

    inner join {{ ref('offer_facts') }} as offer_facts
        on {{ candidates }}.creative_id = offer_facts.creative_id

    inner join {{ ref('person_segments') }} as segments
        on {{ candidates }}.person_id = segments.person_id

    inner join {{ source('vault_review', 'refusals') }} as refusals
        on offer_facts.offer_id = refusals.offer_id
        and offer_facts.offer_version = refusals.offer_version
        and coalesce(refusals.person_id = segments.person_id, refusals.person_id is null)
        and coalesce(refusals.segment = segments.segment, refusals.segment is null)
        and (
            refusals.creative_id is null
            or (refusals.creative_id = offer_facts.creative_id and refusals.creative_hash = offer_facts.creative_hash)
        )
{%- endmacro %}
