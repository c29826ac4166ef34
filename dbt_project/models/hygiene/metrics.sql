{#- Everything that has a trend, in one form. What is remembered of a run (state.hygiene_history) are these rows. -#}
with

links as (

    select
        null as reason,
        count(*) as links
    from {{ ref('edges') }}

    union all

    select
        reason,
        count(*) as links
    from {{ ref('dropped_edges') }}
    group by reason

),

reasons (reason) as (

    values ('hub'), ('blocked'), ('conflict_birth_date'), ('conflict_name'), ('no_agreement'), ('component_conflict'), ('kyc_conflict'), ('bridges_people')

),

-- Who had an identifier before and has another owner now, merges apart: two persons made one move everything and change nobody.
owners_before as (

    select
        identifier_kind,
        identifier,
        max_by(person_id, batch_seq) as person_id

    from {{ source('state', 'key_map') }}

    where batch_seq < {{ batch_seq() }}

    group by identifier_kind, identifier

),

moved as (

    select
        now.identifier_kind,
        count(*) as identifiers,
        count(*) filter (
            where before.person_id <> now.person_id
                and not exists (
                    select 1 from {{ source('identity', 'person_aliases') }} as aliases
                    where aliases.person_id = before.person_id and aliases.surviving_person_id = now.person_id
                )
        ) as moved

    from {{ source('identity', 'person_identifiers') }} as now

    inner join owners_before as before
        on now.identifier_kind = before.identifier_kind
        and now.identifier = before.identifier

    group by now.identifier_kind

),

kinds as (

    select identifier_kind from {{ ref('identifier_kinds') }}

),

test_records as (

    select
        source,
        table_name,
        unnest(case when is_new then ['all', 'new'] else ['all'] end) as seen,
        is_test
    from {{ ref('int_test_records') }}

),

metrics (metric, source, table_name, key, value, n) as (

    select 'completeness', source, table_name, column_name, share_valid, rows from {{ ref('completeness') }}
    union all
    select 'hours_since_arrival', source, table_name, '', hours_since_delivery, 1 from {{ ref('freshness') }}
    union all
    select 'hours_since_event', source, table_name, '', hours_since_event, 1 from {{ ref('freshness') }} where last_event_at is not null
    union all
    select 'orphans', source, table_name, column_name, share_orphans, rows from {{ ref('orphans') }}
    union all
    select measure, '', '', level, share_of_people, of_people from {{ ref('silo_counts') }}
    union all
    select 'reachable', '', '', channel || ' address', share_with_address, people from {{ ref('reachability') }}
    union all
    select 'reachable', '', '', channel || ' consent', share_with_consent, people from {{ ref('reachability') }}
    union all
    select 'join_key_carried', source, table_name, key || ', ' || seen, share_carrying, records from {{ ref('join_keys') }}
    union all
    select 'join_key_joined', source, table_name, key || ', ' || seen, share_joined, records from {{ ref('join_keys') }}
    union all
    select 'test_accounts', source, table_name, seen, count(*) filter (where is_test) / count(*), count(*)
    from test_records
    group by source, table_name, seen
    union all
    select
        'links_dropped', '', '', reasons.reason,
        coalesce(any_value(links.links), 0) / nullif((select sum(links) from links), 0), (select sum(links) from links)
    from reasons
    left join links
        on reasons.reason = links.reason
    group by reasons.reason
    union all
    select 'hubs', '', '', kinds.identifier_kind, count(*) filter (where identifiers.is_hub), count(identifiers.identifier)
    from kinds
    left join {{ ref('identifiers') }} as identifiers
        on kinds.identifier_kind = identifiers.identifier_kind
    group by kinds.identifier_kind
    union all
    select 'moved', '', '', kinds.identifier_kind, moved.moved / moved.identifiers, coalesce(moved.identifiers, 0)
    from kinds
    left join moved
        on kinds.identifier_kind = moved.identifier_kind
    union all
    select
        'recycled', records.source, records.table_name, 'new',
        (
            select count(distinct record_id) from {{ ref('recycled_records') }} as recycled
            where recycled.source = records.source and recycled.table_name = records.table_name and recycled.is_new
        ) / count(*),
        count(*)
    from {{ ref('int_test_records') }} as records
    group by records.source, records.table_name
    union all
    select side, '', '', indicator, value, n from {{ ref('merging') }}
    union all
    select 'component_sizes', '', '', size, share_of_persons, (select sum(persons) from {{ ref('component_sizes') }}) from {{ ref('component_sizes') }}
    union all
    select 'bridges', '', '', evidence, share_of_persons, (select sum(persons) from {{ ref('bridges') }}) from {{ ref('bridges') }}

)

select
    metric,
    source,
    table_name,
    key,
    round(value::double, 9) as value,
    n::bigint as n
from metrics
order by metric, source, table_name, key
