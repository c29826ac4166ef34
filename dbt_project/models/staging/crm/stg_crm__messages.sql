with

current_rows as (

    {{ newest_content(
        source('raw', 'crm__messages'), key=['message_id'],
        ties=['unsubscribed_at nulls last', 'complained_at nulls last', 'clicked_at nulls last', 'opened_at nulls last']
    ) }}

),

standardised as (

    select
        current_rows.message_id,
        current_rows.contact_id,
        current_rows.channel,
        current_rows.is_promotion,
        current_rows.risk_class,
        current_rows.decision_id,
        current_rows.offer_id,
        current_rows.sent_at,
        current_rows.opened_at,
        current_rows.clicked_at,
        current_rows.unsubscribed_at,
        current_rows.complained_at,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
