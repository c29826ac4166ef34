with

ledger_entries as (

    select
        *,
        hash(account_id, kind, product_line, asset, amount_usd, occurred_at) as content_hash
    from {{ ref('stg_exchange__ledger_entries') }}

),

-- The same in everything but the id, to the microsecond: booked again under a new id. Few contents repeat, and only those are compared.
said_again as (

    select entry_id
    from ledger_entries
    where content_hash in (select content_hash from ledger_entries group by content_hash having count(*) > 1){{ unless_duplicates_stay() }}
    qualify row_number() over (
        partition by account_id, kind, product_line, asset, amount_usd, occurred_at order by known_at, entry_id
    ) > 1

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

test_accounts as (

    select * from {{ ref('int_test_accounts') }}

),

judged as (

    select
        ledger_entries.entry_id,
        person_identifiers.person_id,
        ledger_entries.account_id,
        ledger_entries.kind,
        ledger_entries.product_line,
        ledger_entries.asset,
        ledger_entries.amount_usd,
        ledger_entries.occurred_at,
        greatest(ledger_entries.known_at, person_identifiers.linked_at) as known_at,
        ledger_entries.row_hash,
        list_filter(
            [
                case when ledger_entries.occurred_at > {{ as_of() }} then 'not_yet_happened' end,
                case when person_identifiers.person_id is null then 'unattributed' end,
                case when said_again.entry_id is not null then 'duplicate_semantic' end,
                case when test_accounts.account_id is not null then 'test_account' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from ledger_entries

    left join person_identifiers
        on ledger_entries.account_id = person_identifiers.identifier

    left join said_again
        on ledger_entries.entry_id = said_again.entry_id

    left join test_accounts
        on ledger_entries.account_id = test_accounts.account_id

)

select * from judged
