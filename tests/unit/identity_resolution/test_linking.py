"""Linking two tables by a model learned from pairs that are known: made-up people whose truth is known, and the arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from candor.identity.resolution import linking

FIRST = [
    "ada",
    "ben",
    "clara",
    "dev",
    "elsa",
    "femi",
    "gita",
    "hugo",
    "ines",
    "jonas",
    "karim",
    "lena",
    "milo",
    "nadia",
    "omar",
]
LAST = ["abbot", "bauer", "castro", "dubois", "eriksen", "farah", "gupta", "huber", "ivanov", "jensen", "keller", "laurent"]
KNOWN, APART, STRANGERS = 400, 120, 150


def shop(seed: int) -> tuple[pa.Table, pa.Table, pa.Table, set[tuple[str, str]]]:
    """(accounts, contacts, known pairs, the pairs to be found): contacts shorten some names and have a tenth of postal codes wrong."""
    rng = np.random.default_rng(seed)
    people = KNOWN + APART + 2 * STRANGERS
    first, last = rng.choice(FIRST, people), rng.choice(LAST, people)
    postal = rng.integers(10_000, 12_000, people).astype(str)
    short = rng.random(people) < 0.3
    told = np.where(rng.random(people) < 0.1, rng.integers(10_000, 12_000, people).astype(str), postal)
    accounts = [
        {
            "record_id": f"a{person}",
            "full_name": f"{first[person]} {last[person]}",
            "postal_code": postal[person],
            "email": f"mail{person}@one.example",
            "birth_date": "1990-01-01",
            "is_wanted": person >= KNOWN,
        }
        for person in range(KNOWN + APART + STRANGERS)
    ]
    contacts = [
        {
            "record_id": f"c{person}",
            "full_name": f"{first[person][0] + '.' if short[person] else first[person]} {last[person]}",
            "postal_code": told[person],
            "email": f"mail{person}@one.example" if person < KNOWN else f"other{person}@two.example",
            "is_wanted": person >= KNOWN,
        }
        for person in [*range(KNOWN + APART), *range(KNOWN + APART + STRANGERS, people)]
    ]
    known = pa.table({"left_id": [f"a{n}" for n in range(KNOWN)], "right_id": [f"c{n}" for n in range(KNOWN)]})
    truth = {(f"a{person}", f"c{person}") for person in range(KNOWN, KNOWN + APART)}
    return pa.Table.from_pylist(accounts), pa.Table.from_pylist(contacts), known, truth


def pairs(table: pa.Table) -> set[tuple[str, str]]:
    return set(zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True))


@pytest.mark.parametrize("seed", [11, 12], ids=lambda seed: f"seed_{seed}")
def test_records_that_share_nothing_exact_meet_and_hardly_a_stranger_does(seed):
    accounts, contacts, known, truth = shop(seed)
    links = linking.link(accounts, contacts, known, threshold=0.9, proved_by=("email",))
    found = pairs(links.table)
    assert len(found & truth) >= 0.75 * APART
    assert len(found - truth) <= 0.02 * len(found)
    assert min(links.table["probability"].to_pylist()) >= 0.9
    assert {one for one, _ in found}.isdisjoint(known["left_id"].to_pylist()), "a known record is not wanted"


def test_the_order_of_rows_leaves_no_trace():
    accounts, contacts, known, _ = shop(13)
    straight = linking.link(accounts, contacts, known, threshold=0.9, proved_by=("email",))
    turned = [table.take(pa.array(range(table.num_rows)[::-1])) for table in (accounts, contacts, known)]
    again = linking.link(*turned, threshold=0.9, proved_by=("email",))
    assert straight.table.equals(again.table)
    assert straight.table.num_rows > 0


def test_two_who_could_be_the_same_contact_are_both_left_alone():
    accounts, contacts, known, truth = shop(14)
    found = pairs(linking.link(accounts, contacts, known, threshold=0.9, proved_by=("email",)).table)
    account, contact = sorted(found & truth)[0]
    twin = next(row for row in accounts.to_pylist() if row["record_id"] == account) | {
        "record_id": "twin",
        "email": "x@y.example",
    }
    more = pa.concat_tables([accounts, pa.Table.from_pylist([twin], schema=accounts.schema)])
    again = pairs(linking.link(more, contacts, known, threshold=0.9, proved_by=("email",)).table)
    assert not {pair for pair in again if pair[1] == contact}
    assert len(again) > 0.7 * len(found)


def test_what_proved_the_known_pairs_says_nothing_and_a_pair_equal_there_is_not_judged_again():
    accounts, contacts, known, truth = shop(15)
    account, contact = sorted(truth)[0]
    rows = [row | {"email": "same@one.example"} if row["record_id"] == account else row for row in accounts.to_pylist()]
    accounts = pa.Table.from_pylist(rows, schema=accounts.schema)
    rows = [row | {"email": "same@one.example"} if row["record_id"] == contact else row for row in contacts.to_pylist()]
    contacts = pa.Table.from_pylist(rows, schema=contacts.schema)
    found = pairs(linking.link(accounts, contacts, known, threshold=0.9, proved_by=("email",)).table)
    assert (account, contact) not in found
    assert found & truth


def test_too_few_known_pairs_teach_nothing():
    accounts, contacts, known, _ = shop(16)
    few = known.slice(0, linking.LEAST_KNOWN - 1)
    assert linking.link(accounts, contacts, few, threshold=0.9) is None


@pytest.mark.parametrize("seed", range(5), ids=lambda seed: f"seed_{seed}")
def test_each_pair_is_weighed_against_all_others_of_its_two_records(seed):
    rng = np.random.default_rng(seed)
    left, right = np.unique(rng.integers(0, 6, (20, 2)), axis=0).T
    right = right + 6
    turned = rng.random(len(left)) < 0.5
    odds = rng.normal(2, 6, len(left))
    one, other = np.where(turned, right, left).astype(np.int32), np.where(turned, left, right).astype(np.int32)
    got = linking.against_others(one, other, odds)
    for at in range(len(left)):
        rivals = [2.0 ** odds[n] for n in range(len(left)) if left[n] == left[at] or right[n] == right[at]]
        assert got[at] == pytest.approx(2.0 ** odds[at] / (1 + sum(rivals)), abs=1e-6)
