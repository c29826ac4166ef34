"""Which records of one table are somebody in another, when a model can be learned from pairs that are known already.

Unlike `persons.resolve`, nothing has to be guessed: how records of one person compare is counted on pairs that something else proved (an
e-mail address, a phone number), how strangers compare on random pairs across the two tables, and only the share of true pairs among
all is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from candor.identity.resolution import blocking, dependence, evidence, learning, model, standardise
from candor.identity.resolution.columns import Column

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow

# Fewer known pairs tell too little of how one person's records compare: a level that one pair in fifty reaches would be seen four times.
LEAST_KNOWN = 200
# Pairs compared per record at most. Links are one to one, so what a record shares only with dozens of others finds nobody anyway.
PAIRS_PER_RECORD = 5
# Random pairs across the tables; drawn by hash.
RANDOM_PAIRS = 300_000
ROUNDS = 100
# Pairs below this log2 odds are not scored by Splink: ten of them take two thousandths from a pair's probability.
HOPELESS = -12.0


@dataclass(frozen=True)
class Links:
    """`table`: left_id, right_id, probability of every pair above the threshold, ordered; how it came about beside it."""

    table: pyarrow.Table
    columns: list[Column]
    weights: learning.Weights
    pairs_compared: int


def link(
    left: pyarrow.Table,
    right: pyarrow.Table,
    known: pyarrow.Table,
    *,
    threshold: float,
    proved_by: Sequence[str] = (),
    seed: int = 1,
    config: dict[str, Any] | None = None,
) -> Links | None:
    """The pairs of a `left` and a `right` record that are one person with at least this probability, at most one pair per record.

    `left` and `right` have record_id, `is_wanted` (boolean; the other records only serve to learn from) and columns as `persons.resolve`
    understands them; `known` has left_id and right_id, pairs that are surely one person. `proved_by` names the columns whose equality proved them:
    that cannot be learned from, and wanted pairs that are equal there have been judged elsewhere, so they are left out; how these columns
    compare when they differ still counts. `config`: DuckDB's. None when fewer than LEAST_KNOWN pairs are known.

    The probability is that of the pair against everybody else either record might be, and nobody at all: with odds o of each pair,
    o(l, r) / (1 + the sum of o over all pairs with l or r), so two equally good candidates get at most a half each. Model: Fellegi and
    Sunter, A Theory for Record Linkage, JASA 1969, scored by Splink; m from known pairs, u from strangers; the prior is the fixed point of
    expectation maximisation with m and u held.
    """
    import duckdb
    import numpy as np

    if known.num_rows < LEAST_KNOWN:
        return None
    with duckdb.connect(config=config or {}) as connection:
        connection.execute("set enable_progress_bar = false")
        wanted = {"left": left["is_wanted"], "right": right["is_wanted"]}
        tables = {"left": left.drop_columns(["is_wanted"]), "right": right.drop_columns(["is_wanted"])}
        standardise.load(connection, tables)
        columns = standardise.standardise(connection)
        _sides(connection, tables, wanted)
        _put_known(connection, known)
        _put_strangers(connection, seed)
        strangers = evidence.compare(connection, columns, "random_pairs")
        said = np.asarray((strangers.level >= 0).any(axis=0))  # what one of the tables never says compares with nothing
        columns = [column for column, yes in zip(columns, said, strict=True) if yes]
        strangers = evidence.Pairs(strangers.left, strangers.right, strangers.level[:, said])
        proof = [number for number, column in enumerate(columns) if column.role in proved_by]
        proven, strangers = (
            _without(pairs, proof) for pairs in (evidence.compare(connection, columns, "known_pairs"), strangers)
        )
        blocking.block(connection, columns, per_record=PAIRS_PER_RECORD, between="side")
        pairs = evidence.compare(connection, columns, "pairs")
        pairs = pairs.take(~(pairs.level[:, proof] == 0).any(axis=1))
        codes = [evidence.value_codes(connection, column) if evidence.uses_frequency(column) else None for column in columns]
        frequency = [None if code is None else learning.frequencies(code) for code in codes]
        everything = _one(connection, "select count(*) filter (where side = 0) * count(*) filter (where side = 1) from records")
        weights = learning.learn_from_known(columns, proven, strangers)
        weights.depends = dependence.find(columns, strangers, weights, frequency)
        weights = learning.learn_from_known(columns, proven, strangers, weights.depends)
        weights.prior = _prior(columns, pairs, weights, frequency, max(everything, 1))
        odds = learning.score(columns, pairs, weights, frequency)
        possible = odds > HOPELESS
        pairs = pairs.take(possible)
        odds = model.score(connection, columns, weights, pairs, frequency)
        probability = against_others(pairs.left, pairs.right, odds)
        table = _answer(connection, pairs, probability, threshold)
    return Links(table, columns, weights, len(possible))


def against_others(
    left: npt.NDArray[np.int32], right: npt.NDArray[np.int32], odds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The probability of each pair against all others of its two records and against nobody, rounded; `odds` are log2.

    Records are numbered over both tables, and either may stand on the left.
    """
    import numpy as np

    worth = np.exp2(np.clip(odds, -60, 60))
    count = int(max(left.max(initial=-1), right.max(initial=-1))) + 1
    of_record = np.bincount(left, weights=worth, minlength=count) + np.bincount(right, weights=worth, minlength=count)
    return np.round(worth / (1 + of_record[left] + of_record[right] - worth), 6)


def _sides(
    connection: duckdb.DuckDBPyConnection, tables: dict[str, pyarrow.Table], wanted: dict[str, pyarrow.ChunkedArray]
) -> None:
    """Column `side` of table `records`: 0 or 1 for the wanted records of the left or right table, null for the others."""
    import pyarrow

    for name, table in tables.items():
        connection.register(f"wanted_{name}", pyarrow.table({"record_id": table["record_id"], "is_wanted": wanted[name]}))
    connection.execute("""
        create or replace table records as
        select records.*, case when wanted.is_wanted then wanted.side end as side
        from records
        inner join given using (uid)
        inner join (
            select 'left' as source, record_id, is_wanted, 0 as side from wanted_left
            union all
            select 'right', record_id, is_wanted, 1 from wanted_right
        ) as wanted on given.source = wanted.source and given.record_id = wanted.record_id
        order by uid
    """)


def _without(pairs: evidence.Pairs, columns: Sequence[int]) -> evidence.Pairs:
    """`pairs` as if nobody knew of these columns where they are equal."""
    level = pairs.level.copy()
    for number in columns:
        level[level[:, number] == 0, number] = -1
    return evidence.Pairs(pairs.left, pairs.right, level)


def _put_known(connection: duckdb.DuckDBPyConnection, known: pyarrow.Table) -> None:
    """Temp table known_pairs (l, r: uids with l < r)."""
    connection.register("known", known)
    connection.execute("""
        create or replace temp table known_pairs as
        select distinct least(one.uid, other.uid) as l, greatest(one.uid, other.uid) as r
        from known
        inner join given as one on one.source = 'left' and one.record_id = known.left_id
        inner join given as other on other.source = 'right' and other.record_id = known.right_id
    """)
    connection.unregister("known")


def _put_strangers(connection: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Temp table random_pairs (l, r), across the tables and over all records: wanted or not, a stranger is a stranger."""
    connection.execute("""
        create or replace temp table sides as
        select uid, source, row_number() over (partition by source order by uid) - 1 as place from given
    """)
    # The numbers are put into the text: asked for in the query that draws, they are joined to each of its rows, fifteen times as slow.
    left, right = (_one(connection, f"select count(*) from sides where source = '{source}'") for source in ("left", "right"))
    connection.execute(f"""
        create or replace temp table random_pairs as
        with drawn as (
            select
                (hash({int(seed)}, 'left', range) % {left})::bigint as one,
                (hash({int(seed)}, 'right', range) % {right})::bigint as other
            from range({RANDOM_PAIRS})
        )
        select distinct least(one.uid, other.uid) as l, greatest(one.uid, other.uid) as r
        from drawn
        inner join sides as one on one.source = 'left' and one.place = drawn.one
        inner join sides as other on other.source = 'right' and other.place = drawn.other
        anti join known_pairs on known_pairs.l = least(one.uid, other.uid) and known_pairs.r = greatest(one.uid, other.uid)
    """)
    connection.execute("drop table sides")


def _prior(
    columns: Sequence[Column],
    pairs: evidence.Pairs,
    weights: learning.Weights,
    frequency: Sequence[npt.NDArray[np.float64] | None],
    everything: int,
) -> float:
    """The share of true pairs among `everything`, m and u held: each record is one other at most, so `against_others` says what is expected."""
    import numpy as np

    prior = 0.5
    weights.prior = prior
    bare = learning.score(columns, pairs, weights, frequency)  # log2 of m / u alone
    prior = min(0.1, len(pairs) / everything)
    for _ in range(ROUNDS):
        expected = against_others(pairs.left, pairs.right, bare + np.log2(prior / (1 - prior))).sum()
        found = min(0.5, max(float(expected), 0.5) / everything)
        if abs(found - prior) <= 1e-3 * prior:
            break
        prior = found
    return round(prior, 15)


def _answer(
    connection: duckdb.DuckDBPyConnection, pairs: evidence.Pairs, probability: npt.NDArray[np.float64], threshold: float
) -> pyarrow.Table:
    import pyarrow

    kept = probability >= threshold
    connection.register(
        "answer", pyarrow.table({"l": pairs.left[kept], "r": pairs.right[kept], "probability": probability[kept]})
    )
    table = connection.execute("""
        select
            case when one.source = 'left' then one.record_id else other.record_id end as left_id,
            case when one.source = 'left' then other.record_id else one.record_id end as right_id,
            answer.probability
        from answer
        inner join given as one on one.uid = answer.l
        inner join given as other on other.uid = answer.r
        order by left_id, right_id
    """).to_arrow_table()
    connection.unregister("answer")
    return table


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
