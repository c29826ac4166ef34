with

trades as (

    select
        *,
        hash(account_id, product_line, asset, side, quantity, amount_usd, traded_at) as content_hash
    from {{ ref('stg_exchange__trades') }}

),

-- The same in everything but the id, to the microsecond: booked again under a new id. Few contents repeat, and only those are compared.
said_again as (

    select trade_id
    from trades
    where content_hash in (select content_hash from trades group by content_hash having count(*) > 1){{ unless_duplicates_stay() }}
    qualify row_number() over (
        partition by account_id, product_line, asset, side, quantity, amount_usd, traded_at order by known_at, trade_id
    ) > 1

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

test_accounts as (

    select * from {{ ref('int_test_accounts') }}

),

-- Loops go through all accounts of a person; of nobody's, through the account.
of_people as (

    select
        trades.* exclude (content_hash),
        person_identifiers.person_id,
        person_identifiers.linked_at,
        coalesce(person_identifiers.person_id, trades.account_id) as trader,
        said_again.trade_id is not null as is_said_again

    from trades

    left join person_identifiers
        on trades.account_id = person_identifiers.identifier

    left join said_again
        on trades.trade_id = said_again.trade_id

),

-- Bought and sold again (or the other way round) within ten minutes, quantity and price the same to one in a thousand: made nothing
-- but volume. A trade booked again comes after all others (is_said_again), so that it does not stand between the two.
with_neighbours as (

    select
        of_people.*,
        coalesce(
            lag(side) over in_order <> side
            and abs(lag(quantity) over in_order - quantity) * 1000 <= quantity
            and abs(lag(amount_usd) over in_order - amount_usd) * 1000 <= amount_usd
            and traded_at - lag(traded_at) over in_order <= interval 10 minute,
            false
        ) as closes_a_loop

    from of_people

    window in_order as (partition by trader, asset, is_said_again order by traded_at, trade_id)

),

paired as (

    select
        with_neighbours.*,
        coalesce(lead(closes_a_loop) over in_order, false) as opens_a_loop,
        -- Loops of the trader in this asset from 30 days before to 30 days after.
        count(*) filter (where closes_a_loop) over (
            partition by trader, asset, is_said_again order by traded_at
            range between interval 30 day preceding and interval 30 day following
        ) as loops_around
    from with_neighbours
    window in_order as (partition by trader, asset, is_said_again order by traded_at, trade_id)

),

judged as (

    select
        paired.trade_id,
        paired.person_id,
        paired.account_id,
        paired.product_line,
        paired.asset,
        paired.side,
        paired.quantity,
        paired.amount_usd,
        paired.traded_at,
        greatest(paired.known_at, paired.linked_at) as known_at,
        paired.row_hash,
        list_filter(
            [
                case when paired.traded_at > {{ as_of() }} then 'not_yet_happened' end,
                case when paired.person_id is null then 'unattributed' end,
                case when paired.is_said_again then 'duplicate_semantic' end,
                case when test_accounts.account_id is not null then 'test_account' end,
                -- Once may be a mistake taken back, twice chance; three times is making volume.
                case when (paired.closes_a_loop or paired.opens_a_loop) and paired.loops_around >= 3 then 'wash_trade' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from paired

    left join test_accounts
        on paired.account_id = test_accounts.account_id

)

select * from judged
