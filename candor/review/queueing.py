"""What a person must look at, found set-wise: one row per thing that can be decided in one go.

An item is named by what it is about and by the facts it rests on, so it is the same one tomorrow as long as nothing changed, and another
one as soon as something did. People held by one cause of an offer are one item, that of the offer.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import hashing, runs
from candor.policy.store import for_run
from candor.review import agreement, deciding, readings, verdicts
from candor.warehouse import connect, sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.policy.model import Reviewing
    from candor.settings import Settings

FIRST_SEEN = """
create schema if not exists vault.state;
create table if not exists vault.state.review_items (item_id varchar not null, queued_at timestamp not null, batch_seq bigint not null);
"""

# What was drawn of a day is not drawn again on the next, and whoever reviews it has days to do so: it is kept as it was shown.
KEPT_DAYS = 28
DRAWS = """
create table if not exists vault.state.review_draws (
    batch_seq bigint not null, drawn_at timestamp not null, item_id varchar not null, kind varchar, rule_id varchar, visibility varchar,
    person_id varchar, offer_id varchar, offer_version bigint, segment varchar, facts varchar, people bigint,
    creatives struct(creative_id varchar, offer_id varchar, offer_version bigint, creative_hash varchar, rank integer)[]
);
delete from vault.state.review_draws where batch_seq = {batch_seq};
insert into vault.state.review_draws by name
select {batch_seq} as batch_seq, {as_of} as drawn_at, items.item_id, items.kind, items.rule_id, items.visibility, items.person_id, items.offer_id,
    items.offer_version, items.segment, items.facts, items.people,
    list(struct_pack(creative_id, offer_id := offer_facts.offer_id, offer_version := offer_facts.offer_version, creative_hash, rank := m_rank)
        order by creative_id) as creatives
from items
inner join eligibility.offer_facts as offer_facts on list_contains(items.creative_ids, offer_facts.creative_id)
where items.kind in ('near_miss', 'random')
group by all
order by items.item_id;
"""

# A person's hold is a reviewer's business when nothing but holds that can be released stands between them and an offer.
PEOPLE = """
create or replace temp table held_people as
with
hits as (
    select person_id, is_promotion, cast(null as varchar) as offer_class, rule_id, v, effect, visibility, code, facts
    from vault.eligibility.user_hits where effect <> 'DEMOTE'
    union all by name
    select person_id, cast(null as boolean) as is_promotion, offer_class, rule_id, v, effect, visibility, code, facts
    from vault.eligibility.user_product_hits where effect <> 'DEMOTE'
),
holds as (
    select * from hits where effect in ('HOLD', 'RELEASED') and facts is not null
),
classes as (
    select offer_class, o_is_promotion from eligibility.offer_classes
),
blocked as (
    select distinct hits.person_id, classes.offer_class
    from hits
    inner join classes
        on coalesce(hits.is_promotion, classes.o_is_promotion) = classes.o_is_promotion
        and coalesce(hits.offer_class, classes.offer_class) = classes.offer_class
    where (hits.effect = 'BLOCK' or hits.facts is null)
        and hits.person_id in (select person_id from holds)
)
select holds.person_id, holds.rule_id, holds.v, holds.visibility, holds.facts, min(holds.code) as code,
    list(distinct classes.offer_class order by classes.offer_class) as offer_classes
from holds
inner join classes
    on coalesce(holds.is_promotion, classes.o_is_promotion) = classes.o_is_promotion
    and coalesce(holds.offer_class, classes.offer_class) = classes.offer_class
anti join blocked
    on holds.person_id = blocked.person_id and classes.offer_class = blocked.offer_class
group by holds.person_id, holds.rule_id, holds.v, holds.visibility, holds.facts
"""

OFFERS = """
create or replace temp table held_offers as
with
hits as (
    select creative_id, rule_id, v, effect, visibility, code, facts from vault.eligibility.offer_hits where effect <> 'DEMOTE'
    union by name
    select creative_id, rule_id, v, effect, visibility, code, facts from vault.eligibility.offer_regime_hits where effect in ('HOLD', 'RELEASED')
)
select hits.rule_id, hits.v, hits.visibility, hits.facts, min(hits.code) as code, offer_facts.offer_id, offer_facts.offer_version,
    list(distinct hits.creative_id order by hits.creative_id) as creative_ids,
    md5(string_agg(distinct offer_facts.creative_id || offer_facts.creative_hash, ',' order by offer_facts.creative_id || offer_facts.creative_hash))
        as content_hash
from hits
inner join eligibility.offer_facts as offer_facts on hits.creative_id = offer_facts.creative_id
where hits.effect in ('HOLD', 'RELEASED') and hits.facts is not null
    and hits.creative_id not in (
        select creative_id from vault.eligibility.offer_hits where effect = 'BLOCK' or (effect = 'HOLD' and facts is null)
    )
group by hits.rule_id, hits.v, hits.visibility, hits.facts, offer_facts.offer_id, offer_facts.offer_version
"""

SERVED = """
create or replace temp table served as
select staged.decision_id, staged.person_id, staged.segment, staged.offer_id, staged.offer_version, staged.creative_id, staged.channel,
    offer_facts.product_line, offer_facts.m_rank, offer_facts.o_is_promotion as is_promotion,
    ('0x' || left(keyed_hash($as_of || staged.person_id || staged.offer_id || staged.channel), 12))::bigint / 281474976710656.0 as draw
from decisions.staged_offers as staged
inner join eligibility.offer_facts as offer_facts on staged.creative_id = offer_facts.creative_id
where staged.arm = 'treated'
"""

ITEMS = """
create or replace temp table items as
select
    'i' || left(md5(concat_ws('|', 'person', rule_id, v, person_id, facts)), 14) as item_id,
    case when visibility = 'restricted' then 'hold_fincrime' else 'hold' end as kind,
    rule_id, v, code, visibility, person_id, cast(null as varchar) as offer_id, cast(null as bigint) as offer_version,
    cast(null as varchar) as segment, facts, offer_classes, cast([] as varchar[]) as creative_ids, 1::bigint as people
from held_people
union all by name
select
    'i' || left(md5(concat_ws('|', 'offer', rule_id, v, offer_id, offer_version, content_hash, facts)), 14) as item_id,
    case when rule_id = 'ENG-REVIEW' then 'new_offer' when visibility = 'restricted' then 'hold_fincrime' else 'hold' end as kind,
    rule_id, v, code, visibility, offer_id, offer_version, facts, creative_ids
from held_offers
union all by name
select
    'i' || left(md5(concat_ws('|', 'segment', segment, offer_id, offer_version)), 14) as item_id,
    'high_risk_segment' as kind, 'internal' as visibility, offer_id, offer_version, segment, 'm_rank=' || min(m_rank) as facts,
    list(distinct creative_id order by creative_id) as creative_ids, count(distinct person_id) as people
from served
where is_promotion and m_rank >= $high_risk_rank
group by segment, offer_id, offer_version
union all by name
select
    'i' || left(md5(concat_ws('|', 'random', person_id, offer_id, offer_version, channel, $as_of)), 14) as item_id,
    'random' as kind, 'internal' as visibility, person_id, offer_id, offer_version, segment, 'm_rank=' || coalesce(m_rank::varchar, '?') as facts,
    [creative_id] as creative_ids, 1::bigint as people
from served
where draw < $random_share
"""

NEAR = """
insert into items by name
select
    'i' || left(md5(concat_ws('|', 'near', $rule, served.person_id, served.offer_id, served.offer_version, $day)), 14) as item_id,
    'near_miss' as kind, $rule as rule_id, 'internal' as visibility, served.person_id, served.offer_id, served.offer_version, served.segment,
    '{fact}=' || facts.{fact}::varchar as facts, [served.creative_id] as creative_ids, 1::bigint as people
from served
inner join vault.eligibility.person_facts as facts on served.person_id = facts.person_id
where served.is_promotion and facts.{fact} >= $at_least and facts.{fact} < $at_least + $within
qualify row_number() over (partition by served.person_id order by served.draw, served.decision_id) = 1
order by served.draw, item_id
limit $most
"""

QUEUE = """
create or replace table vault.review.queue as
with
kinds as (
    select unnest($kinds, recursive := true)
),
named as (
    select items.item_id, offer_facts.creative_id, offer_facts.offer_id, offer_facts.offer_version, offer_facts.creative_hash,
        offer_facts.m_rank as rank
    from items
    inner join eligibility.offer_facts as offer_facts
        on list_contains(items.offer_classes, offer_facts.offer_class) or list_contains(items.creative_ids, offer_facts.creative_id)
),
creatives as (
    select item_id, list(struct_pack(creative_id, offer_id, offer_version, creative_hash, rank) order by creative_id) as creatives
    from named
    group by item_id
),
waiting as (
    select items.* exclude (offer_classes, creative_ids), creatives.creatives
    from items
    left join creatives on items.item_id = creatives.item_id
    union all by name
    select * exclude (batch_seq, drawn_at) from vault.state.review_draws
    where batch_seq < {batch_seq} and drawn_at between {as_of} - to_days({kept_days}) and {as_of}
)
select
    items.item_id, items.kind, kinds.priority, first_seen.queued_at, first_seen.queued_at + to_hours(kinds.sla_hours) as due_at, kinds.roles,
    items.rule_id, items.v, items.code, items.visibility, items.person_id, items.offer_id, items.offer_version, items.segment, items.people,
    items.facts, items.creatives, list_max([creative.rank for creative in items.creatives]) as highest_rank,
    rulebook.title, rulebook.statement, rulebook.cite, {as_of} as seen_at
from waiting as items
inner join kinds on items.kind = kinds.kind
inner join vault.state.review_items as first_seen on items.item_id = first_seen.item_id
left join (
    select code, rule_id, v, title, statement, cite from policy.rulebook
    union all
    select null, rule_id, null, arg_max(title, v), arg_max(statement, v), arg_max(cite, v) from policy.rulebook group by rule_id  -- for near misses
) as rulebook
    on items.code is not distinct from rulebook.code and items.rule_id = rulebook.rule_id and items.v is not distinct from rulebook.v
order by kinds.priority, due_at, items.item_id
"""


def run(as_of: datetime, settings: Settings) -> dict[str, Any]:
    """Counts per kind; vault.review.queue stands, and what was never queued before is remembered with this instant."""
    with connect(settings, restricted=True) as connection:
        current = runs.current(connection, as_of)
        reviewing = for_run(settings, current).reviewing
        hashing.install(connection, settings)
        _find(connection, as_of, reviewing)
        connection.execute(FIRST_SEEN)
        connection.execute(
            f"insert into vault.state.review_items select distinct item_id, {sql_timestamp(as_of)}, ? from items "
            "where item_id not in (select item_id from vault.state.review_items) order by item_id",
            [current.batch_seq],
        )
        given = {"as_of": sql_timestamp(as_of), "batch_seq": current.batch_seq, "kept_days": KEPT_DAYS}
        connection.execute(DRAWS.format(**given))
        kinds = [
            {"kind": one.kind, "sla_hours": one.sla_hours, "roles": list(one.roles), "priority": one.priority}
            for one in reviewing.kinds
        ]
        connection.execute("create schema if not exists vault.review")
        connection.execute(QUEUE.format(**given), {"kinds": kinds})
        # How many people fincrime staff hold is not told outside the vault, nor how many hits they have.
        counted = connection.execute(
            "select kind, count(*) from vault.review.queue where kind <> 'hold_fincrime' group by kind order by kind"
        ).fetchall()
        items = deciding.rows_of(
            connection,
            "select item_id, kind, roles, priority, due_at, rule_id, highest_rank from vault.review.queue where kind <> 'hold_fincrime'",
        )
    runs.write_json(runs.report_dir(settings, current) / "review.json", told(items, reviewing, settings, as_of))
    return {"review_queue": dict(counted)}


def told(items: list[dict[str, Any]], reviewing: Reviewing, settings: Settings, as_of: datetime) -> dict[str, Any]:
    """How review stands at the instant, for everybody: per kind, how many items wait, are overdue and decided; agreement, overturned verdicts.

    Of restricted holds nothing, not even how many there are: whoever saw the number grow would know that somebody is suspected.
    """
    given = [one for one in verdicts.read(settings)[0] if one.kind != "hold_fincrime"]
    deciding.mark(items, given, reviewing, settings, as_of)
    waiting = [item for item in items if item["status"] in deciding.WAITING]
    kinds = []
    for kind in sorted(
        (one for one in reviewing.kinds if one.kind != "hold_fincrime"), key=lambda one: (one.priority, one.kind)
    ):
        mine = [item for item in items if item["kind"] == kind.kind]
        wait = [item for item in mine if item["status"] in deciding.WAITING]
        kinds.append(
            {
                "kind": kind.kind,
                "roles": list(kind.roles),
                "waiting": len(wait),
                "overdue": deciding.overdue(wait, as_of),
                "read_again": sum(item["status"] in (readings.SECOND, readings.AGAIN) for item in wait),
                "disputed": sum(item["status"] == "disputed" for item in wait),
                "decided": len(mine) - len(wait),
            }
        )
    standing = {one.item_id for one in verdicts.releases(given, reviewing, as_of)}
    return {
        "kinds": kinds,
        "items_released": len(standing),
        "refusals": sum(1 for _ in verdicts.refusals(given, as_of)),
        **agreement.report(given, waiting, reviewing, as_of, settings),
    }


def _find(connection: duckdb.DuckDBPyConnection, as_of: datetime, reviewing: Reviewing) -> None:
    """Temporary table `items`: everything to look at, once."""
    numbers = reviewing.numbers
    connection.execute(PEOPLE)
    connection.execute(OFFERS)
    instant = f"{as_of:%Y-%m-%dT%H:%M:%SZ}"
    connection.execute(SERVED, {"as_of": instant})
    connection.execute(
        ITEMS,
        {"as_of": instant, "high_risk_rank": numbers.get("high_risk_rank", 0), "random_share": numbers.get("random_share", 0)},
    )
    for near in reviewing.near_misses:
        connection.execute(
            NEAR.format(fact=near.fact),
            {
                "rule": near.rule, "day": instant, "at_least": near.at_least, "within": near.within,
                "most": int(numbers["near_misses_a_day"]),
            },
        )  # fmt: skip
