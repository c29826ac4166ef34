with

trades as (

    select * from {{ ref('stg_exchange__trades') }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

test_accounts as (

    select * from {{ ref('int_test_accounts') }}

),

-- Bought and sold again (or the other way round) within ten minutes, quantity and price the same to one in a thousand: made nothing
-- but volume.
with_neighbours as (

    select
        trades.*,
        coalesce(
            lag(side) over in_order <> side
            and abs(lag(quantity) over in_order - quantity) * 1000 <= quantity
            and abs(lag(amount_usd) over in_order - amount_usd) * 1000 <= amount_usd
            and traded_at - lag(traded_at) over in_order <= interval 10 minute,
            false
        ) as closes_a_loop

    from trades

    window in_order as (partition by account_id, asset order by traded_at, trade_id)

),

paired as (

    select
        with_neighbours.*,
        coalesce(lead(closes_a_loop) over in_order, false) as opens_a_loop,
        -- Loops of the account in this asset from 30 days before to 30 days after.
        count(*) filter (where closes_a_loop) over (
            partition by account_id, asset order by traded_at
            range between interval 30 day preceding and interval 30 day following
        ) as loops_around
    from with_neighbours
    window in_order as (partition by account_id, asset order by traded_at, trade_id)

),

judged as (

    select
        paired.trade_id,
        person_identifiers.person_id,
        paired.account_id,
        paired.product_line,
        paired.asset,
        paired.side,
        paired.quantity,
        paired.amount_usd,
        paired.traded_at,
        paired.known_at,
        paired.row_hash,
        list_filter(
            [
                case when paired.traded_at > {{ as_of() }} then 'not_yet_happened' end,
                case when person_identifiers.person_id is null then 'unattributed' end,
                case when test_accounts.account_id is not null then 'test_account' end,
                -- Once may be a mistake taken back, twice chance; three times is making volume.
                case when (paired.closes_a_loop or paired.opens_a_loop) and paired.loops_around >= 3 then 'wash_trade' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from paired

    left join person_identifiers
        on paired.account_id = person_identifiers.identifier

    left join test_accounts
        on paired.account_id = test_accounts.account_id

)

select * from judged
