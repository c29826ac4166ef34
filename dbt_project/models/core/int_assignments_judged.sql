{#- Past decisions are read only once something was published; before, only assignments from before Candor exist. -#}
{%- set decisions = source('state', 'decisions') -%}
{%- set published = has_relation(decisions) -%}
with

past_assignments as (

    select * from {{ ref('stg_catalogue__past_assignments') }}

),

accounts as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'account_id'

),

contacts as (

    select * from {{ source('identity', 'person_identifiers') }}
    where identifier_kind = 'contact_id'

),

test_people as (

    select * from {{ ref('int_test_people') }}

),

offers as (

    select * from {{ ref('stg_catalogue__offers') }}

),

offer_lines as (

    select
        offer_id,
        max_by(product_line, version) as product_line
    from offers
    group by offer_id

),

past as (

    select
        past_assignments.assignment_id,
        case
            when past_assignments.account_id is not null then accounts.person_id
            else contacts.person_id
        end as person_id,
        case
            when past_assignments.account_id is not null then accounts.linked_at
            else contacts.linked_at
        end as linked_at,
        past_assignments.offer_id,
        past_assignments.offer_version,
        past_assignments.channel,
        past_assignments.arm,
        past_assignments.propensity::double as propensity,
        past_assignments.assigned_at,
        past_assignments.known_at,
        'past' as source,
        past_assignments.row_hash

    from past_assignments

    left join accounts
        on past_assignments.account_id = accounts.identifier

    left join contacts
        on past_assignments.contact_id = contacts.identifier

),

decided as (

    {% if published -%}
    -- The person is who the decision was made for; the key map never takes a key away.
    select
        decision_id as assignment_id,
        person_id,
        null::timestamp as linked_at,
        offer_id,
        offer_version,
        channel,
        case when arm = 'treated' then 'shown' else 'held_out' end as arm,
        null::double as propensity,
        as_of as assigned_at,
        as_of as known_at,
        'candor' as source,
        null::uuid as row_hash
    from {{ decisions }}
    where is_chosen
        and batch_seq < {{ batch_seq() }}
        and as_of < {{ as_of() }}
    {%- else -%}
    select * from past where false
    {%- endif %}

),

every as (

    select * from past
    union all
    select * from decided

),

-- Said twice: Candor's own decision that a channel delivers back under its id, and one assignment under two ids. The first is Candor's, else the
-- one known first. Few repeat, and only those are compared.
hashed as (

    select
        assignment_id,
        source,
        known_at,
        person_id,
        offer_id,
        offer_version,
        channel,
        arm,
        assigned_at,
        hash(person_id, offer_id, offer_version, channel, arm, assigned_at) as content_hash
    from every

),

said_again as (

    select
        assignment_id,
        source
    from hashed
    where person_id is not null
        and content_hash in (select content_hash from hashed group by content_hash having count(*) > 1){{ unless_duplicates_stay() }}
    qualify row_number() over (
        partition by person_id, offer_id, offer_version, channel, arm, assigned_at order by source, known_at, assignment_id
    ) > 1

    union

    select
        past.assignment_id,
        past.source

    from past

    inner join decided
        on past.assignment_id = decided.assignment_id

),

judged as (

    select
        every.assignment_id,
        every.person_id,
        every.offer_id,
        every.offer_version,
        coalesce(offers.product_line, offer_lines.product_line) as product_line,
        every.channel,
        every.arm,
        every.propensity,
        every.assigned_at,
        greatest(every.known_at, every.linked_at) as known_at,
        every.linked_at,
        every.source,
        every.row_hash,
        list_filter(
            [
                case when every.assigned_at > {{ as_of() }} then 'not_yet_happened' end,
                case when every.person_id is null then 'unattributed' end,
                case when said_again.assignment_id is not null then 'duplicate_semantic' end,
                case when coalesce(offers.product_line, offer_lines.product_line) is null then 'unknown_offer' end,
                case when test_people.person_id is not null then 'test_account' end
            ],
            lambda reason: reason is not null
        ) as reasons

    from every

    left join offers
        on every.offer_id = offers.offer_id
        and every.offer_version = offers.version

    left join offer_lines
        on every.offer_id = offer_lines.offer_id

    left join said_again
        on every.assignment_id = said_again.assignment_id
        and every.source = said_again.source

    left join test_people
        on every.person_id = test_people.person_id

)

select * from judged
