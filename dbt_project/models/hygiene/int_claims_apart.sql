{#- Names and birth dates are read in the vault; what leaves it are counts. -#}
{{ config(database=vault_database()) }}

with

person_identifiers as (

    select * from {{ source('identity', 'person_identifiers') }}

),

claims as (

    select
        claims.record_kind,
        claims.record_id,
        claims.name,
        claims.birth_date,
        person_identifiers.person_id

    from {{ ref('int_record_claims') }} as claims

    inner join person_identifiers
        on claims.record_kind = person_identifiers.identifier_kind
        and claims.record_id = person_identifiers.identifier

    where claims.name is not null

),

-- The contract gives a postal code to accounts and contacts; a birth date only to accounts.
postal_codes (record_kind, record_id, postal_code) as (

    select 'account_id', account_id, postal_code_std from {{ ref('stg_exchange__accounts') }}
    union all
    select 'contact_id', contact_id, postal_code_std from {{ ref('stg_crm__contacts') }}

),

groups (agreement, records, persons) as (

    select 'name and birth date', count(*), count(distinct person_id)
    from claims
    where birth_date is not null
    group by name, birth_date

    union all

    select 'name and postal code', count(*), count(distinct claims.person_id)
    from claims
    inner join postal_codes
        on claims.record_kind = postal_codes.record_kind
        and claims.record_id = postal_codes.record_id
    where postal_codes.postal_code is not null
    group by claims.name, postal_codes.postal_code

),

birth_dates as (

    select
        person_id,
        count(distinct birth_date) as birth_dates
    from claims
    group by person_id

),

wanted (indicator) as (

    values ('name and birth date'), ('name and postal code')

)

select
    wanted.indicator,
    coalesce(sum(groups.records) filter (where groups.persons > 1), 0)::bigint as records_apart,
    coalesce(sum(groups.records), 0)::bigint as records,
    null::bigint as persons
from wanted
left join groups
    on wanted.indicator = groups.agreement
group by wanted.indicator

union all

select
    'two birth dates' as indicator,
    null as records_apart,
    null as records,
    count(*) filter (where birth_dates > 1) as persons
from birth_dates
