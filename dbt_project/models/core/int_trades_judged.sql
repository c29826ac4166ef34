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
        ) as closes_on_neighbour,
        traded_at - lag(traded_at) over in_order <= interval 10 minute
        or lead(traded_at) over in_order - traded_at <= interval 10 minute as has_neighbour,
        sum(case side when 'buy' then quantity else -quantity end) over in_order as holding_after

    from of_people

    window in_order as (partition by trader, asset, is_said_again order by traded_at, trade_id)

),

-- Bought, bought, sold, sold: what is held goes up by two steps and comes down the same steps, so each sale meets the purchase of its step.
-- Only trades with another within ten minutes can be part of that.
steps as (

    select
        trade_id,
        trader,
        asset,
        is_said_again,
        side,
        amount_usd,
        traded_at,
        least(holding_after, holding_after - case side when 'buy' then quantity else -quantity end) as step_from,
        greatest(holding_after, holding_after - case side when 'buy' then quantity else -quantity end) as step_to

    from with_neighbours

    where has_neighbour

),

steps_closed as (

    select
        trade_id,
        coalesce(
            lag(side) over on_step <> side
            and abs(lag(amount_usd) over on_step - amount_usd) * 1000 <= amount_usd
            and traded_at - lag(traded_at) over on_step <= interval 10 minute,
            false
        ) as closes_on_step,
        coalesce(
            lead(side) over on_step <> side
            and abs(lead(amount_usd) over on_step - amount_usd) * 1000 <= lead(amount_usd) over on_step
            and lead(traded_at) over on_step - traded_at <= interval 10 minute,
            false
        ) as opens_on_step
    from steps
    window on_step as (partition by trader, asset, is_said_again, step_from, step_to order by traded_at, trade_id)

),

looped as (

    select
        with_neighbours.*,
        with_neighbours.closes_on_neighbour or coalesce(steps_closed.closes_on_step, false) as closes_a_loop,
        coalesce(steps_closed.opens_on_step, false) as opens_on_step

    from with_neighbours

    left join (select * from steps_closed where closes_on_step or opens_on_step) as steps_closed
        on with_neighbours.trade_id = steps_closed.trade_id

),

paired as (

    select
        looped.*,
        opens_on_step or coalesce(lead(closes_on_neighbour) over in_order, false) as opens_a_loop,
        -- Loops of the trader in this asset from 30 days before to 30 days after.
        count(*) filter (where closes_a_loop) over (
            partition by trader, asset, is_said_again order by traded_at
            range between interval 30 day preceding and interval 30 day following
        ) as loops_around
    from looped
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
