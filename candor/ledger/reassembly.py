"""Pairs put together again: every reason against a person x offer x channel, from hits that were kept at their own grain.

One SQL over the published files of either face. What it gives for all people of a run are the pairs as if every rule had been asked of every
pair by itself; for one person it reads that person's rows alone, because the files are ordered by person.
"""

from __future__ import annotations

from pathlib import Path

from candor.ledger.files import HIT_KEYS

# `{people}` restricts the people; `{open}` is the folder of what both faces share.
_PAIRS = """
with

people as (

    select * from read_parquet('{open}/ledger_people.parquet') where {people}

),

offers as (

    select * from read_parquet('{open}/ledger_offers.parquet')

),

pairs as (

    select
        people.person_id,
        people.place_id,
        people.market,
        creatives.offer_id,
        creatives.channel,
        creatives.creative_id,
        creatives.locale,
        offers.offer_version,
        offers.product_line,
        offers.offer_class,
        offers.incentive,
        offers.is_promotion,
        offers.rule_channel

    from people

    inner join read_parquet('{open}/ledger_creatives.parquet') as creatives
        on people.language = creatives.language

    inner join offers
        on creatives.offer_id = offers.offer_id
        and creatives.channel = offers.channel

)
"""

# grain -> (hits, how they meet pairs). A hit whose is_promotion is null speaks of promotions and of all else.
_KIND = "(hits.is_promotion is null or hits.is_promotion = pairs.is_promotion)"
_MEETINGS = {
    "user": ("user_hits", f"pairs.person_id = hits.person_id and {_KIND}"),
    "user_x_product": ("user_product_hits", "pairs.person_id = hits.person_id and pairs.offer_class = hits.offer_class"),
    "user_x_channel": (
        "user_channel_hits",
        f"pairs.person_id = hits.person_id and pairs.rule_channel = hits.rule_channel and {_KIND}",
    ),
    "offer": ("offer_hits", "pairs.creative_id = hits.creative_id"),
    "offer_x_regime": ("offer_regime_hits", "pairs.creative_id = hits.creative_id and pairs.place_id = hits.place_id"),
    "pair": (
        "pair_hits",
        "pairs.person_id = hits.person_id and pairs.offer_id = hits.offer_id and pairs.channel = hits.channel",
    ),
}

_MEETING = """
    select
        pairs.person_id,
        pairs.offer_id,
        pairs.channel,
        '{grain}' as grain,
        hits.rule_id,
        hits.v,
        hits.effect,
        hits.visibility,
        hits.code,
        hits.penalty_bp

    from pairs

    inner join ({hits}) as hits
        on {condition}
"""

_OF_FILE = "select * from read_parquet('{folder}/{file}.parquet') where {people}"
_OF_PATTERNS = """
        select patterns.person_id, pattern_hits.*
        from (select * from read_parquet('{folder}/user_product_patterns.parquet') where {people}) as patterns
        inner join read_parquet('{folder}/product_pattern_hits.parquet') as pattern_hits
            on patterns.pattern_id = pattern_hits.pattern_id
"""

_WITHOUT_CREATIVE = """
    select
        person_id,
        offer_id,
        channel,
        'pair' as grain,
        'ENG-CREATIVE' as rule_id,
        1 as v,
        'BLOCK' as effect,
        'internal' as visibility,
        'ENG_NO_CREATIVE' as code,
        0 as penalty_bp

    from pairs

    where creative_id is null
"""


def _text(folder: Path) -> str:
    return str(folder).replace("'", "''")


def pairs_sql(open_folder: Path, *, one_person: bool) -> str:
    """SQL: one row per person x offer x channel that was considered; of the person `$person_id`, or of everybody."""
    people = "person_id = $person_id" if one_person else "true"
    return _PAIRS.format(open=_text(open_folder), people=people) + "\nselect * from pairs"


def reasons_sql(open_folder: Path, hits_folder: Path, *, one_person: bool) -> str:
    """SQL: one row per person x offer x channel and reason against it; of the person `$person_id`, or of everybody.

    `hits_folder` is that of the face whose codes are wanted: the ordinary one (restricted reasons as ELIG_NA) or the restricted one.
    """
    one = "person_id = $person_id" if one_person else "true"
    meetings = [
        _MEETING.format(grain=grain, condition=condition, hits=_hits(hits_folder, file, one))
        for grain, (file, condition) in _MEETINGS.items()
    ]
    reasons = "\n    union all\n".join([*meetings, _WITHOUT_CREATIVE])
    pairs = _PAIRS.format(open=_text(open_folder), people=one)
    return f"{pairs},\n\nreasons as (\n{reasons}\n)\n\nselect * from reasons"


def _hits(folder: Path, file: str, people: str) -> str:
    """SQL: the hits of one grain, of the people asked for."""
    if (
        file == "user_product_hits" and not (folder / f"{file}.parquet").is_file()
    ):  # only runs published by older versions have it
        return _OF_PATTERNS.format(folder=_text(folder), people=people)
    return _OF_FILE.format(
        folder=_text(folder), file=file, people=people if "person_id" in HIT_KEYS.get(file, ("person_id",)) else "true"
    )
