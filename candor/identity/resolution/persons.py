"""From tables of records to persons: read, block, learn, score, cluster, twice over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import UsageError
from candor.identity.resolution import blocking, clustering, dependence, evidence, kin, learning, model, standardise
from candor.identity.resolution.columns import Column, rename

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow

# The probability from which records are taken for one person when nobody says otherwise: as likely as not, which makes the fewest wrong
# decisions when joining two persons and splitting one are equally bad. Raise it where joining is worse.
THRESHOLD = 0.5
# Groups are drawn this many bits more loosely once, only to see which further pairs deserve to be compared.
LOOSE = -3.0
# Of pairs inside such groups at most this many per record are compared.
INSIDE_PER_RECORD = 60
# A source is taken to hold each person once if it has under one sure pair (log2 odds above SURE) within for 50 with other sources: relatives
# and namesakes alone make one in a hundred, a customer file that nobody cleans five in a hundred and more ...
SURE = 6.0
UNIQUE_SHARE = 0.02
# ... and there are enough sure pairs with other sources to tell; a bit mask of 64 bits has room for 62 sources.
UNIQUE_PAIRS = 30
UNIQUE_SOURCES = 62


@dataclass(frozen=True)
class Resolution:
    """`table`: source, record_id, person_id, probability, ordered by source and record_id; the rest says how it came about."""

    table: pyarrow.Table
    columns: list[Column]
    weights: learning.Weights
    blocks: blocking.Blocks
    pairs_compared: int
    unique_sources: list[str]
    notes: list[str] = field(default_factory=list)


def resolve(
    tables: Mapping[str, pyarrow.Table],
    *,
    threshold: float = THRESHOLD,
    unique_sources: Sequence[str] | None = None,
    saved: Path | None = None,
    seed: int = 1,
    threads: int = 2,
    connection: duckdb.DuckDBPyConnection | None = None,
    told: Callable[[str], None] | None = None,
) -> Resolution:
    """Who is who among the records of all tables. {source: records}; a column `source` in a table wins over its key.

    Every record comes out once. The same records give the same answer, whatever the order of rows, columns and tables. `unique_sources` hold
    each person at most once; None finds out. `saved` is read when it exists, so that a later batch is judged by the same model, else written.
    `connection`: one to an empty DuckDB, whose limits then hold in place of `threads`; it is left full of tables.
    Raises UsageError for records that cannot be told apart (see standardise.load) or compared, or a threshold outside 0 to 1.
    """
    import duckdb

    if not 0 < threshold < 1:
        raise UsageError(
            f"threshold {threshold} is not a probability between 0 and 1",
            hint="0.5 = as likely as not; 0.99 joins only what is sure",
        )
    told = told or (lambda _: None)
    named = {
        name: table.rename_columns(list(rename(table.column_names, {}, file=name).values())) for name, table in tables.items()
    }
    lacking = sorted(name for name, table in named.items() if "record_id" not in table.column_names)
    if lacking or not named:
        raise UsageError(
            f"no column record_id in {', '.join(lacking) or 'no table at all'}",
            hint="every table needs a record_id, unique in its source",
        )
    if connection is not None:
        return _resolve(connection, named, threshold, unique_sources, saved, seed, told)
    with duckdb.connect(config={"threads": threads}) as own:
        return _resolve(own, named, threshold, unique_sources, saved, seed, told)


def _resolve(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, pyarrow.Table],
    threshold: float,
    unique_sources: Sequence[str] | None,
    saved: Path | None,
    seed: int,
    told: Callable[[str], None],
) -> Resolution:
    import numpy as np

    records = standardise.load(connection, tables)
    columns = standardise.standardise(connection)
    fixed = None
    if saved is not None and saved.exists():
        columns, fixed = _reuse(saved, columns)
    told(f"{records:,} records, compared by {', '.join(column.name.removeprefix('x_') for column in columns)}")
    blocks = blocking.block(connection, columns)
    told(f"{blocks.pairs:,} pairs of records share something rare enough to compare")
    pairs = evidence.compare(connection, columns, "pairs")
    strangers = evidence.strangers(connection, columns, seed)
    codes = [evidence.value_codes(connection, column) if evidence.uses_frequency(column) else None for column in columns]
    sources = _sources(connection)
    all_pairs = max(records * (records - 1) // 2, 1)
    least = float(np.log2(threshold / (1 - threshold)))

    told("learning what agreement is worth")
    frequency = [None if code is None else learning.frequencies(code) for code in codes]
    weights = fixed or learning.learn(columns, pairs, strangers, all_pairs, frequency)
    depends = weights.depends if fixed else dependence.find(columns, strangers, weights, frequency)
    if not fixed and any(depends):
        weights = learning.learn(columns, pairs, strangers, all_pairs, frequency, depends)
    odds = learning.score(columns, pairs, weights, frequency)
    unique = _unique(sources, pairs, odds) if unique_sources is None else _named(sources, unique_sources)
    mask = _mask(sources, unique)
    if unique:
        apart = (mask[pairs.left] & mask[pairs.right]) == 0
        pairs, odds = pairs.take(apart), odds[apart]
        inside = np.bincount(sources.number)[[sources.names.index(name) for name in unique]]
        all_pairs = max(all_pairs - int((inside * (inside - 1) // 2).sum()), 1)
    loose = clustering.cluster(records, pairs.left, pairs.right, odds, least=least + LOOSE, unique=mask)
    pairs = _with_pairs_inside(connection, columns, pairs, loose)
    odds = learning.score(columns, pairs, weights, frequency)
    group = clustering.cluster(records, pairs.left, pairs.right, odds, least=least, unique=mask)
    # the second time with what the first found: which values go together, and how frequent one is among persons rather than records
    again = kin.learn(connection, columns, group)
    pairs, strangers = (evidence.compare_again(connection, columns, again, some) for some in (pairs, strangers))
    frequency = [None if code is None else learning.frequencies(code, group) for code in codes]
    weights = fixed or learning.learn(columns, pairs, strangers, all_pairs, frequency, depends)
    told(f"scoring {len(pairs):,} pairs with Splink")
    odds = learning.score(columns, pairs, weights, frequency)
    possible = odds > clustering.MOST_AGAINST - 1  # below, evidence counts as MOST_AGAINST whatever it is
    odds[possible] = model.score(connection, columns, weights, pairs.take(possible), frequency)
    group = clustering.cluster(records, pairs.left, pairs.right, odds, least=least, unique=mask)
    probability = clustering.certainty(group, pairs.left, pairs.right, odds)
    if saved is not None and fixed is None:
        model.save(saved, columns, weights)
    table = _answer(connection, group, probability)
    return Resolution(table, columns, weights, blocks, len(pairs), unique, blocks.notes)


def _with_pairs_inside(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], pairs: evidence.Pairs, group: npt.NDArray[np.int64]
) -> evidence.Pairs:
    """`pairs` and every pair inside a group that was not compared yet, ordered."""
    import numpy as np
    import pyarrow

    left, right = clustering.pairs_within(group, pairs.left, pairs.right, INSIDE_PER_RECORD * len(group))
    if len(left) == 0:
        return pairs
    connection.register("inside", pyarrow.table({"l": left, "r": right}))
    more = evidence.compare(connection, columns, "inside")
    connection.unregister("inside")
    both = [np.concatenate([getattr(pairs, name), getattr(more, name)]) for name in ("left", "right", "level")]
    order = np.lexsort((both[1], both[0]))
    return evidence.Pairs(both[0][order], both[1][order], both[2][order])


@dataclass(frozen=True)
class _Sources:
    names: list[str]
    number: npt.NDArray[np.int64]


def _sources(connection: duckdb.DuckDBPyConnection) -> _Sources:
    import numpy as np

    names, number = np.unique(
        np.array(connection.execute("select source from given order by uid").fetchnumpy()["source"], dtype=str),
        return_inverse=True,
    )
    return _Sources([str(name) for name in names], number.astype(np.int64))


def _unique(sources: _Sources, pairs: evidence.Pairs, odds: npt.NDArray[np.float64]) -> list[str]:
    """Sources that seem to hold each person once: surely linked to others, never within themselves."""
    import numpy as np

    if not 2 <= len(sources.names) <= UNIQUE_SOURCES:
        return []
    sure = odds > SURE
    a, b = sources.number[pairs.left[sure]], sources.number[pairs.right[sure]]
    within = np.bincount(a[a == b], minlength=len(sources.names))
    across = np.bincount(np.concatenate([a[a != b], b[a != b]]), minlength=len(sources.names))
    found = (across >= UNIQUE_PAIRS) & (within <= UNIQUE_SHARE * across)
    return [name for name, yes in zip(sources.names, found, strict=True) if yes]


def _named(sources: _Sources, names: Sequence[str]) -> list[str]:
    unknown = sorted(set(names) - set(sources.names))
    if unknown:
        raise UsageError(
            f"no record is of the source {', '.join(map(repr, unknown))}; sources: {', '.join(sources.names[:10])}",
            hint="a source is the value of the column source, or the file's name without its ending",
        )
    if len(set(names)) > UNIQUE_SOURCES:
        raise UsageError(
            f"{len(set(names))} unique sources are more than the {UNIQUE_SOURCES} there is room for", hint="name the largest"
        )
    return sorted(set(names))


def _mask(sources: _Sources, unique: Sequence[str]) -> npt.NDArray[np.int64]:
    import numpy as np

    bits = np.zeros(len(sources.names), dtype=np.int64)
    for bit, name in enumerate(unique):
        bits[sources.names.index(name)] = 1 << bit
    return bits[sources.number]


def _reuse(path: Path, columns: Sequence[Column]) -> tuple[list[Column], learning.Weights]:
    """The saved model for the columns there are now. Raises UsageError when one is missing."""
    wanted, weights = model.load(path)
    have = {column.name for column in columns}
    missing = sorted(column.name.removeprefix("x_") for column in wanted if column.name not in have)
    if missing:
        raise UsageError(
            f"{path} compares by {', '.join(missing)}, which these records do not have",
            hint="give such records, or another --model file",
        )
    return wanted, weights


def _answer(
    connection: duckdb.DuckDBPyConnection, group: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]
) -> pyarrow.Table:
    import numpy as np
    import pyarrow

    connection.register("answer", pyarrow.table({"uid": np.arange(len(group)), "root": group, "probability": probability}))
    # the id of a person is a hash of its first record's id, with its source only where ids repeat between sources:
    # renaming a file then changes no person
    table = connection.execute("""
        with anchors as (
            select uid, case when count(*) over (partition by record_id) > 1 then source || chr(31) || record_id else record_id end as anchor
            from given
        )
        select given.source, given.record_id, 'p' || left(sha256(anchors.anchor), 16) as person_id, answer.probability
        from given
        inner join answer on given.uid = answer.uid
        inner join anchors on anchors.uid = answer.root
        order by given.source, given.record_id
    """).to_arrow_table()
    connection.unregister("answer")
    return table
