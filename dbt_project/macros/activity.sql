{#- What counts as somebody, and how far along they are. Limits stand here with their why, once. -#}

{#- Who made an event, as the website knows them: the browser, else the device. -#}
{% macro actor(events) -%}
    coalesce({{ events }}.anonymous_id, {{ events }}.device_id)
{%- endmacro %}

{#-
  What makes two events with different ids one and the same: who (the account, else the browser, else the device), what, where, in which session,
  with the same content, within the same second. A list of expressions, to hash or to partition by.
-#}
{% macro event_moment(events) -%}
    coalesce({{ events }}.account_id, {{ events }}.anonymous_id, {{ events }}.device_id),
    {{ events }}.event_name,
    {{ events }}.channel,
    {{ events }}.session_id,
    {{ events }}.offer_id,
    {{ events }}.decision_id,
    {{ events }}.asset,
    {{ events }}.value_usd,
    {{ events }}.properties,
    epoch_ms({{ events }}.occurred_at) // 1000
{%- endmacro %}

{#-
  An e-mail address that only tests and staff have: by its domain, by a local part that is nothing but a word for testing (test.user3@, qa+7@),
  or by a plus tag that is one (ada+test2@). Words that are also names (demo, staging) are left out.
-#}
{% macro is_test_email(column) -%}
    coalesce(
        regexp_matches(
            lower(trim({{ column }})),
            '^(test|testing|tester|qa|e2e|loadtest|smoketest)[0-9._+-]*(user|account|customer)?[0-9._+-]*@|[+](test|qa|e2e)[0-9._-]*@'
        ),
        false
    )
    or exists (
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

{#-
  Why a row may be unused, and how strongly the reason says that the row is noise: 0 = nothing (the row may be perfectly good, it is only nobody's or
  not yet due), 1 = certain. The order is that of the evidence; `why` is where the number comes from. Certain is what the row says itself or
  what can be read off it; 0.9 is a pattern that chance makes in under one in a thousand; 0.8 is guilt by what else the actor does.
-#}
{% macro noise_reasons() -%}
    {{ return([
        ('duplicate_exact', 1.0, 'the same content was there before'),
        ('duplicate_near', 1.0, 'the same key was there before, with other content'),
        ('duplicate_semantic', 0.9, 'another key, but who, what, where and the second are those of an earlier row; a double click looks the same'),
        ('bot_declared', 1.0, 'the agent says so'),
        ('bot_headless', 0.95, 'a driven browser; a few people run them for themselves'),
        ('bot_no_browser', 0.8, 'a visit to the website by something that is no browser; rare old browsers are not in the list'),
        ('bot_rate', 0.95, 'four of five acts within two seconds, for 15 acts'),
        ('bot_regular', 0.9, 'acts at even distances or always at the same minute'),
        ('bot_no_rest', 0.8, 'awake in 20 hours of a day, on three days'),
        ('bot_actor', 0.8, 'half of what the browser does is a machine''s'),
        ('test_account', 1.0, 'marked as a test, or with an address that only tests have'),
        ('hub_account', 0.9, 'an account used on so many devices that it is nobody''s'),
        ('testnet', 1.0, 'play money'),
        ('self_transfer', 0.8, 'from a wallet to itself: nothing moved'),
        ('dead_session', 0.9, 'never more than a start, or still going after a day'),
        ('wash_trade', 0.9, 'bought and sold again at the same price, three times in a month'),
        ('unattributed', 0.0, 'whose it is, is not known'),
        ('before_backstitch', 0.0, 'a machine''s history from so long before its first log-in that it may have been somebody else''s'),
        ('unknown_offer', 0.0, 'the offer is not in the catalogue'),
        ('not_yet_happened', 0.0, 'later than the run'),
    ]) }}
{%- endmacro %}

{#-
  The strength of a row's noise evidence from 0 to 1 out of its list of reasons: each reason alone leaves a chance of (1 - its score) that the row is
  good, and the reasons together the product of those chances. Four decimals.
-#}
{% macro noise_score(reasons) -%}
    round(
        1 - coalesce(
            list_product(
                list_transform(
                    {{ reasons }},
                    lambda reason: case reason
                        {%- for reason, score, why in noise_reasons() %}
                        when '{{ reason }}' then {{ 1 - score }}::double
                        {%- endfor %}
                        else 1::double
                    end
                )
            ),
            1
        ),
        4
    )
{%- endmacro %}

{#-
  How long a value may be believed after its source last said it, or which column says until when. Values past it are counted as outdated
  (hygiene_counts), never deleted; consent, KYC, screening and assessments have their validity in policy/.
-#}
{% macro validity_periods() -%}
    {%- set ages = 'about one address in ten changes in a year, so after two years one in five is wrong' -%}
    {%- set numbers = 'numbers are given to somebody else after a rest of weeks; after two years without a word it may be anybody''s' -%}
    {{ return([
        {'source': 'exchange', 'table': 'accounts', 'attribute': 'postal_code', 'since': 'source_updated_at', 'days': 730, 'why': ages},
        {'source': 'exchange', 'table': 'accounts', 'attribute': 'phone', 'since': 'source_updated_at', 'days': 730, 'why': numbers},
        {'source': 'exchange', 'table': 'accounts', 'attribute': 'pending_country', 'since': 'source_updated_at', 'days': 90,
         'why': 'a move that was announced and has not happened in three months is off'},
        {'source': 'crm', 'table': 'contacts', 'attribute': 'postal_code', 'since': 'source_updated_at', 'days': 730, 'why': ages},
        {'source': 'crm', 'table': 'contacts', 'attribute': 'phone', 'since': 'source_updated_at', 'days': 730, 'why': numbers},
        {'source': 'crm', 'table': 'contacts', 'attribute': 'email', 'since': 'source_updated_at', 'days': 1095,
         'why': 'mailboxes live longer than addresses; providers take back those unused for two to three years'},
        {'source': 'crm', 'table': 'preferences', 'attribute': 'topic', 'since': 'recorded_at', 'days': 730,
         'why': 'interests drift; a wish not to be written to does not expire and is not counted here'},
        {'source': 'surveys', 'table': 'responses', 'attribute': 'score', 'since': 'submitted_at', 'days': 365,
         'why': 'how somebody felt a year ago says little about today'},
        {'source': 'wallets', 'table': 'wallet_links', 'attribute': 'wallet_address', 'since': 'unlinked_at', 'days': 0, 'why': 'the link was ended'},
        {'source': 'catalogue', 'table': 'offers', 'attribute': 'offer_id', 'since': 'ends_at', 'days': 0, 'why': 'the offer is over'},
        {'source': 'catalogue', 'table': 'approvals', 'attribute': 'approval_id', 'since': 'valid_to', 'days': 0, 'why': 'the approval ran out'},
    ]) }}
{%- endmacro %}
