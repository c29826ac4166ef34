{#- What the hygiene models share. -#}

{#- The instant of the last earlier run that this one may know of; the beginning of time for a first run. What is known later is new. -#}
{% macro previous_as_of() -%}
    (
        select coalesce(max(as_of), timestamp '1900-01-01') from {{ source('state', 'batches') }}
        where as_of < {{ as_of() }} and batch_seq < {{ batch_seq() }}
    )
{%- endmacro %}

{#- The judgement of `metrics` (metric, source, table_name, key, value, n) against the last 28 runs before this one, by `limits`.

    usual = median of those runs; spread = 1.4826 x the median absolute deviation from it, which is the standard deviation where values are
    normal and does not move for one odd run (Hampel's identifier). A value is low or high when it is further from usual than the largest of
    4 spreads, 4 standard errors of a share of n rows, and the smallest change worth a look. 4: some 200 metrics are judged a day, and a
    normal one is outside 4 spreads once in 16,000. The run under test and later ones are not among the runs it is held against. -#}
{% macro judged_by_trend(metrics, limits) -%}
    earlier_runs as (

        select
            batch_seq,
            row_number() over (order by as_of desc) as runs_ago

        from {{ source('state', 'batches') }}

        where as_of < {{ as_of() }}
            and batch_seq < {{ batch_seq() }}

        qualify runs_ago <= 28

    ),

    history as (

        select
            hygiene_history.metric,
            hygiene_history.source,
            hygiene_history.table_name,
            hygiene_history.key,
            hygiene_history.value,
            earlier_runs.runs_ago

        from {{ source('state', 'hygiene_history') }} as hygiene_history

        inner join earlier_runs
            on hygiene_history.batch_seq = earlier_runs.batch_seq

        where hygiene_history.value is not null

    ),

    centres as (

        select
            metric,
            source,
            table_name,
            key,
            count(*) as runs,
            median(value) as usual,
            1.4826 * mad(value) as spread,
            list(value order by runs_ago desc) as earlier_values

        from history

        group by metric, source, table_name, key

    ),

    against as (

        select
            metrics.metric,
            metrics.source,
            metrics.table_name,
            metrics.key,
            metrics.value,
            metrics.n,
            coalesce(centres.runs, 0) as runs,
            round(centres.usual, 9) as usual,
            round(greatest(
                4 * centres.spread,
                limits.smallest_change,
                limits.smallest_ratio * abs(centres.usual),
                case
                    when limits.is_share
                        then 4 * sqrt(greatest(centres.usual * (1 - centres.usual), 0) / greatest(metrics.n, 1))
                    else 0
                end
            ), 9) as tolerance,
            limits.min_n,
            limits.bad_side,
            centres.earlier_values

        from {{ metrics }} as metrics

        left join centres
            on metrics.metric = centres.metric
            and metrics.source = centres.source
            and metrics.table_name = centres.table_name
            and metrics.key = centres.key

        inner join {{ limits }} as limits
            on metrics.metric = limits.metric

    ),

    judged_by_trend as (

        select
            metric,
            source,
            table_name,
            key,
            value,
            n,
            runs,
            usual,
            tolerance,
            case
                when value is null or n < min_n then 'too few rows to tell'
                when runs < 5 then 'too few runs to tell'
                when value < usual - tolerance then 'low'
                when value > usual + tolerance then 'high'
                else 'usual'
            end as verdict,
            bad_side,
            coalesce(verdict = bad_side or (bad_side = 'both' and verdict in ('low', 'high')), false) as is_bad,
            earlier_values

        from against

    )
{%- endmacro %}
