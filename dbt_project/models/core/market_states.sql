with

prices as (

    select * from {{ ref('stg_market__prices') }}

),

basket as (

    select
        asset,
        weight,
        "interval",
        case "interval" when '1h' then 24 else 1 end as bars_a_day,
        case "interval" when '1h' then interval 1 hour else interval 1 day end as bar_length

    from {{ source('policy', 'market_basket') }}

),

limits as (

    select
        max(value) filter (where name = 'market_elevated_quantile') as elevated_quantile,
        max(value) filter (where name = 'market_stressed_quantile') as stressed_quantile,
        max(value) filter (where name = 'market_elevated_drawdown') as elevated_drawdown,
        max(value) filter (where name = 'market_stressed_drawdown') as stressed_drawdown,
        max(value) filter (where name = 'market_history_days') as history_days,
        to_days(max(value) filter (where name = 'market_drawdown_days')::integer) as drawdown_days,
        to_hours(max(value) filter (where name = 'market_hold_hours')::bigint) as hold_hours

    from {{ source('policy', 'limits') }}

),

-- A bar that lies outside its own range, or is not over at the run's instant, says nothing.
bars as (

    select
        prices.asset,
        basket.weight,
        basket.bars_a_day,
        prices.bar_start,
        prices.bar_start + basket.bar_length as bar_end,
        prices.open_usd::double as opened,
        prices.high_usd::double as high,
        prices.low_usd::double as low,
        prices.close_usd::double as closed

    from prices

    inner join basket
        on prices.asset = basket.asset
        and prices."interval" = basket."interval"

    where prices.bar_start + basket.bar_length <= {{ as_of() }}
        and prices.low_usd > 0
        and prices.low_usd <= least(prices.open_usd, prices.close_usd)
        and prices.high_usd >= greatest(prices.open_usd, prices.close_usd)

),

-- Parkinson (1980): what the range of a bar says of its variance; and the jump from the bar before. Estimators that take the drift away
-- (Rogers and Satchell, and nearly so Garman and Klass) see nothing in a bar that falls straight from its high to its low.
variances as (

    select
        asset,
        weight,
        bars_a_day,
        bar_end,
        high,
        closed,
        ln(high / low) ^ 2 / (4 * ln(2)) as variance,
        case
            when lag(bar_end) over (partition by asset order by bar_end) = bar_start
                then ln(opened / lag(closed) over (partition by asset order by bar_end)) ^ 2
            else 0
        end as jump

    from bars

),

windows as (

    select
        asset,
        weight,
        bars_a_day,
        bar_end,
        sum(variance + jump) over last_day as variance_24h,
        count(*) over last_day as bars_24h,
        sum(variance + jump) over last_week as variance_7d,
        count(*) over last_week as bars_7d,
        1 - closed / max(high) over lately as drawdown

    from variances

    cross join limits

    window
        last_day as (partition by asset order by bar_end range between interval '23 hours' preceding and current row),
        last_week as (partition by asset order by bar_end range between interval '167 hours' preceding and current row),
        lately as (partition by asset order by bar_end range between drawdown_days preceding and current row)

),

-- Rounded, so that the order in which numbers were added decides nothing. The weighted mean of volatilities is what the basket would have if its assets moved together: never less than it has. Of an hour without
-- all assets, or with fewer than four fifths of the bars of one of them, nothing is known.
hours as (

    select
        bar_end,
        max(bars_a_day) as bars_a_day,
        round(sum(weight * sqrt(variance_24h * 365)) / sum(weight), 10) as volatility_24h,
        round(sum(weight * sqrt(variance_7d * 365 / 7)) / sum(weight), 10) as volatility_7d,
        round(sum(weight * drawdown) / sum(weight), 10) as drawdown

    from windows

    group by bar_end

    having count(*) = (select count(*) from basket)
        and min(bars_24h / bars_a_day) >= 0.8
        and min(bars_7d / bars_a_day) >= 5.6

),

-- The share of the year before in which volatility was lower.
years as (

    select
        *,
        (rank(order by volatility_24h) over year_before - 1) / count(*) over year_before as share_24h,
        (rank(order by volatility_7d) over year_before - 1) / count(*) over year_before as share_7d,
        count(*) over year_before as bars_known

    from hours

    window year_before as (order by bar_end range between interval '365 days' preceding and current row)

),

seen as (

    select
        years.*,
        limits.hold_hours,
        case
            when years.share_24h >= limits.stressed_quantile
                or years.share_7d >= limits.stressed_quantile
                or years.drawdown >= limits.stressed_drawdown
                then 2
            when years.share_24h >= limits.elevated_quantile
                or years.share_7d >= limits.elevated_quantile
                or years.drawdown >= limits.elevated_drawdown
                then 1
            else 0
        end as seen_rank

    from years

    cross join limits

    where years.bars_known >= limits.history_days * years.bars_a_day

),

-- Worse is believed at once, better only after it has held.
market_states as (

    select
        bar_end,
        volatility_24h,
        volatility_7d,
        drawdown,
        share_24h,
        share_7d,
        seen_rank,
        (max(seen_rank) over (order by bar_end range between hold_hours preceding and current row))::integer as vol_rank

    from seen

)

select * from market_states
