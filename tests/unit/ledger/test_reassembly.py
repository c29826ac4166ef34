"""Pairs put together again from hits at their own grain are the pairs as if every hit had been held against every pair."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from candor.ledger import reassembly

Rows = list[dict[str, Any]]
TYPES = {"is_promotion": "boolean", "v": "integer", "penalty_bp": "integer", "offer_version": "bigint", "pattern_id": "bigint"}
REASON = ("rule_id", "v", "effect", "visibility", "code", "penalty_bp")
COLUMNS = {
    "ledger_people": ("person_id", "market", "language", "place_id"),
    "ledger_creatives": ("language", "offer_id", "channel", "creative_id", "locale"),
    "ledger_offers": (
        "offer_id", "channel", "rule_channel", "offer_version", "product_line", "offer_class", "incentive", "is_promotion",
    ),
    "user_hits": ("person_id", "is_promotion", *REASON),
    "user_product_patterns": ("person_id", "pattern_id"),
    "product_pattern_hits": ("pattern_id", "offer_class", *REASON),
    "user_product_hits": ("person_id", "offer_class", *REASON),
    "user_channel_hits": ("person_id", "rule_channel", "is_promotion", *REASON),
    "offer_hits": ("creative_id", *REASON),
    "offer_regime_hits": ("creative_id", "place_id", *REASON),
    "pair_hits": ("person_id", "offer_id", "channel", *REASON),
}  # fmt: skip
CHANNELS = {"web": "inapp", "app": "inapp", "email": "email", "sms": "sms"}
LANGUAGES = ("", "de", "en-GB")


def random_world(seed: int) -> dict[str, Rows]:
    """People, offers, creatives and hits, some of people and creatives that no pair has."""
    dice = random.Random(seed)
    people = [
        {"person_id": f"p{n}", "market": "GB", "language": dice.choice(LANGUAGES), "place_id": dice.choice(["z1", "z2", None])}
        for n in range(dice.randint(1, 12))
    ]
    kinds = {f"o{n}": dice.random() < 0.6 for n in range(dice.randint(1, 6))}
    offers = [
        {
            "offer_id": offer, "channel": channel, "rule_channel": CHANNELS[channel], "offer_version": 1, "product_line": "spot",
            "offer_class": f"class{int(offer[1:]) % 3}:{is_promotion}", "incentive": "none", "is_promotion": is_promotion,
        }
        for offer, is_promotion in kinds.items()
        for channel in CHANNELS
        if dice.random() < 0.8
    ]  # fmt: skip
    creatives = [
        {
            "language": language, "offer_id": offer["offer_id"], "channel": offer["channel"], "locale": "en-GB",
            "creative_id": None if dice.random() < 0.1 else f"c-{offer['offer_id']}-{offer['channel']}-{dice.choice(LANGUAGES[1:])}",
        }
        for offer in offers
        for language in LANGUAGES
    ]  # fmt: skip

    def reason() -> dict[str, Any]:
        number = dice.randint(1, 5)
        return {
            "rule_id": f"R-{number}", "v": 1, "effect": dice.choice(["BLOCK", "HOLD", "DEMOTE"]),
            "visibility": dice.choice(["safe", "internal", "restricted"]), "code": f"CODE_{number}", "penalty_bp": 0,
        }  # fmt: skip

    person_ids = [person["person_id"] for person in people] + ["nobody"]
    creative_ids = [creative["creative_id"] for creative in creatives if creative["creative_id"]] + ["c-none"]
    classes = [offer["offer_class"] for offer in offers] + ["class9:true"]
    kind = [None, True, False]

    def some(most: int, **choices: list[Any]) -> Rows:
        return [
            {name: dice.choice(values) for name, values in choices.items()} | reason() for _ in range(dice.randint(0, most))
        ]

    patterns = list(range(dice.randint(1, 6)))
    has = sorted({(dice.choice(person_ids), dice.choice(patterns)) for _ in range(dice.randint(0, 12))})
    means = some(15, pattern_id=[*patterns, 99], offer_class=classes)
    return {
        "ledger_people": people,
        "ledger_creatives": creatives,
        "ledger_offers": offers,
        "user_hits": some(10, person_id=person_ids, is_promotion=kind),
        "user_product_patterns": [{"person_id": person, "pattern_id": pattern} for person, pattern in has],
        "product_pattern_hits": means,
        "user_product_hits": [
            {"person_id": person} | hit for person, pattern in has for hit in means if hit["pattern_id"] == pattern
        ],
        "user_channel_hits": some(20, person_id=person_ids, rule_channel=["inapp", "email", "sms", "push"], is_promotion=kind),
        "offer_hits": some(8, creative_id=creative_ids),
        "offer_regime_hits": some(12, creative_id=creative_ids, place_id=["z1", "z2", "z3"]),
        "pair_hits": some(6, person_id=person_ids, offer_id=[*kinds, "o9"], channel=list(CHANNELS)),
    }


def naive_pairs(world: dict[str, Rows]) -> Counter[tuple[Any, ...]]:
    """Every hit held against every person, offer and channel, one at a time."""
    found: Counter[tuple[Any, ...]] = Counter()
    offers = {(offer["offer_id"], offer["channel"]): offer for offer in world["ledger_offers"]}
    for person, creative in product(world["ledger_people"], world["ledger_creatives"]):
        if person["language"] != creative["language"]:
            continue
        pair = {**offers[creative["offer_id"], creative["channel"]], **creative, **person}
        where = (pair["person_id"], pair["offer_id"], pair["channel"])
        if pair["creative_id"] is None:
            found[(*where, "pair", "ENG-CREATIVE", 1, "BLOCK", "internal", "ENG_NO_CREATIVE", 0)] += 1
        for file, grain in GRAINS.items():
            for hit in world[file]:
                keys = [
                    name for name in COLUMNS[file] if name not in REASON and not (name == "is_promotion" and hit[name] is None)
                ]
                if all(hit[name] is not None and hit[name] == pair[name] for name in keys):
                    found[(*where, grain, *(hit[name] for name in REASON))] += 1
    return found


GRAINS = {
    "user_hits": "user", "user_product_hits": "user_x_product", "user_channel_hits": "user_x_channel", "offer_hits": "offer",
    "offer_regime_hits": "offer_x_regime", "pair_hits": "pair",
}  # fmt: skip


PATTERNS = ("user_product_patterns", "product_pattern_hits")


def written(world: dict[str, Rows], folder: Path, without: tuple[str, ...]) -> Path:
    """The folder with the world's files as Parquet, but for those in `without`."""
    folder.mkdir(parents=True, exist_ok=True)
    quoted = str(folder).replace("'", "''")
    with duckdb.connect() as connection:
        for name, columns in COLUMNS.items():
            typed = ", ".join(f"{column} {TYPES.get(column, 'varchar')}" for column in columns)
            connection.execute(f"create table {name} ({typed})")
            if rows := [[row[column] for column in columns] for row in world[name]]:
                connection.executemany(f"insert into {name} values ({', '.join('?' for _ in columns)})", rows)
            if name not in without:
                connection.execute(f"copy {name} to '{quoted}/{name}.parquet' (format parquet)")
    return folder


@pytest.mark.parametrize("seed", range(40), ids=lambda seed: f"seed_{seed}")
@pytest.mark.parametrize("without", [("user_product_hits",), PATTERNS], ids=["as_patterns", "as_older_versions_published"])
def test_hits_put_together_are_the_naive_pairs(seed: int, without: tuple[str, ...], tmp_path: Path) -> None:
    world = random_world(seed)
    folder = written(world, tmp_path / "it's a run", without)
    expected = naive_pairs(world)
    with duckdb.connect() as connection:
        everybody = connection.execute(reassembly.reasons_sql(folder, folder, one_person=False)).fetchall()
        assert Counter(everybody) == expected
        for person in world["ledger_people"]:
            mine = {"person_id": person["person_id"]}
            alone = connection.execute(reassembly.reasons_sql(folder, folder, one_person=True), mine).fetchall()
            assert Counter(alone) == Counter({row: count for row, count in expected.items() if row[0] == person["person_id"]})


def test_the_random_worlds_hold_every_grain_and_hits_that_meet_nobody() -> None:
    seen = Counter[str]()
    missed = 0
    for seed in range(40):
        world = random_world(seed)
        seen.update(row[3] for row in naive_pairs(world))
        missed += any(hit["person_id"] == "nobody" for hit in world["user_hits"])
    assert set(seen) == set(GRAINS.values())
    assert missed > 5
