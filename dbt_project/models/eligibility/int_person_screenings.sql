{{ config(database=vault_database()) }}

with

screening_runs as (

    select * from {{ ref('stg_compliance__screening_runs') }}
    where screened_at <= {{ as_of() }}

),

screening_hits as (

    select * from {{ ref('stg_compliance__screening_hits') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

accounts as (

    select * from {{ ref('stg_exchange__accounts') }}

),

wallet_links as (

    select * from {{ ref('stg_wallets__wallet_links') }}

),

person_wallets as (

    select * from {{ ref('person_wallets') }}

),

latest_runs as (

    select *
    from screening_runs
    qualify row_number() over (partition by scope order by screened_at desc, screening_run_id desc) = 1

),

accounts_of_people as (

    select
        person_identifiers.person_id,
        accounts.account_id,
        accounts.created_at

    from accounts

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and accounts.account_id = person_identifiers.identifier

),

account_hits as (

    select
        screening_hits.account_id,
        max(case screening_hits.outcome when 'confirmed' then 2 when 'potential' then 1 else 0 end) as severity

    from screening_hits

    inner join latest_runs
        on screening_hits.screening_run_id = latest_runs.screening_run_id
        and latest_runs.scope = 'accounts'

    group by screening_hits.account_id

),

-- Unknown when the run was not there yet, or was before one of the accounts.
people_screened as (

    select
        accounts_of_people.person_id,
        case
            when bool_and(accounts_of_people.created_at <= latest_runs.screened_at) then max(coalesce(account_hits.severity, 0))
        end as severity

    from accounts_of_people

    inner join latest_runs
        on latest_runs.scope = 'accounts'

    left join account_hits
        on accounts_of_people.account_id = account_hits.account_id

    group by accounts_of_people.person_id

),

-- Wallets that identity made somebody's, and those that somebody claims: a link that proves nothing (a typing error in the address, a
-- wallet that too many claim) still says whose money it may be.
wallets_of_people as (

    select
        person_id,
        identifier as wallet_std

    from person_identifiers

    where identifier_kind = 'wallet'

    union

    select
        person_id,
        wallet_std

    from person_wallets

),

chains_of_wallets as (

    select distinct
        wallet_std,
        chain_std,
        chain_family

    from wallet_links

),

-- 0x addresses are one address on every EVM chain; elsewhere the chain must be the one the wallet was linked on, unless one of the two
-- is missing or is a name that nobody here knows.
wallet_hits as (

    select
        screening_hits.wallet_std,
        bool_or(screening_hits.outcome = 'confirmed') as is_confirmed,
        bool_or(screening_hits.outcome = 'potential') as is_potential

    from screening_hits

    inner join latest_runs
        on screening_hits.screening_run_id = latest_runs.screening_run_id
        and latest_runs.scope = 'wallets'

    left join chains_of_wallets
        on screening_hits.wallet_std = chains_of_wallets.wallet_std
        and (screening_hits.chain_std = chains_of_wallets.chain_std or chains_of_wallets.chain_family is null)

    where starts_with(screening_hits.wallet_std, '0x')
        or screening_hits.chain_family is null
        or chains_of_wallets.wallet_std is not null

    group by screening_hits.wallet_std

),

people_by_wallet as (

    select
        wallets_of_people.person_id,
        bool_or(wallet_hits.is_confirmed) as is_wallet_confirmed,
        bool_or(wallet_hits.is_potential) as is_wallet_potential

    from wallet_hits

    inner join wallets_of_people
        on wallet_hits.wallet_std = wallets_of_people.wallet_std

    group by wallets_of_people.person_id

),

screenings as (

    select
        coalesce(people_screened.person_id, people_by_wallet.person_id) as person_id,
        people_screened.severity,
        coalesce(people_by_wallet.is_wallet_confirmed, false) as is_wallet_confirmed,
        coalesce(people_by_wallet.is_wallet_potential, false) as is_wallet_potential

    from people_screened

    full outer join people_by_wallet
        on people_screened.person_id = people_by_wallet.person_id

),

statuses as (

    select
        person_id,
        case
            when severity is null then null
            when severity = 2 then 'confirmed'
            when severity = 1 or is_wallet_potential then 'potential'
            else 'clear'
        end as sanctions_status,
        is_wallet_confirmed as is_wallet_sanctioned

    from screenings

)

select * from statuses
