with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

person_accounts as (

    select * from {{ ref('person_accounts') }}

),

person_contacts as (

    select * from {{ ref('person_contacts') }}

),

trades as (

    select * from {{ ref('trades') }}

),

ledger_entries as (

    select * from {{ ref('ledger_entries') }}

),

events as (

    select * from {{ ref('events') }}

),

markets as (

    select residence as market from {{ source('policy', 'regime_map') }}

),

people as (

    select
        person_id,
        bool_or(identifier_kind = 'wallet') as has_wallet
    from person_identifiers
    group by person_id

),

-- Of several accounts the open one that its source wrote last speaks; the others still count wherever a rule asks for all of them.
account_facts as (

    select
        person_id,
        count(*) as account_count,
        max_by(
            {country_code: country_code, region_code: region_code},
            (closed_at is null or closed_at > {{ as_of() }}, source_updated_at, account_id)
        ) filter (where country_code is not null) as residence,
        max_by(time_zone, (closed_at is null or closed_at > {{ as_of() }}, source_updated_at, account_id))
            filter (where time_zone is not null) as time_zone,
        max_by(language, (closed_at is null or closed_at > {{ as_of() }}, source_updated_at, account_id))
            filter (where language is not null) as language,
        min(created_at) as first_created_at,
        bool_or(is_test) as is_test,
        bool_or(has_email) as has_email,
        bool_or(has_phone) as has_phone
    from person_accounts
    group by person_id

),

-- Where somebody lives and how they can be reached permits something, so no weak link says it.
contact_facts as (

    select
        person_id,
        count(*) as contact_count,
        max_by({country_code: country_code, region_code: region_code}, (source_updated_at, contact_id))
            filter (where country_code is not null and is_weak is not true) as residence,
        max_by(language, (source_updated_at, contact_id)) filter (where language is not null) as language,
        min(created_at) as first_created_at,
        bool_or(is_test) as is_test,
        bool_or(has_email and is_weak is not true) as has_email,
        bool_or(has_phone and is_weak is not true) as has_phone
    from person_contacts
    group by person_id

),

trade_facts as (

    select
        person_id,
        count(*) as trades,
        count(distinct date_trunc('month', traded_at)) as trade_months,
        min(traded_at) as first_traded_at,
        max(traded_at) as last_traded_at
    from trades
    group by person_id

),

ledger_facts as (

    select
        person_id,
        min(occurred_at) filter (where {{ needs_money('kind') }}) as first_booked_money_at,
        max(occurred_at) as last_booked_at
    from ledger_entries
    group by person_id

),

event_facts as (

    select
        person_id,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at
    from events
    group by person_id

),

gathered as (

    select
        people.person_id,
        coalesce(account_facts.account_count, 0) as account_count,
        coalesce(contact_facts.contact_count, 0) as contact_count,
        list_filter(
            [
                case when contact_facts.person_id is not null then 'crm' end,
                case when event_facts.person_id is not null then 'events' end,
                case when account_facts.person_id is not null then 'exchange' end,
                case when people.has_wallet then 'wallets' end
            ],
            lambda name: name is not null
        ) as sources_present,
        coalesce(account_facts.residence, contact_facts.residence) as residence,
        account_facts.time_zone,
        coalesce(account_facts.language, contact_facts.language) as language,
        least(account_facts.first_created_at, contact_facts.first_created_at, event_facts.first_event_at) as first_seen_at,
        coalesce(account_facts.is_test, false) or coalesce(contact_facts.is_test, false) as is_test,
        coalesce(account_facts.has_email, false) or coalesce(contact_facts.has_email, false) as has_email,
        coalesce(account_facts.has_phone, false) or coalesce(contact_facts.has_phone, false) as has_phone,
        least(ledger_facts.first_booked_money_at, trade_facts.first_traded_at) as first_funded_at,
        trade_facts.trades,
        trade_facts.trade_months,
        greatest(event_facts.last_event_at, trade_facts.last_traded_at, ledger_facts.last_booked_at) as last_active_at

    from people

    left join account_facts
        on people.person_id = account_facts.person_id

    left join contact_facts
        on people.person_id = contact_facts.person_id

    left join trade_facts
        on people.person_id = trade_facts.person_id

    left join ledger_facts
        on people.person_id = ledger_facts.person_id

    left join event_facts
        on people.person_id = event_facts.person_id

),

staged as (

    select
        gathered.person_id,
        gathered.account_count,
        gathered.contact_count,
        gathered.sources_present,
        coalesce(regions.market, countries.market) as market,
        gathered.residence.country_code as country_code,
        gathered.residence.region_code as region_code,
        gathered.time_zone,
        gathered.language,
        gathered.first_seen_at,
        gathered.is_test,
        gathered.has_email,
        gathered.has_phone,
        gathered.first_funded_at,
        gathered.last_active_at,
        {{ lifecycle_stage(
            at=as_of(),
            first_funded_at='gathered.first_funded_at',
            trades='gathered.trades',
            trade_months='gathered.trade_months',
            last_active_at='gathered.last_active_at',
        ) }} as lifecycle_stage

    from gathered

    left join markets as regions
        on gathered.residence.region_code = regions.market
        and gathered.residence.region_code like gathered.residence.country_code || '-%'

    left join markets as countries
        on gathered.residence.country_code = countries.market

)

select * from staged
