with

periods (source, table_name, attribute, counted_from, days, why) as (

    values
    {%- for period in validity_periods() %}
        (
            '{{ period.source }}', '{{ period.table }}', '{{ period.attribute }}', '{{ period.since }}', {{ period.days }},
            '{{ period.why | replace("'", "''") }}'
        ){{ "," if not loop.last }}
    {%- endfor %}

)

select * from periods
