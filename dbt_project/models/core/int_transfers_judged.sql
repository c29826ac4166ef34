with

transfers as (

    select
        *,
        hash(tx_hash) as tx_hash_hash
    from {{ ref('stg_wallets__transfers') }}

),

wallets as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'wallet'

),

-- A transaction can move several things, so its hash alone repeats with reason. The same thing between the same wallets under one hash is one
-- transfer, however the addresses are written and whatever chain or feed it is said of.
said_again as (

    select
        tx_hash,
        chain,
        from_address,
        to_address,
        asset
    from transfers
    where tx_hash_hash in (select tx_hash_hash from transfers group by tx_hash_hash having count(*) > 1){{ unless_duplicates_stay() }}
    qualify row_number() over (
        partition by lower(tx_hash), from_wallet_std, to_wallet_std, asset, amount
        order by known_at, chain, from_address, to_address, row_hash
    ) > 1

),

judged as (

    select
        transfers.tx_hash,
        transfers.chain,
        transfers.from_wallet_std as from_wallet,
        transfers.to_wallet_std as to_wallet,
        senders.person_id as from_person_id,
        receivers.person_id as to_person_id,
        transfers.asset,
        transfers.amount,
        transfers.occurred_at,
        transfers.known_at,
        transfers.row_hash,
        list_filter(
            [
                case when transfers.occurred_at > {{ as_of() }} then 'not_yet_happened' end,
                case when coalesce(senders.person_id, receivers.person_id) is null then 'unattributed' end,
                case when said_again.tx_hash is not null then 'duplicate_semantic' end,
                case when transfers.is_testnet then 'testnet' end,
                case when transfers.from_wallet_std = transfers.to_wallet_std then 'self_transfer' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from transfers

    left join said_again
        on transfers.tx_hash = said_again.tx_hash
        and transfers.chain = said_again.chain
        and transfers.from_address = said_again.from_address
        and transfers.to_address = said_again.to_address
        and transfers.asset = said_again.asset

    left join wallets as senders
        on transfers.from_wallet_std = senders.identifier

    left join wallets as receivers
        on transfers.to_wallet_std = receivers.identifier

)

select * from judged
