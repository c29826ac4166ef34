{#- How identifiers are made comparable. Raw values always stay beside. -#}

{% macro email_domain(column) -%}
    lower(regexp_extract(trim({{ column }}), '@([^@]+)$', 1))
{%- endmacro %}

{#- An address that mail could reach: one @, no blank, no dots at the ends or doubled, a domain with a top level of letters. -#}
{% macro email_valid(column) -%}
    coalesce(
        regexp_full_match(
            lower(trim({{ column }})),
            '[a-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&''*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,63}'
        ),
        false
    )
{%- endmacro %}

{#- `providers` is the joined seed: only a provider known to ignore dots or plus tags has them taken out. -#}
{% macro email_std(column, providers) -%}
    case
        when not {{ email_valid(column) }} then null
        when {{ providers }}.domain is null then lower(trim({{ column }}))
        else
            case
                when {{ providers }}.ignores_dots
                    then replace(regexp_extract(lower(trim({{ column }})), '^([^@+]+)', 1), '.', '')
                else regexp_extract(lower(trim({{ column }})), '^([^@+]+)', 1)
            end || '@' || {{ providers }}.canonical_domain
    end
{%- endmacro %}

{% macro wallet_std(column) -%}
    case when trim({{ column }}) ilike '0x%' then lower(trim({{ column }})) else trim({{ column }}) end
{%- endmacro %}

{#- 0x and 40 hex digits; else letters and digits of a plausible length. Checksums are not looked at. -#}
{% macro wallet_valid(column) -%}
    coalesce(
        case
            when trim({{ column }}) ilike '0x%' then regexp_full_match(lower(trim({{ column }})), '0x[0-9a-f]{40}')
            else regexp_full_match(trim({{ column }}), '[0-9A-Za-z]{24,100}')
        end,
        false
    )
{%- endmacro %}

{% macro name_std(column) -%}
    nullif(trim(regexp_replace(strip_accents(lower({{ column }})), '[^\p{L}\p{N}]+', ' ', 'g')), '')
{%- endmacro %}

{#- Play money. Nothing that happens there says anything about anybody. -#}
{% macro is_testnet(column) -%}
    coalesce(
        lower({{ column }}) in ('sepolia', 'holesky', 'hoodi', 'goerli', 'amoy', 'mumbai', 'base-sepolia', 'arbitrum-sepolia')
        or lower({{ column }}) like '%testnet%'
        or lower({{ column }}) like '%devnet%',
        false
    )
{%- endmacro %}
