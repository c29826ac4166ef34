"""Which pairs of records are compared at all: keys chosen from the data, within a budget of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column

if TYPE_CHECKING:
    import duckdb

# Different pairs compared per record at most. 60: the knee of recall in benchmarks/resolution.py; every further pair is a common value.
PAIRS_PER_RECORD = 60
# Pairs counted once per key that finds them; one pair that agrees on everything is found by every key.
RAW_PAIRS_PER_RECORD = 240
# Raw pairs that are held at once whatever the number of records: 60 M rows of 16 bytes are about 1 GB.
MOST_RAW_PAIRS = 60_000_000


@dataclass(frozen=True)
class Blocks:
    """What blocking did: the keys used, the largest block let through, pairs found and left out. `notes` are for the terminal."""

    keys: int
    largest_block: int
    pairs: int
    records: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """One thing two records can agree on: `of` = the columns it is made of; `alone` = specific enough to stand alone."""

    sql: str
    of: frozenset[str]


def parts(columns: Sequence[Column]) -> list[Part]:
    """What keys are made of, for the columns there are."""
    made: list[Part] = []

    def add(sql: str, *of: str) -> None:
        made.append(Part(sql, frozenset(of)))

    for column in columns:
        name = column.name
        if column.kind == "given":
            add("given", "given")
            add("left(given, 1)", "given")
            add("sounds(given)", "given")
        elif column.kind == "family":
            add("family", "family")
            add("sounds(family)", "family")
            add("left(family, 4)", "family")
            add("both_names", "given", "family")
        elif column.kind == "date":
            add("born", "born")
            add("born_year", "born")
            add("case when not born_is_vague then born_day end", "born")
            add("case when not born_is_vague then left(born_year, 3) || right(born_day, 2) end", "born")
        elif column.kind == "postal":
            add(name, name)
            add("postal_area", name)
        elif column.kind == "email":
            add(name, name)
            add("email_name", name)
        elif column.kind == "words":
            add("more_names::varchar", name)
        elif column.kind == "category":
            add(name, name)
        elif column.kind == "code":
            add(name, name)
            add(f"case when length({name}) >= 6 then left({name}, length({name}) // 2) end", name)
            add(f"case when length({name}) >= 6 then right({name}, length({name}) // 2) end", name)
        else:
            add(name, name)
            add(f"left({name}, 4)", name)
    return made


def keys(columns: Sequence[Column]) -> list[str]:
    """SQL expressions of a record; two records that agree on one are candidates. Every part and every two parts of different columns."""
    single = parts(columns)
    found = [part.sql for part in single]
    found += [f"({one.sql}) || '|' || ({two.sql})" for one, two in combinations(single, 2) if not one.of & two.of]
    return found


def block(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> Blocks:
    """What was chosen, after table `pairs` (l, r: uids with l < r, ordered) was made.

    A value shared by few records says more than one shared by many, so blocks are taken from the smallest up, over all keys together,
    until the budget is spent; what is common to thousands (a last name Smith) is then only used together with something else.
    """
    records = _one(connection, "select count(*) from records")
    expressions = keys(columns)
    connection.execute("create or replace temp table key_blocks (rule integer, key ubigint, records bigint)")
    for number, sql in enumerate(expressions):
        connection.execute(
            f"insert into key_blocks select {number}, hash({sql}) as key, count(*) as n from records "
            f"where ({sql}) is not null group by key having n > 1 and n <= 5000"
        )
    sizes = connection.execute("""
        select records, sum(records * (records - 1) // 2)::bigint as pairs from key_blocks group by records order by records
    """).fetchall()
    raw_budget = min(RAW_PAIRS_PER_RECORD * records, MOST_RAW_PAIRS)
    largest, total = 0, 0
    for size, pairs in sizes:
        # two records that share a value are compared whatever the budget, as long as it holds at all
        if total + pairs > raw_budget:
            break
        largest, total = size, total + pairs
    connection.execute("create or replace temp table found (l bigint, r bigint, size bigint)")
    for number, sql in enumerate(expressions):
        connection.execute(f"""
            insert into found
            with members as (
                select uid, key, key_blocks.records as size
                from (select uid, hash({sql}) as key from records where ({sql}) is not null)
                inner join (select * from key_blocks where rule = {number} and records <= {largest}) as key_blocks using (key)
            )
            select a.uid as l, b.uid as r, a.size
            from members as a inner join members as b on a.key = b.key and a.uid < b.uid
        """)
    connection.execute("""
        create or replace temp table ranked as select l, r, min(size) as size, count(*) as times from found group by l, r
    """)
    budget = PAIRS_PER_RECORD * records
    connection.execute(f"""
        create or replace table pairs as
        select l, r from (select l, r from ranked order by size, times desc, l, r limit {budget}) order by l, r
    """)
    distinct = _one(connection, "select count(*) from ranked")
    kept = _one(connection, "select count(*) from pairs")
    for table in ("key_blocks", "found", "ranked"):
        connection.execute(f"drop table {table}")
    notes = []
    if distinct > kept:
        notes.append(
            f"{distinct - kept:,} pairs that share only common values were left out to keep to {PAIRS_PER_RECORD} pairs per record"
        )
    return Blocks(len(expressions), largest, kept, records, notes)


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
