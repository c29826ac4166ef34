{{ config(database=vault_database()) }}

with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

wallet_links as (

    select * from {{ ref('stg_wallets__wallet_links') }}
    where unlinked_at is null or unlinked_at > {{ as_of() }}

),

claimed_wallets as (

    select distinct
        person_identifiers.person_id,
        wallet_links.wallet_std,
        wallet_links.chain_std,
        wallet_links.chain_family

    from wallet_links

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'account_id'
        and wallet_links.account_id = person_identifiers.identifier

    union

    select distinct
        person_identifiers.person_id,
        wallet_links.wallet_std,
        wallet_links.chain_std,
        wallet_links.chain_family

    from wallet_links

    inner join person_identifiers
        on person_identifiers.identifier_kind = 'device_id'
        and wallet_links.device_id = person_identifiers.identifier

)

select * from claimed_wallets
