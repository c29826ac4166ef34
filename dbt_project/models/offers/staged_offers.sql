with

ledger as (

    select * from {{ ref('ledger') }}

),

creatives as (

    select * from {{ ref('stg_catalogue__creatives') }}

),

explanations as (

    select * from {{ source('decisions', 'explanations') }}

),

offers_staged as (

    -- A missing creative stops the build at the not-null constraints.
    select
        ledger.decision_id,
        ledger.run_id,
        ledger.person_id,
        ledger.channel,
        ledger.market,
        ledger.segment,
        ledger.slot,
        ledger.rank,
        ledger.offer_id,
        ledger.offer_version,
        ledger.creative_id,
        ledger.locale,
        creatives.title,
        creatives.body,
        coalesce(explanations.reason_text, creatives.why_template) as reason_text,
        to_json(creatives.disclosures)::varchar as disclosures,
        ledger.arm,
        {{ as_of() }} as valid_from,
        ledger.valid_until,
        ledger.send_after,
        ledger.send_before,
        ledger.model_version,
        ledger.policy_version

    from ledger

    left join creatives
        on ledger.creative_id = creatives.creative_id

    left join explanations
        on ledger.decision_id = explanations.decision_id

    where ledger.is_chosen
        and ledger.arm = 'treated'

)

select * from offers_staged
