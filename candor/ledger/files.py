"""The files that make a run explainable: what may be read by everybody who may see decisions, and what only the vault's readers may.

Hits stay at the grain at which they were found (person, person x kind of offer, person x channel, creative, creative x place); pairs of person
and offer stand in `ledger` alone, where they survived. `candor.ledger.reassembly` puts the rest together again.

Two faces. The restricted face has the true codes and all facts. In the ordinary one every reason of a restricted rule is one neutral row,
at the grain person x kind of offer, so that neither the number of reasons nor the grain at which they were found says which they were.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

NEUTRAL = "ELIG_NA"
_NEUTRAL_COLUMNS = (
    f"'{NEUTRAL}' as rule_id, 1::integer as v, 'BLOCK' as effect, 'restricted' as visibility, "
    f"'{NEUTRAL}' as code, 0::integer as penalty_bp"
)
# The hits of each grain and what they are about. Both faces have these files, with the same columns.
HIT_KEYS = {
    "user_hits": ("person_id", "is_promotion"),
    "user_product_hits": ("person_id", "offer_class"),
    "user_channel_hits": ("person_id", "rule_channel", "is_promotion"),
    "offer_hits": ("creative_id",),
    "offer_regime_hits": ("creative_id", "place_id"),
    "pair_hits": ("person_id", "offer_id", "channel"),
}


def digest(content: Any) -> str:
    """sha256 of what has a JSON form, in hex: the same for the same content whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _hits(name: str, keys: tuple[str, ...]) -> str:
    """The hits of one grain as the ordinary face has them."""
    told = f"select * exclude (facts) from vault.eligibility.{name} where visibility <> 'restricted'"
    if name == "user_hits":
        return told  # its restricted ones are with those of people and kinds of offers
    if name == "user_product_hits":
        return f"""
        {told}
        union all by name
        select *, {_NEUTRAL_COLUMNS} from (
            select hits.person_id, offer_classes.offer_class
            from vault.eligibility.user_hits as hits
            inner join eligibility.offer_classes as offer_classes
                on coalesce(hits.is_promotion, offer_classes.o_is_promotion) = offer_classes.o_is_promotion
            where hits.visibility = 'restricted' and hits.effect in ('BLOCK', 'HOLD')
            union
            select person_id, offer_class
            from vault.eligibility.user_product_hits
            where visibility = 'restricted' and effect in ('BLOCK', 'HOLD')
        )
        """
    listed = ", ".join(keys)
    return f"""
    {told}
    union all by name
    select *, {_NEUTRAL_COLUMNS} from (
        select distinct {listed} from vault.eligibility.{name} where visibility = 'restricted' and effect in ('BLOCK', 'HOLD')
    )
    """


# file -> (query, order), as candor.publishing.export wants them.
OPEN_FILES = {
    **{name: (_hits(name, keys), "all") for name, keys in HIT_KEYS.items()},
    # Who reads what, and which few combinations of regimes, client class and time zones people have.
    "ledger_people": (
        "select person_id, market, coalesce(language, '') as language, place_id from vault.eligibility.person_facts",
        "person_id",
    ),
    "ledger_creatives": ("select * from eligibility.creative_choices", "language, offer_id, channel"),
    "ledger_offers": (
        """
        select offer_id, channel, min(c_channel) as rule_channel, max(offer_version) as offer_version, min(product_line) as product_line,
            min(offer_class) as offer_class, min(o_incentive) as incentive, bool_or(o_is_promotion) as is_promotion
        from eligibility.offer_facts
        group by offer_id, channel
        """,
        "offer_id, channel",
    ),
    "ledger_rules": ("select * from policy.rulebook", "code, rule_id, v"),
    "ledger_texts": ("select * from policy.texts", "all"),
}

# When each fact was last known whole: those of a maximal age as judged, the others by the feeds they come from.
_OBSERVATIONS = """
with

facts as (

    select * from policy.facts

),

feeds as (

    select source || '.' || table_name as feed, known_whole_at from raw.feeds

),

fact_feeds as (

    select fact, unnest(list_filter(sources, lambda name: not starts_with(name, 'state.'))) as feed from facts

),

fact_whole as (

    select
        fact_feeds.fact,
        case when not bool_or(feeds.known_whole_at is null) then min(feeds.known_whole_at) end as observed_at
    from fact_feeds
    left join feeds
        on fact_feeds.feed = feeds.feed
    group by fact_feeds.fact

)

select
    facts.fact,
    facts.visibility,
    coalesce(judged.max_age_hours, facts.max_age_hours) as max_age_hours,
    case when judged.fact is not null then judged.observed_at else fact_whole.observed_at end as observed_at,
    coalesce(judged.is_fresh, fact_whole.observed_at is not null) as is_fresh,
    facts.sources
from facts
left join vault.eligibility.fact_observations as judged
    on facts.fact = judged.fact
left join fact_whole
    on facts.fact = fact_whole.fact
"""

# Facts by name that policy/facts.yml has under another one, or that are no rule's business. Whatever is in neither list is restricted.
_PLAIN_COLUMNS = ("market", "language", "place_id", "d_age", "u_is_test")


def restricted_files(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    """file -> (query, order) of the facts, all of which stay in the vault's face; restricted ones in a file of their own."""
    columns = [
        row[0]
        for row in connection.execute(
            "select column_name from duckdb_columns() "
            "where database_name = 'vault' and schema_name = 'eligibility' and table_name = 'person_facts' "
            "order by column_index"
        ).fetchall()
        if row[0] != "person_id"
    ]
    tellable = {
        row[0]
        for row in connection.execute("select fact from policy.facts where visibility in ('safe', 'internal')").fetchall()
    } | set(_PLAIN_COLUMNS)
    told = [column for column in columns if column in tellable]
    closed = [column for column in columns if column not in tellable]
    return {
        "facts_person": (_selected(told), "person_id"),
        "facts_person_restricted": (_selected(closed), "person_id"),
        "facts_person_channel": ("select * from vault.eligibility.person_channel_facts", "person_id, rule_channel"),
        "facts_person_product": ("select * from vault.eligibility.person_product_facts", "person_id, product_line"),
        "facts_offer": ("select * from eligibility.offer_facts", "creative_id"),
        "facts_offer_place": ("select * from vault.eligibility.offer_place_facts", "creative_id, place_id"),
        "facts_market": ("select * from eligibility.market_state", "all"),
        "facts_observed": (_OBSERVATIONS, "fact"),
    }


def _selected(columns: list[str]) -> str:
    names = ", ".join(["person_id", *(f'"{column}"' for column in columns)])
    return f"select {names} from vault.eligibility.person_facts"


FACT_FILES = (
    "facts_person",
    "facts_person_restricted",
    "facts_person_channel",
    "facts_person_product",
    "facts_offer",
    "facts_offer_place",
    "facts_market",
    "facts_observed",
)
# What the chain vouches for: everything that an explanation reads, and what went out. Other published files are reports. Whose identifiers
# are whose (identity_members) is left out on purpose: that mapping must be destroyed when somebody is erased, and the chain must survive it.
CHAINED_OPEN = (
    "offers",
    "ledger",
    "exclusion_counts",
    "offers_withheld",
    "shadow_prices",
    "persons",
    "aliases",
    *OPEN_FILES,
)
CHAINED_RESTRICTED = (*HIT_KEYS, *FACT_FILES)

CATALOGUE_TABLES = ("offers", "creatives", "approvals")


def catalogue_hash(connection: duckdb.DuckDBPyConnection) -> str:
    """sha256 of what the shop said of its offers in the run: the rows of offers, creatives and approvals, whatever files they came in."""
    rows = " union all ".join(
        f"select '{table}' as table_name, row_hash::varchar as row_hash from staging.stg_catalogue__{table}"
        for table in CATALOGUE_TABLES
    )
    query = f"select sha256(coalesce(string_agg(table_name || row_hash, ',' order by table_name, row_hash), '')) from ({rows})"
    return str(connection.execute(query).fetchall()[0][0])
