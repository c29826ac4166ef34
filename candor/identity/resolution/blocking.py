"""Which pairs of records are compared at all: keys chosen from the data, within a budget of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from candor.identity.resolution.columns import Column

if TYPE_CHECKING:
    import duckdb

# Different pairs compared per record at most. 60 leaves room for persons with dozens of records: fewer than all true pairs cost recall
# directly (made-up persons of ten records: F1 0.80, 0.966, 0.976 with 10, 21, 60 pairs), more are pairs that share only common values.
PAIRS_PER_RECORD = 60
# ... and so many in all: 20 M pairs with their levels and odds are under 2 GB. From 330,000 records on there are fewer per record.
PAIRS = 20_000_000
# Pairs are gathered in steps of at most so many per record, counted once per key that finds them, and made distinct after each step ...
STEP_PER_RECORD = 120
# ... and of at most so many in all (16 bytes each, so under a gigabyte is held at once).
STEP = 40_000_000
# It ends when this many were looked at: a true pair is found by up to a hundred keys, so ten times the distinct budget is not much.
LOOKED_AT_PER_RECORD = 1200
LOOKED_AT = 120_000_000
# A value that more records than this share is no key, whatever the budget.
LARGEST_BLOCK = 5000


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
            add("given_sound", "given")
        elif column.kind == "family":
            add("family", "family")
            add("family_sound", "family")
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


def block(
    connection: duckdb.DuckDBPyConnection,
    columns: Sequence[Column],
    *,
    per_record: int | None = None,
    between: str | None = None,
) -> Blocks:
    """What was chosen, after table `pairs` (l, r: uids with l < r, ordered) was made.

    `between` names a column of table `records`: only pairs whose values there differ count, and records without one take no part.

    A value shared by few records says more than one shared by many, so blocks are taken from the smallest up, over all keys together,
    until the budget is spent; what is common to thousands (a last name Smith) is then only used together with something else.
    """
    per_record = per_record or PAIRS_PER_RECORD
    part = f"{between} is not null" if between else "true"
    records = _one(connection, f"select count(*) from records where {part}")
    expressions = keys(columns)
    connection.execute("create or replace temp table key_blocks (rule integer, key ubigint, size bigint)")
    for number, sql in enumerate(expressions):
        connection.execute(
            f"insert into key_blocks select {number}, hash({sql}) as key, count(*) as size from records "
            f"where ({sql}) is not null and {part} group by key having size between 2 and {LARGEST_BLOCK}"
        )
    sizes = connection.execute(
        "select size, sum(size * (size - 1) // 2)::bigint from key_blocks group by size order by size"
    ).fetchall()
    budget = min(per_record * records, PAIRS)
    step, most = min(STEP_PER_RECORD * records, STEP), min(LOOKED_AT_PER_RECORD * records, LOOKED_AT)
    connection.execute("create or replace temp table ranked (l integer, r integer, size integer)")
    largest, looked_at, distinct = 0, 0, 0
    while distinct < budget:
        upto, taken = _next_step(sizes, largest, min(step, most - looked_at))
        if taken == 0:
            break
        _gather(connection, expressions, largest, upto, between)
        largest, looked_at = upto, looked_at + taken
        distinct = _one(connection, "select count(*) from ranked")
    connection.execute(
        f"create or replace table pairs as select l, r from (select l, r from ranked order by size, l, r limit {budget}) order by l, r"
    )
    kept = _one(connection, "select count(*) from pairs")
    too_large = _one(connection, f"select count(*) from key_blocks where size > {largest}")
    connection.execute("drop table key_blocks")
    connection.execute("drop table ranked")
    notes = []
    if too_large or distinct > kept:
        notes.append(
            f"compared {kept:,} pairs that share a value, or two values together, with at most {largest:,} records; "
            f"{too_large:,} commoner values brought no pair by themselves (budget: {per_record} pairs per record)"
        )
    return Blocks(len(expressions), largest, kept, records, notes)


def _next_step(sizes: Sequence[tuple[int, int]], after: int, room: int) -> tuple[int, int]:
    """(largest block size, pairs in blocks) of the sizes beyond `after` that fit into `room`; (after, 0) when none does."""
    upto, taken = after, 0
    for size, pairs in sizes:
        if size > after:
            if taken + pairs > room:
                break
            upto, taken = size, taken + pairs
    return upto, taken


def _gather(
    connection: duckdb.DuckDBPyConnection, expressions: Sequence[str], after: int, upto: int, between: str | None
) -> None:
    """Add to `ranked` the new pairs of blocks with more than `after` and at most `upto` records, with the smallest such block."""
    side, differ = (f"{between} as side", "a.side <> b.side") if between else ("0 as side", "true")
    connection.execute("create or replace temp table found (l integer, r integer, size integer)")
    for number, sql in enumerate(expressions):
        connection.execute(f"""
            insert into found
            with members as (
                select hashed.uid, hashed.side, hashed.key, key_blocks.size
                from (select uid, {side}, hash({sql}) as key from records where ({sql}) is not null) as hashed
                inner join key_blocks on key_blocks.key = hashed.key
                where key_blocks.rule = {number} and key_blocks.size > {after} and key_blocks.size <= {upto}
            )
            select a.uid, b.uid, a.size from members as a inner join members as b on a.key = b.key and a.uid < b.uid and {differ}
        """)
    connection.execute("""
        insert into ranked
        select found.l, found.r, min(found.size) from found anti join ranked on found.l = ranked.l and found.r = ranked.r
        group by found.l, found.r
    """)
    connection.execute("drop table found")


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
