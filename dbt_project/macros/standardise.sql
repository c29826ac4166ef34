{#-
    How values are made comparable. Beside each raw value `x` stand `x_std`, null or comparable; `x_valid`, whether it may be believed;
    and `x_reason`, why not. A missing value is neither valid nor wrong: x_valid is false, x_reason null.
    Where a build does not standardise (macros/cleaning.sql), what joins records is the trimmed raw value, and all of it is believed.
-#}

{% macro email_domain(column) -%}
    lower(regexp_extract(trim({{ column }}), '@([^@]+)$', 1))
{%- endmacro %}

{#-
    An address that mail could reach: one @, no blank, no dots at the ends or doubled, a domain with a top level, and not longer than
    RFC 5321 (4.5.3.1) and RFC 3696 erratum 1690 allow: 64 before the @, 254 in all. A top level in punycode has digits.
-#}
{% macro email_valid(column) -%}
    {%- if not cleaning().standardises -%}
    ({{ column }} is not null)
    {%- else -%}
    coalesce(
        regexp_full_match(
            lower(trim({{ column }})),
            '[a-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&''*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,59})'
        )
        and length(trim({{ column }})) <= 254
        and strpos(trim({{ column }}), '@') <= 65,
        false
    )
    {%- endif -%}
{%- endmacro %}

{% macro email_reason(column) -%}
    {%- if not cleaning().standardises -%}
    null::varchar
    {%- else -%}
    case
        when {{ column }} is null or {{ email_valid(column) }} then null
        when not contains({{ column }}, '@') then 'no_at_sign'
        when length({{ column }}) - length(replace({{ column }}, '@', '')) > 1 then 'several_at_signs'
        when regexp_matches(trim({{ column }}), '\s') then 'blank_inside'
        when not regexp_matches({{ email_domain(column) }}, '\.') then 'no_top_level'
        when length(trim({{ column }})) > 254 or strpos(trim({{ column }}), '@') > 65 then 'too_long'
        when regexp_matches({{ email_domain(column) }}, '^[.-]|[.-]$|\.\.|[^a-z0-9.-]|\.[^.]*[0-9][^.]*$') then 'bad_domain'
        else 'bad_local_part'
    end
    {%- endif -%}
{%- endmacro %}

{#-
    `providers` is the joined seed: only a provider known to ignore dots or plus tags has them taken out. An address that consists of
    its tag alone (+shop@…) keeps it. `valid` is email_valid where that is already known.
-#}
{% macro email_std(column, providers, valid=none) -%}
    {%- if not cleaning().standardises -%}
    trim({{ column }})
    {%- else -%}
    {%- set local -%}
        coalesce(nullif(regexp_extract(lower(trim({{ column }})), '^([^@+]+)', 1), ''), regexp_extract(lower(trim({{ column }})), '^([^@]+)', 1))
    {%- endset -%}
    case
        when not {{ valid or email_valid(column) }} then null
        when {{ providers }}.domain is null then lower(trim({{ column }}))
        else
            case
                when {{ providers }}.ignores_dots then replace({{ local }}, '.', '')
                else {{ local }}
            end || '@' || {{ providers }}.canonical_domain
    end
    {%- endif -%}
{%- endmacro %}

{#- A function or a machine rather than a human: info@, billing@, no-reply@, whatever tag follows. -#}
{% macro email_is_role(column) -%}
    coalesce(
        regexp_extract(lower(trim({{ column }})), '^([^@+]+)', 1) in (select local_part from {{ ref('email_role_local_parts') }}),
        false
    )
{%- endmacro %}

{#- `numbers` is the joined state.phone_numbers. -#}
{% macro phone_std(column, numbers) -%}
    {{ numbers ~ '.phone_std' if cleaning().standardises else 'trim(' ~ column ~ ')' }}
{%- endmacro %}

{% macro phone_valid(column, numbers) -%}
    {%- if cleaning().standardises -%} coalesce({{ numbers }}.is_valid, false) {%- else -%} ({{ column }} is not null) {%- endif -%}
{%- endmacro %}

{% macro phone_reason(column, numbers) -%}
    {%- if not cleaning().standardises -%}
    null::varchar
    {%- else -%}
    case
        when {{ column }} is null then null
        when {{ numbers }}.raw is null then 'not_asked'
        else {{ numbers }}.reason
    end
    {%- endif -%}
{%- endmacro %}

{#-
    The key of an address, whatever its checksum says: 0x…, Bech32 and CashAddr mean the same in any case and are lower case here, a Bitcoin
    Cash address without its prefix; in Base58 the case carries meaning and stays. One key serves all chains: who can sign for 0x… on
    one EVM chain can on every other. Never null for a text, so that a listed address is found however it was typed.
-#}
{% macro wallet_std(column) -%}
    {%- if not cleaning().standardises -%}
    trim({{ column }})
    {%- else -%}
    case
        when trim({{ column }}) ilike '0x%' then lower(trim({{ column }}))
        when trim({{ column }}) not in (lower(trim({{ column }})), upper(trim({{ column }}))) then trim({{ column }})
        when regexp_full_match(lower(trim({{ column }})), '(bitcoincash:)?[qpzr][02-9ac-hj-np-z]{41}')
            then replace(lower(trim({{ column }})), 'bitcoincash:', '')
        when regexp_full_match(lower(trim({{ column }})), '[a-z_]{1,20}1[02-9ac-hj-np-z]{6,}') then lower(trim({{ column }}))
        else trim({{ column }})
    end
    {%- endif -%}
{%- endmacro %}

{#-
    Which kind of address a text is (candor/standardise/addresses.py has the list), null when none is known. 0x and digits of one case
    claim no checksum and are judged here; `answers`, the joined state.wallet_addresses, has all others.
-#}
{% macro wallet_format(column, answers) -%}
    case
        when regexp_full_match(trim({{ column }}), '0[xX]([0-9a-f]{40}|[0-9A-F]{40})') then 'evm'
        when regexp_full_match(trim({{ column }}), '0[xX]([0-9a-f]{64}|[0-9A-F]{64})') then 'hex_32'
        else {{ answers }}.address_format
    end
{%- endmacro %}

{#-
    Why an address cannot belong to anybody on this chain; null when it can. `formats` are those of the chain (seed wallet_chains). On a
    chain that is not named or not in the seed (null), or whose formats are `any`, the address is judged by its own shape: a known format, or letters and digits of a plausible length.
-#}
{% macro wallet_reason(column, formats, answers) -%}
    {%- if not cleaning().standardises -%}
    null::varchar
    {%- else -%}
    {%- set format = wallet_format(column, answers) -%}
    case
        when {{ column }} is null then null
        -- Nearly all rows end here, after one comparison.
        when
            coalesce({{ formats }}, 'any') in ('any', 'evm')
            and regexp_full_match(trim({{ column }}), '0[xX]([0-9a-f]{40}|[0-9A-F]{40})')
            then null
        when {{ answers }}.reason = 'checksum' then 'checksum'
        when {{ format }} is null and regexp_full_match(trim({{ column }}), '0[xX]([0-9a-f]*|[0-9A-F]*)') then 'length'
        when {{ format }} is null and {{ answers }}.raw is null then 'not_asked'
        when {{ format }} is null and trim({{ column }}) ilike '0x%' then {{ answers }}.reason
        when coalesce({{ formats }}, 'any') = 'any'
            then
                case
                    when {{ format }} is null and not regexp_full_match(trim({{ column }}), '[0-9A-Za-z][0-9A-Za-z_:.-]{23,107}')
                        then {{ answers }}.reason
                end
        when {{ format }} is null then {{ answers }}.reason
        when not list_contains(string_split({{ formats }}, '|'), {{ format }}) then 'other_chain'
    end
    {%- endif -%}
{%- endmacro %}

{% macro wallet_valid(column, formats, answers) -%}
    ({{ column }} is not null and {{ wallet_reason(column, formats, answers) }} is null)
{%- endmacro %}

{#- The chain's one name, whatever a source calls it; an unknown chain keeps the name it came with. -#}
{% macro chain_std(column, chains) -%}
    coalesce({{ chains }}.canonical_chain, nullif(lower(trim({{ column }})), ''))
{%- endmacro %}

{#-
    Lower case, letters that strip_accents leaves alone written in ASCII, no apostrophes (O'Brien is one word), blanks for everything else;
    "Doe, Jane" turned round; titles before and ranks after the name gone where two words remain. Letters of other scripts stay.
-#}
{% macro name_spelled(column) -%}
    {%- if not cleaning().standardises -%}
    trim({{ column }})
    {%- else -%}
    {%- set turned -%} regexp_replace(lower({{ column }}), '^([^,]+),([^,]+)$', '\2 \1') {%- endset -%}
    {%- set plain -%}
        replace(replace(replace(replace(replace(replace(replace(replace(replace({{ turned }},
            'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'ø', 'o'), 'ł', 'l'), 'đ', 'd'), 'ð', 'd'), 'þ', 'th'), 'ı', 'i')
    {%- endset -%}
    {%- set words -%}
        trim(regexp_replace(regexp_replace(strip_accents({{ plain }}), '[''’ʼ`´]', '', 'g'), '[^\p{L}\p{N}]+', ' ', 'g'))
    {%- endset -%}
    nullif(
        regexp_replace(
            regexp_replace({{ words }}, '^(?:(?:mr|mrs|ms|miss|mx|dr|prof|sir|dame|herr|frau|mme|mlle|jr|sr|ii|iii|iv|phd|esq) )+([^ ]+ .+)$', '\1'),
            '^([^ ]+ .+?)(?: (?:jr|sr|ii|iii|iv|phd|md|esq))+$', '\1'
        ),
        ''
    )
    {%- endif -%}
{%- endmacro %}

{#- `spelled` is name_spelled of `column`, computed before: the placeholders are looked up in it. -#}
{% macro name_reason(column, spelled) -%}
    {%- if not cleaning().standardises -%}
    null::varchar
    {%- else -%}
    case
        when {{ column }} is null then null
        when {{ spelled }} is null or not regexp_matches({{ spelled }}, '\p{L}') then 'no_letters'
        when regexp_full_match({{ spelled }}, '[a-z]') then 'one_letter'
        when length({{ spelled }}) >= 3 and replace(replace({{ spelled }}, ' ', ''), left({{ spelled }}, 1), '') = '' then 'placeholder'
        when {{ spelled }} in (select value from {{ ref('attribute_placeholders') }} where attribute = 'name') then 'placeholder'
    end
    {%- endif -%}
{%- endmacro %}

{#-
    A date on which nobody who is alive was born. 122 years is the longest life ever documented (Jeanne Calment). A date that forms and
    exports write for want of one is unknown, even if some are really born on it.
-#}
{% macro birth_date_reason(column) -%}
    {%- if not cleaning().standardises -%}
    null::varchar
    {%- else -%}
    case
        when {{ column }} is null then null
        when {{ column }}::varchar in (select value from {{ ref('attribute_placeholders') }} where attribute = 'birth_date') then 'placeholder'
        when {{ column }} > ({{ as_of() }})::date then 'in_the_future'
        when {{ column }} < ({{ as_of() }})::date - interval 123 year then 'impossible_age'
    end
    {%- endif -%}
{%- endmacro %}

{#- The date that an age may be worked out from: none that would make somebody of age for want of a better one. A date in the future counts. -#}
{% macro birth_date_of_age(records) -%}
    case when coalesce({{ records }}.birth_date_reason, 'in_the_future') = 'in_the_future' then {{ records }}.birth_date end
{%- endmacro %}

{#- Ingest has refused what is no ISO 3166 code; a region of another country than the one beside it is left to judge here. -#}
{% macro region_reason(country, region) -%}
    case when split_part({{ region }}, '-', 1) <> {{ country }} then 'of_another_country' end
{%- endmacro %}

{#- Letters and digits only, upper case: "sw1a 1aa" is SW1A1AA. Three to ten of them, not one over and over. -#}
{% macro postal_code_std(column) -%}
    nullif(regexp_replace(upper(strip_accents({{ column }})), '[^0-9A-Z]', '', 'g'), '')
{%- endmacro %}

{% macro postal_code_reason(column) -%}
    {%- set spelled = postal_code_std(column) -%}
    case
        when {{ column }} is null then null
        when {{ spelled }} is null or length({{ spelled }}) not between 3 and 10 then 'length'
        when replace({{ spelled }}, left({{ spelled }}, 1), '') = '' then 'placeholder'
    end
{%- endmacro %}

{#- Tickers have one spelling here: upper case; XBT is what ISO 4217's rules make of bitcoin, BCC and XDG are what exchanges once wrote. -#}
{% macro asset_std(column) -%}
    case
        when {{ asset_reason(column) }} is not null then null
        when upper(trim({{ column }})) = 'XBT' then 'BTC'
        when upper(trim({{ column }})) = 'XDG' then 'DOGE'
        when upper(trim({{ column }})) = 'BCC' then 'BCH'
        else upper(trim({{ column }}))
    end
{%- endmacro %}

{#- A ticker is up to 20 letters and digits; wrapped and bridged ones have a dot or a hyphen (USDC.E). Anything else is prose or an address. -#}
{% macro asset_reason(column) -%}
    case when not regexp_full_match(upper(trim({{ column }})), '[0-9A-Z$]{1,20}([.-][0-9A-Z]{1,10})?') then 'not_a_ticker' end
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
