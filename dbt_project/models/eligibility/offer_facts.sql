with

offers as (

    select *
    from {{ ref('stg_catalogue__offers') }}
    qualify row_number() over (partition by offer_id order by version desc) = 1

),

creatives as (

    select * from {{ ref('stg_catalogue__creatives') }}

),

approvals as (

    select * from {{ ref('stg_catalogue__approvals') }}
    where valid_from <= {{ as_of() }}
        and valid_to > {{ as_of() }}

),

channels as (

    select * from {{ source('policy', 'channels') }}

),

matrix as (

    select * from {{ source('policy', 'matrix') }}

),

withheld as (

    select
        offer_id,
        bool_or(state = 'late') as is_late,
        bool_or(state = 'missing') as is_missing

    from {{ ref('offers_withheld') }}

    group by offer_id

),

found as (

    select
        creative_id,
        list(distinct becomes order by becomes) filter (where becomes is not null) as pressure_flags,
        bool_or(becomes is null) as is_unfit

    from {{ source('policy', 'creative_findings') }}

    where creative_id is not null

    group by creative_id

),

found_of_offers as (

    select distinct
        offer_id,
        offer_version

    from {{ source('policy', 'creative_findings') }}

    where creative_id is null

),

sensitive as (

    select list(feature) as features from {{ source('policy', 'sensitive_features') }}

),

-- An approval without a creative is for all creatives of the version.
creative_approvals as (

    select
        creatives.creative_id,
        max(approvals.valid_to) filter (where approvals.kind = 'compliance') as compliance_valid_to,
        max(approvals.valid_to) filter (where approvals.kind = 'brand') as brand_valid_to,
        bool_or(approvals.kind = 'white_paper' and coalesce(approvals.regime, 'EEA') = 'EEA') as has_white_paper,
        bool_or(approvals.kind = 'emt_issuer' and coalesce(approvals.regime, 'EEA') = 'EEA') as has_emt_issuer,
        bool_or(approvals.kind = 'us_venue' and coalesce(approvals.regime, 'US') = 'US') as has_us_venue,
        bool_or(approvals.kind = 'us_counsel' and coalesce(approvals.regime, 'US') = 'US') as has_us_counsel,
        bool_or(approvals.kind = 'suitability') as has_suitability,
        bool_or(approvals.kind = 'human_review') as has_human_review,
        bool_or(approvals.kind = 'fair_lending' and coalesce(approvals.regime, 'US') = 'US') as has_fair_lending,
        bool_or(approvals.kind = 'glba_exempt' and coalesce(approvals.regime, 'US') in ('US', 'US-NY')) as is_glba_exempt,
        list(distinct split_part(approvals.evidence, ':', 1)) filter (
            where approvals.kind = 'uk_route' and coalesce(approvals.regime, 'GB') = 'GB'
        ) as uk_routes

    from creatives

    inner join approvals
        on creatives.offer_id = approvals.offer_id
        and creatives.offer_version = approvals.offer_version
        and (approvals.creative_id is null or approvals.creative_id = creatives.creative_id)

    group by creatives.creative_id

),

offer_facts as (

    select
        creatives.creative_id,
        offers.offer_id,
        offers.version as offer_version,
        offers.product_line,
        creatives.channel,
        channels.rule_channel as c_channel,
        coalesce(channels.has_window, false) as has_window,
        creatives.locale,
        coalesce(offers.is_promotion, true) as o_is_promotion,
        offers.incentive as o_incentive,
        offers.starts_at as o_starts_at,
        offers.ends_at,
        offers.ends_local,
        list_sort(list_distinct(list_concat(coalesce(creatives.pressure_flags, []), coalesce(found.pressure_flags, [])))) as o_pressure,
        creatives.disclosures as o_disclosures,
        coalesce(trim(creatives.why_template), '') <> '' as o_why,
        creative_approvals.compliance_valid_to is not null
        and creative_approvals.brand_valid_to is not null
        and not coalesce(found.is_unfit, false)
        and found_of_offers.offer_id is null as o_creative_approved,
        case
            when creative_approvals.compliance_valid_to is not null and creative_approvals.brand_valid_to is not null
                then least(creative_approvals.compliance_valid_to, creative_approvals.brand_valid_to)
        end as o_creative_expires,
        not coalesce(withheld.is_late, false) as o_silos_in_time,
        not coalesce(withheld.is_missing, false) as o_silos_delivered,
        offers.is_direct_offer as o_is_dofp,
        offers.asset_kind as o_asset_kind,
        offers.pays_interest as o_pays_interest,
        coalesce(offers.interest_payer, 'none') as o_interest_payer,
        offers.leverage::double as o_leverage,
        offers.is_credit as o_credit,
        offers.requires_transfer as o_requires_transfer,
        offers.is_personal_recommendation as o_personal_rec,
        offers.is_significant as o_significant,
        offers.has_personal_price as o_personal_price,
        offers.is_gambling_style as o_gambling_style,
        offers.is_third_party_share as o_third_party_share,
        offers.is_au_financial_product as o_au_fin_product,
        offers.uses_features as o_features,
        list_has_any(offers.uses_features, coalesce(sensitive.features, [])) as d_sensitive_feature,
        coalesce(creative_approvals.has_white_paper, false) as o_wp_published,
        coalesce(creative_approvals.has_emt_issuer, false) as o_emt_authorised,
        coalesce(creative_approvals.has_us_venue, false) as o_us_venue_ok,
        coalesce(creative_approvals.has_us_counsel, false) as o_us_counsel_ok,
        coalesce(creative_approvals.has_suitability, false) as o_suitability_done,
        coalesce(creative_approvals.has_human_review, false) as o_human_review,
        coalesce(creative_approvals.has_human_review, false) as o_reviewed,
        md5(
            concat_ws(
                '|',
                creatives.channel,
                creatives.locale,
                coalesce(creatives.title, ''),
                coalesce(creatives.body, ''),
                array_to_string(coalesce(creatives.disclosures, []), ','),
                coalesce(creatives.why_template, '')
            )
        ) as creative_hash,
        not coalesce(creative_approvals.has_fair_lending, false) as o_prohibited_basis,
        coalesce(creative_approvals.is_glba_exempt, false) as o_glba_exempt,
        case len(coalesce(creative_approvals.uk_routes, []))
            when 0 then 'none'
            when 1 then creative_approvals.uk_routes[1]
        end as o_uk_route,
        matrix.product_line as m_product,
        matrix.rank as m_rank,
        matrix.min_kyc as m_min_kyc,
        matrix.approp as m_approp,
        matrix.vol_max as m_vol_max,
        matrix.profiles as m_profiles,
        matrix.stages as m_stages,
        concat_ws(
            ':',
            offers.product_line,
            coalesce(offers.is_promotion, true),
            offers.incentive,
            coalesce(offers.is_direct_offer::varchar, '?'),
            coalesce(offers.requires_transfer::varchar, '?'),
            coalesce(offers.is_au_financial_product::varchar, '?')
        ) as offer_class

    from offers

    inner join creatives
        on offers.offer_id = creatives.offer_id
        and offers.version = creatives.offer_version

    cross join sensitive

    left join creative_approvals
        on creatives.creative_id = creative_approvals.creative_id

    left join found
        on creatives.creative_id = found.creative_id

    left join found_of_offers
        on offers.offer_id = found_of_offers.offer_id
        and offers.version = found_of_offers.offer_version

    left join channels
        on creatives.channel = channels.channel

    left join matrix
        on offers.product_line = matrix.product_line

    left join withheld
        on offers.offer_id = withheld.offer_id

)

select * from offer_facts
