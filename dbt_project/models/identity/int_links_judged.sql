with

pairs as (

    select * from {{ ref('int_identifier_pairs_observed') }}

),

identifiers as (

    select * from {{ ref('identifiers') }}

),

compared as (

    select * from {{ ref('int_record_pairs_compared') }}

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

browsers_overlapping as (

    select * from {{ ref('int_browsers_overlapping') }}

),

unfit as (

    select
        identifier_kind,
        identifier,
        case when is_blocked then 'blocked' else 'hub' end as reason

    from identifiers

    where is_hub
        or is_blocked

),

compared_both_ways as (

    select
        record_kind,
        record_id,
        other_record_kind,
        other_record_id,
        verdict

    from compared

    union all

    select
        other_record_kind as record_kind,
        other_record_id as record_id,
        record_kind as other_record_kind,
        record_id as other_record_id,
        verdict

    from compared

),

pairs_with_reasons as (

    select
        pairs.identifier_kind,
        pairs.identifier,
        pairs.other_kind,
        pairs.other_identifier,
        pairs.evidence_rank,
        pairs.first_known_at,
        coalesce(
            pairs.source_reason,
            least(unfit.reason, other_unfit.reason),
            case when compared.verdict like 'conflict%' then compared.verdict end,
            case when browsers_overlapping.anonymous_id is not null and evidence_classes.evidence = 'device' then 'browsers_overlap' end
        ) as reason

    from pairs

    inner join evidence_classes
        on pairs.evidence_rank = evidence_classes.evidence_rank

    left join browsers_overlapping
        on pairs.identifier_kind = 'device_id'
        and pairs.identifier = browsers_overlapping.device_id
        and pairs.other_kind = 'anonymous_id'
        and pairs.other_identifier = browsers_overlapping.anonymous_id

    left join unfit
        on pairs.identifier_kind = unfit.identifier_kind
        and pairs.identifier = unfit.identifier

    left join unfit as other_unfit
        on pairs.other_kind = other_unfit.identifier_kind
        and pairs.other_identifier = other_unfit.identifier

    -- Somebody declared that this account and this contact are one: not when their names or birth dates say otherwise.
    left join compared
        on pairs.identifier_kind = compared.record_kind
        and pairs.identifier = compared.record_id
        and pairs.other_kind = compared.other_record_kind
        and pairs.other_identifier = compared.other_record_id

),

records_by_contact_point as (

    select
        identifier_kind as record_kind,
        identifier as record_id,
        other_kind as via_kind,
        other_identifier as via,
        evidence_rank,
        first_known_at

    from pairs_with_reasons

    where reason is null
        and identifier_kind in ('account_id', 'contact_id')
        and other_kind in ('email', 'phone')

),

meetings as (

    select
        one.via_kind,
        one.via,
        one.record_kind,
        one.record_id,
        other.record_kind as other_record_kind,
        other.record_id as other_record_id,
        compared_both_ways.verdict,
        greatest(one.evidence_rank, other.evidence_rank) as evidence_rank,
        greatest(one.first_known_at, other.first_known_at) as first_known_at

    from records_by_contact_point as one

    inner join records_by_contact_point as other
        on one.via_kind = other.via_kind
        and one.via = other.via
        and (one.record_kind, one.record_id) <> (other.record_kind, other.record_id)

    inner join compared_both_ways
        on one.record_kind = compared_both_ways.record_kind
        and one.record_id = compared_both_ways.record_id
        and other.record_kind = compared_both_ways.other_record_kind
        and other.record_id = compared_both_ways.other_record_id

),

-- An address whose records disagree belongs to none of them. Two accounts that share one need something that agrees:
-- a couple with one mailbox looks the same as a person with two accounts, and merging a couple leaks consent.
disputed as (

    select
        via_kind,
        via,
        coalesce(min(verdict) filter (where verdict like 'conflict%'), 'no_agreement') as reason

    from meetings

    where verdict like 'conflict%'
        or (verdict = 'silent' and record_kind = 'account_id' and other_record_kind = 'account_id')

    group by via_kind, via

),

star_links as (

    select
        pairs_with_reasons.identifier_kind,
        pairs_with_reasons.identifier,
        pairs_with_reasons.other_kind,
        pairs_with_reasons.other_identifier,
        pairs_with_reasons.evidence_rank,
        pairs_with_reasons.first_known_at,
        coalesce(pairs_with_reasons.reason, disputed.reason) as reason

    from pairs_with_reasons

    left join disputed
        on pairs_with_reasons.other_kind = disputed.via_kind
        and pairs_with_reasons.other_identifier = disputed.via

),

-- Around a disputed address, the records that agree with each other still link, directly, when nothing that agrees with
-- the one disagrees with the other (father and son of one name, told apart by a birth date).
agreeing_links as (

    select
        meetings.record_kind as identifier_kind,
        meetings.record_id as identifier,
        meetings.other_record_kind as other_kind,
        meetings.other_record_id as other_identifier,
        min(meetings.evidence_rank) as evidence_rank,
        min(meetings.first_known_at) as first_known_at

    from meetings

    inner join disputed
        on meetings.via_kind = disputed.via_kind
        and meetings.via = disputed.via

    where meetings.verdict = 'agree'
        and (meetings.record_kind, meetings.record_id) < (meetings.other_record_kind, meetings.other_record_id)
        and not exists (
            select 1
            from meetings as third_to_one
            inner join meetings as third_to_other
                on third_to_one.via_kind = third_to_other.via_kind
                and third_to_one.via = third_to_other.via
                and third_to_one.other_record_kind = third_to_other.other_record_kind
                and third_to_one.other_record_id = third_to_other.other_record_id
            where third_to_one.via_kind = meetings.via_kind
                and third_to_one.via = meetings.via
                and third_to_one.record_kind = meetings.record_kind
                and third_to_one.record_id = meetings.record_id
                and third_to_other.record_kind = meetings.other_record_kind
                and third_to_other.record_id = meetings.other_record_id
                and (
                    (third_to_one.verdict = 'agree' and third_to_other.verdict like 'conflict%')
                    or (third_to_other.verdict = 'agree' and third_to_one.verdict like 'conflict%')
                )
        )

    group by
        meetings.record_kind,
        meetings.record_id,
        meetings.other_record_kind,
        meetings.other_record_id

),

-- A pair that does not link by what a source says may still agree: one good reason is enough.
star_links_or_agreeing as (

    select
        star_links.identifier_kind,
        star_links.identifier,
        star_links.other_kind,
        star_links.other_identifier,
        case
            when agreeing_links.identifier is null then star_links.evidence_rank
            when star_links.reason is null then least(star_links.evidence_rank, agreeing_links.evidence_rank)
            else agreeing_links.evidence_rank
        end as evidence_rank,
        case when agreeing_links.identifier is null then star_links.reason end as reason,
        case
            when agreeing_links.identifier is null then star_links.first_known_at
            when star_links.reason is null then least(star_links.first_known_at, agreeing_links.first_known_at)
            else agreeing_links.first_known_at
        end as first_known_at

    from star_links

    left join agreeing_links
        on star_links.identifier_kind = agreeing_links.identifier_kind
        and star_links.identifier = agreeing_links.identifier
        and star_links.other_kind = agreeing_links.other_kind
        and star_links.other_identifier = agreeing_links.other_identifier

),

links as (

    select * from star_links_or_agreeing

    union all

    select
        agreeing_links.identifier_kind,
        agreeing_links.identifier,
        agreeing_links.other_kind,
        agreeing_links.other_identifier,
        agreeing_links.evidence_rank,
        null as reason,
        agreeing_links.first_known_at

    from agreeing_links

    anti join star_links
        on agreeing_links.identifier_kind = star_links.identifier_kind
        and agreeing_links.identifier = star_links.identifier
        and agreeing_links.other_kind = star_links.other_kind
        and agreeing_links.other_identifier = star_links.other_identifier

)

select * from links
