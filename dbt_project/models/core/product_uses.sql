with

trades as (

    select * from {{ ref('trades') }}

),

ledger_entries as (

    select * from {{ ref('ledger_entries') }}

),

outcome_kinds as (

    select * from {{ source('policy', 'outcome_kinds') }}

),

traded as (

    select
        trades.person_id,
        trades.product_line,
        'trade' as kind,
        trades.trade_id as use_id,
        trades.traded_at as occurred_at,
        trades.known_at

    from trades

    inner join outcome_kinds
        on trades.product_line = outcome_kinds.product_line
        and outcome_kinds.kind = 'trade'

),

-- An entry that names no line is a use of every line that its kind counts for.
booked as (

    select
        ledger_entries.person_id,
        outcome_kinds.product_line,
        ledger_entries.kind,
        ledger_entries.entry_id as use_id,
        ledger_entries.occurred_at,
        ledger_entries.known_at

    from ledger_entries

    inner join outcome_kinds
        on ledger_entries.kind = outcome_kinds.kind
        and coalesce(ledger_entries.product_line, outcome_kinds.product_line) = outcome_kinds.product_line

),

uses as (

    select * from traded
    union all
    select * from booked

)

select * from uses
