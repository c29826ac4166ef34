with

current_rows as (

    {{ first_known(source('vault_raw', 'compliance__screening_runs'), key=['screening_run_id']) }}

),

standardised as (

    select
        current_rows.screening_run_id,
        current_rows.scope,
        current_rows.list_version,
        current_rows.list_parse_complete,
        current_rows.screened_at,
        current_rows.duplicates,
        current_rows.row_hash,
        current_rows.known_at

    from current_rows

)

select * from standardised
