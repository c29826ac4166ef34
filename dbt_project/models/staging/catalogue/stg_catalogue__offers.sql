with

current_rows as (

    {{ newest_content(source('raw', 'catalogue__offers'), key=['offer_id', 'version'], updated_at='source_updated_at') }}

),

standardised as (

    select
        current_rows.offer_id,
        current_rows.version,
        current_rows.product_line,
        current_rows.is_promotion,
        current_rows.is_direct_offer,
        current_rows.incentive,
        current_rows.asset,
        current_rows.asset_kind,
        current_rows.pays_interest,
        current_rows.interest_payer,
        current_rows.leverage,
        current_rows.is_credit,
        current_rows.requires_transfer,
        current_rows.is_personal_recommendation,
        current_rows.is_significant,
        current_rows.has_personal_price,
        current_rows.is_gambling_style,
        current_rows.is_third_party_share,
        current_rows.is_au_financial_product,
        current_rows.uses_features,
        current_rows.unit_value_usd,
        current_rows.cost_usd,
        current_rows.brand_values,
        current_rows.target_market,
        current_rows.negative_target_market,
        current_rows.min_evidence,
        current_rows.total_cap,
        current_rows.outcome_window_days,
        current_rows.starts_at,
        current_rows.ends_at,
        current_rows.ends_local,
        current_rows.source_updated_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
