with

current_rows as (

    {{ first_known(source('raw', 'exchange__trades'), key=['trade_id']) }}

),

standardised as (

    select
        current_rows.trade_id,
        current_rows.account_id,
        current_rows.product_line,
        current_rows.asset,
        {{ asset_std('current_rows.asset') }} as asset_std,
        current_rows.asset is not null and {{ asset_reason('current_rows.asset') }} is null as asset_valid,
        {{ asset_reason('current_rows.asset') }} as asset_reason,
        current_rows.side,
        current_rows.quantity,
        current_rows.amount_usd,
        current_rows.traded_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
