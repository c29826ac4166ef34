with

pairs as (

    select * from {{ ref('int_identifier_pairs_observed') }}

),

identifiers as (

    select * from {{ ref('identifiers') }}

),

record_claims as (

    select * from {{ ref('int_record_claims') }}

),

unfit as (

    select
        identifier_kind,
        identifier

    from identifiers

    where is_hub
        or is_blocked

),

-- Records (accounts and contacts) by the e-mail address or phone number they carry. Hubs are gone, so each meets a handful.
records_by_contact_point as (

    select
        pairs.other_kind as via_kind,
        pairs.other_identifier as via,
        pairs.identifier_kind as record_kind,
        pairs.identifier as record_id

    from pairs

    anti join unfit
        on pairs.identifier_kind = unfit.identifier_kind
        and pairs.identifier = unfit.identifier

    anti join unfit as other_unfit
        on pairs.other_kind = other_unfit.identifier_kind
        and pairs.other_identifier = other_unfit.identifier

    where pairs.source_reason is null
        and pairs.identifier_kind in ('account_id', 'contact_id')
        and pairs.other_kind in ('email', 'phone')

),

record_pairs as (

    select distinct
        one.record_kind,
        one.record_id,
        other.record_kind as other_record_kind,
        other.record_id as other_record_id

    from records_by_contact_point as one

    inner join records_by_contact_point as other
        on one.via_kind = other.via_kind
        and one.via = other.via
        and (one.record_kind, one.record_id) < (other.record_kind, other.record_id)

    union

    select
        pairs.identifier_kind,
        pairs.identifier,
        pairs.other_kind,
        pairs.other_identifier

    from pairs

    where pairs.identifier_kind = 'account_id'
        and pairs.other_kind = 'contact_id'

),

likenesses as (

    select
        record_pairs.*,
        one.birth_date = other.birth_date as is_same_birth_date,
        is_same_name(one.name, one.first_name, one.last_name, other.name, other.first_name, other.last_name) as is_same_name

    from record_pairs

    left join record_claims as one
        on record_pairs.record_kind = one.record_kind
        and record_pairs.record_id = one.record_id

    left join record_claims as other
        on record_pairs.other_record_kind = other.record_kind
        and record_pairs.other_record_id = other.record_id

),

-- Unknown agrees with nothing and disagrees with nothing.
verdicts as (

    select
        record_kind,
        record_id,
        other_record_kind,
        other_record_id,
        case
            when not is_same_birth_date then 'conflict_birth_date'
            when not is_same_name then 'conflict_name'
            when is_same_birth_date or is_same_name then 'agree'
            else 'silent'
        end as verdict

    from likenesses

)

select * from verdicts
