with

ledger_entries as (

    select * from {{ ref('stg_exchange__ledger_entries') }}

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
        ledger_entries.known_at,
        ledger_entries.row_hash,
        list_filter(
            [
                case when ledger_entries.occurred_at > {{ as_of() }} then 'not_yet_happened' end,
                case when person_identifiers.person_id is null then 'unattributed' end,
                case when test_accounts.account_id is not null then 'test_account' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from ledger_entries

    left join person_identifiers
        on ledger_entries.account_id = person_identifiers.identifier

    left join test_accounts
        on ledger_entries.account_id = test_accounts.account_id

)

select * from judged
