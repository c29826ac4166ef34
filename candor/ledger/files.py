"""The files that make a run explainable: what may be read by everybody who may see decisions, and what only the vault's readers may.

Hits stay at the grain at which they were found (person, person x channel, creative, creative x place); pairs of person and offer stand in
`ledger` alone, where they survived. Those of person x kind of offer are forty a person and the same for many, so they stand once per pattern,
in `product_pattern_hits`, and `user_product_patterns` says whose it is. `candor.ledger.reassembly` puts all of it together again.

Two faces. The restricted face has the true codes and all facts. In the ordinary one every reason of a restricted rule is one neutral row,
at the grain person x kind of offer, so that neither the number of reasons nor the grain at which they were found says which they were; and its
patterns are numbered by what they say, so that whose facts differ in what may not be told alone have the same. Of what
a customer's sentence rests on, `explanations`, the ordinary face has no driver of money: its row stands without name and effect.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

NEUTRAL = "ELIG_NA"
_NEUTRAL = {"rule_id": f"'{NEUTRAL}'", "v": "1::integer", "effect": "'BLOCK'", "visibility": "'restricted'", "code": f"'{NEUTRAL}'",
            "penalty_bp": "0::integer"}  # fmt: skip
_NEUTRAL_COLUMNS = ", ".join(f"{value} as {column}" for column, value in _NEUTRAL.items())
# The hits of each grain and what they are about. Both faces have these files, with the same columns.
HIT_KEYS = {
    "user_hits": ("person_id", "is_promotion"),
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
    listed = ", ".join(keys)
    return f"""
    {told}
    union all by name
    select *, {_NEUTRAL_COLUMNS} from (
        select distinct {listed} from vault.eligibility.{name} where visibility = 'restricted' and effect in ('BLOCK', 'HOLD')
    )
    """


# The hits of person x kind of offer: whose pattern, and what each pattern means. Both faces have the two files, with the same columns.
PATTERN_FILES = ("user_product_patterns", "product_pattern_hits")
_PATTERN_COLUMNS = ("offer_class", *_NEUTRAL)
RESTRICTED_PATTERNS = {
    "user_product_patterns": (
        "select person_id, pattern_id from vault.eligibility.int_person_product_patterns",
        "person_id, pattern_id",
    ),
    "product_pattern_hits": (
        f"select pattern_id, {', '.join(_PATTERN_COLUMNS)}, facts from vault.eligibility.int_product_pattern_hits",
        "all",
    ),
}
# What the ordinary face says of a person: for each pattern they have, what of it may be told; and of all that may not, the kinds of offers
# that it keeps from them, whatever it was and however often. `told` is a list of hits; equal ones have one number.
_TOLD = f"""
create or replace temp table told_of_patterns as
select
    pattern_id,
    list(
        {{{", ".join(f"'{column}': {column}" for column in _PATTERN_COLUMNS)}}}
        order by {", ".join(_PATTERN_COLUMNS)}
    ) as told
from vault.eligibility.int_product_pattern_hits
where visibility <> 'restricted'
group by pattern_id;

create or replace temp table kept_from as
select person_id, list(offer_class order by offer_class) as classes
from (
    select hits.person_id, offer_classes.offer_class
    from vault.eligibility.user_hits as hits
    inner join eligibility.offer_classes as offer_classes
        on coalesce(hits.is_promotion, offer_classes.o_is_promotion) = offer_classes.o_is_promotion
    where hits.visibility = 'restricted' and hits.effect in ('BLOCK', 'HOLD')
    union
    select patterns.person_id, hits.offer_class
    from vault.eligibility.int_person_product_patterns as patterns
    inner join vault.eligibility.int_product_pattern_hits as hits
        on patterns.pattern_id = hits.pattern_id
    where hits.visibility = 'restricted' and hits.effect in ('BLOCK', 'HOLD')
) as kept
group by person_id;

create or replace temp table told_of_classes as
select
    classes,
    list_transform(
        classes,
        lambda offer_class: {{'offer_class': offer_class, {", ".join(f"'{name}': {value}" for name, value in _NEUTRAL.items())}}}
    ) as told
from (select distinct classes from kept_from) as different;

create or replace temp table told_patterns as
select told, row_number() over (order by told) as pattern_id
from (select told from told_of_patterns union select told from told_of_classes) as different
"""
OPEN_PATTERNS = {
    "user_product_patterns": (
        """
        select people.person_id, numbered.pattern_id
        from vault.eligibility.int_person_product_patterns as people
        inner join (
            select told_of_patterns.pattern_id as true_pattern_id, told_patterns.pattern_id
            from told_of_patterns inner join told_patterns on told_of_patterns.told = told_patterns.told
        ) as numbered
            on people.pattern_id = numbered.true_pattern_id
        union all
        select kept_from.person_id, numbered.pattern_id
        from kept_from
        inner join (
            select told_of_classes.classes, told_patterns.pattern_id
            from told_of_classes inner join told_patterns on told_of_classes.told = told_patterns.told
        ) as numbered
            on kept_from.classes = numbered.classes
        """,
        "person_id, pattern_id",
    ),
    "product_pattern_hits": ("select pattern_id, unnest(told, recursive := true) from told_patterns", "all"),
}


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary tables that OPEN_FILES reads: what may be told of patterns, and from whom all else keeps what."""
    connection.execute(_TOLD)


# The most sensitive driver that stands in the ordinary face: interests and habits. One of money (training/features.yml) is of the restricted face.
OPEN_SENSITIVITY = 1
# One row per explained candidate and driver that its sentence names, the strongest first: by how much the chance that the offer helps fell when
# the model was told that the person has it not. No value of a feature: those go after 13 months, these rows stay as long as the sentence.
_EXPLANATIONS = """
select
    ledger.decision_id,
    ledger.person_id,
    ledger.channel,
    ledger.offer_id,
    ledger.offer_version,
    split_part(ledger.locale, '-', 1) as language,
    named.place,
    named.driver,
    coalesce(drivers.sensitivity, 3) as sensitivity,
    scores.gain,
    named.effect
from (
    select decision_id, unnest(drivers) as driver, unnest(effects) as effect, unnest(range(1, len(drivers) + 1))::integer as place
    from decisions.explanations
) as named
inner join decisions.ledger as ledger
    on named.decision_id = ledger.decision_id
left join decisions.scores as scores
    on ledger.person_id = scores.person_id and ledger.offer_id = scores.offer_id
    and ledger.offer_version = scores.offer_version and ledger.channel = scores.channel
left join policy.drivers as drivers
    on named.driver = drivers.driver
"""
_EXPLANATIONS_ORDER = "person_id, channel, offer_id, place"
_IS_TELLABLE = f"sensitivity <= {OPEN_SENSITIVITY}"
_OPEN_EXPLANATIONS = f"""
select * replace (
    case when {_IS_TELLABLE} then driver end as driver, case when {_IS_TELLABLE} then sensitivity end as sensitivity,
    case when {_IS_TELLABLE} then effect end as effect
)
from ({_EXPLANATIONS})
"""

# file -> (query, order), as candor.publishing.export wants them.
OPEN_FILES = {
    **{name: (_hits(name, keys), "all") for name, keys in HIT_KEYS.items()},
    **OPEN_PATTERNS,
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
    # What each driver means, which features the model is asked without, and its words.
    "ledger_drivers": ("select * from policy.drivers", "driver"),
    "explanations": (_OPEN_EXPLANATIONS, _EXPLANATIONS_ORDER),
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
    """file -> (query, order) of what stays in the vault's face: hits and what they rest on, facts, restricted ones apart, drivers."""
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
        **{name: (f"select * from vault.eligibility.{name}", "all") for name in HIT_KEYS},
        **RESTRICTED_PATTERNS,
        "facts_person": (_selected(told), "person_id"),
        "facts_person_restricted": (_selected(closed), "person_id"),
        "facts_person_channel": ("select * from vault.eligibility.person_channel_facts", "person_id, rule_channel"),
        "facts_person_product": ("select * from vault.eligibility.person_product_facts", "person_id, product_line"),
        "facts_offer": ("select * from eligibility.offer_facts", "creative_id"),
        "facts_offer_place": ("select * from vault.eligibility.offer_place_facts", "creative_id, place_id"),
        "facts_market": ("select * from eligibility.market_state", "all"),
        "facts_observed": (_OBSERVATIONS, "fact"),
        "explanations": (_EXPLANATIONS, _EXPLANATIONS_ORDER),
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
CHAINED_RESTRICTED = (*HIT_KEYS, *PATTERN_FILES, *FACT_FILES, "explanations")

CATALOGUE_TABLES = ("offers", "creatives", "approvals")


def catalogue_hash(connection: duckdb.DuckDBPyConnection) -> str:
    """sha256 of what the shop said of its offers in the run: the rows of offers, creatives and approvals, whatever files they came in."""
    rows = " union all ".join(
        f"select '{table}' as table_name, row_hash::varchar as row_hash from staging.stg_catalogue__{table}"
        for table in CATALOGUE_TABLES
    )
    query = f"select sha256(coalesce(string_agg(table_name || row_hash, ',' order by table_name, row_hash), '')) from ({rows})"
    return str(connection.execute(query).fetchall()[0][0])
