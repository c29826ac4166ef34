{#- The same id, another human: two contents of one record that agree on nothing that stays with a person. A corrected date or a new address is
    neither. -#}
with

previous as (

    select {{ previous_as_of() }} as as_of

),

contents (source, table_name, record_id, full_name, birth_date, email, phone, row_hash, delivery_id, extracted_at, since) as (

    select
        'exchange', 'accounts', account_id, lower(trim(full_name)), birth_date, lower(trim(email)), phone, _row_hash, min(_delivery_id), min(_extracted_at),
        source_updated_at
    from {{ source('raw', 'exchange__accounts') }}
    group by all

    union all

    select
        'crm', 'contacts', contact_id, lower(trim(full_name)), null::date, lower(trim(email)), phone, _row_hash, min(_delivery_id), min(_extracted_at),
        source_updated_at
    from {{ source('raw', 'crm__contacts') }}
    group by all

),

changed as (

    select *
    from contents
    qualify count(*) over (partition by source, table_name, record_id) > 1

),

turned as (

    select
        *,
        lag(row_hash) over told as row_hash_before,
        lag(full_name) over told as full_name_before,
        lag(birth_date) over told as birth_date_before,
        lag(email) over told as email_before,
        lag(phone) over told as phone_before

    from changed

    window told as (partition by source, table_name, record_id order by since, extracted_at, row_hash)

),

judged as (

    select
        *,
        coalesce(birth_date <> birth_date_before, false) as is_other_birth_date,
        coalesce(
            not is_same_name(
                full_name, split_part(full_name, ' ', 1), split_part(full_name, ' ', -1),
                full_name_before, split_part(full_name_before, ' ', 1), split_part(full_name_before, ' ', -1)
            ),
            false
        ) as is_other_name,
        coalesce(email <> email_before, false) as is_other_email,
        coalesce(phone <> phone_before, false) as is_other_phone

    from turned

    where row_hash_before is not null

)

select
    judged.source,
    judged.table_name,
    judged.record_id,
    replace(judged.row_hash::varchar, '-', '') as row_hash,
    replace(judged.row_hash_before::varchar, '-', '') as row_hash_before,
    judged.delivery_id,
    judged.extracted_at > previous.as_of as is_new
from judged
cross join previous
where (judged.is_other_name and (judged.is_other_birth_date or (judged.is_other_email and judged.is_other_phone)))
    or (judged.is_other_birth_date and judged.is_other_email and judged.is_other_phone)
order by judged.source, judged.table_name, judged.record_id, judged.row_hash
