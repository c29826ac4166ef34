{{ config(database=vault_database()) }}

with

assessments as (

    select * from {{ ref('stg_compliance__assessments') }}
    where taken_at <= {{ as_of() }}

),

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

evidence_classes as (

    select * from {{ ref('evidence_classes') }}

),

-- An appropriateness test without an expiry of its own lasts as long as the policy's limit says.
assessments_valid as (

    select *
    from assessments
    where coalesce(
        expires_at,
        case
            when kind = 'appropriateness' then taken_at + to_days({{ limit_value('approp_validity_days') }}::integer)
            else timestamp 'infinity'
        end
    ) > {{ as_of() }}

),

latest as (

    select
        person_identifiers.person_id,
        assessments_valid.account_id,
        assessments_valid.kind,
        case when assessments_valid.kind = 'appropriateness' then assessments_valid.product_line end as product_line,
        coalesce(bool_or(evidence_classes.is_weak), false) as is_weak,
        arg_max(assessments_valid.result, (assessments_valid.taken_at, assessments_valid.assessment_id)) as result,
        max(assessments_valid.taken_at) as taken_at

    from assessments_valid

    inner join person_identifiers
        on assessments_valid.account_id = person_identifiers.identifier

    left join evidence_classes
        on person_identifiers.evidence_rank = evidence_classes.evidence_rank

    group by
        person_identifiers.person_id,
        assessments_valid.account_id,
        assessments_valid.kind,
        case when assessments_valid.kind = 'appropriateness' then assessments_valid.product_line end

)

select * from latest
