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

-- Bought and sold again (or the other way round) within a minute, the quantity the same to one in a thousand.
with_neighbours as (

    select
        trades.*,
        coalesce(
            lag(side) over in_order <> side
            and abs(lag(quantity) over in_order - quantity) * 1000 <= quantity
            and traded_at - lag(traded_at) over in_order <= interval 60 second,
            false
        ) as closes_a_loop,
        coalesce(
            lead(side) over in_order <> side
            and abs(lead(quantity) over in_order - quantity) * 1000 <= lead(quantity) over in_order
            and lead(traded_at) over in_order - traded_at <= interval 60 second,
            false
        ) as opens_a_loop

    from trades

    window in_order as (partition by account_id, asset order by traded_at, trade_id)

),

days_with_loops as (

    select
        account_id,
        asset,
        traded_at::date as traded_on
    from with_neighbours
    where closes_a_loop
    group by all
    -- Once may be a mistake taken back; three times in a day is making volume.
    having count(*) >= 3

),

judged as (

    select
        with_neighbours.trade_id,
        person_identifiers.person_id,
        with_neighbours.account_id,
        with_neighbours.product_line,
        with_neighbours.asset,
        with_neighbours.side,
        with_neighbours.quantity,
        with_neighbours.amount_usd,
        with_neighbours.traded_at,
        with_neighbours.known_at,
        with_neighbours.row_hash,
        list_filter(
            [
                case when with_neighbours.traded_at > {{ as_of() }} then 'not_yet_happened' end,
                case when person_identifiers.person_id is null then 'unattributed' end,
                case when test_accounts.account_id is not null then 'test_account' end,
                case
                    when days_with_loops.account_id is not null
                        and (with_neighbours.closes_a_loop or with_neighbours.opens_a_loop) then 'wash_trade'
                end
            ],
            lambda reason: reason is not null
        ) as reasons

    from with_neighbours

    left join person_identifiers
        on with_neighbours.account_id = person_identifiers.identifier

    left join test_accounts
        on with_neighbours.account_id = test_accounts.account_id

    left join days_with_loops
        on with_neighbours.account_id = days_with_loops.account_id
        and with_neighbours.asset = days_with_loops.asset
        and with_neighbours.traded_at::date = days_with_loops.traded_on

)

select * from judged
