with

reasons (reason, score, why) as (

    values
    {%- for reason, score, why in noise_reasons() %}
        ('{{ reason }}', {{ score }}::double, '{{ why | replace("'", "''") }}'){{ "," if not loop.last }}
    {%- endfor %}

)

select * from reasons
