{#- What a person's facts can be set against without knowing the offer: the few kinds of offers there are. -#}
with

offer_facts as (

    select * from {{ ref('offer_facts') }}

),

offer_classes as (

    select
        offer_class,
        product_line,
        o_is_promotion,
        o_incentive,
        o_is_dofp,
        o_requires_transfer,
        o_au_fin_product,
        any_value(m_product) as m_product,
        any_value(m_rank) as m_rank,
        any_value(m_min_kyc) as m_min_kyc,
        any_value(m_approp) as m_approp,
        any_value(m_vol_max) as m_vol_max,
        any_value(m_profiles) as m_profiles,
        any_value(m_stages) as m_stages,
        count(distinct row(offer_id, channel)) as offer_channels

    from offer_facts

    group by offer_class, product_line, o_is_promotion, o_incentive, o_is_dofp, o_requires_transfer, o_au_fin_product

)

select * from offer_classes
