with

current_rows as (

    {{ first_known(source('raw', 'market__prices'), key=['asset', 'bar_start', 'interval']) }}

),

standardised as (

    select
        current_rows.asset,
        current_rows.bar_start,
        current_rows."interval",
        current_rows.open_usd,
        current_rows.high_usd,
        current_rows.low_usd,
        current_rows.close_usd,
        current_rows.volume_usd,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
