with

current_rows as (

    {{ newest_content(source('raw', 'catalogue__creatives'), key=['creative_id']) }}

),

standardised as (

    select
        current_rows.creative_id,
        current_rows.offer_id,
        current_rows.offer_version,
        current_rows.channel,
        current_rows.locale,
        current_rows.title,
        current_rows.body,
        current_rows.disclosures,
        current_rows.pressure_flags,
        current_rows.why_template,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
