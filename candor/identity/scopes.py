"""What a batch has to compute: everything, or the families in which something is new, gone or different since the last batch.

Every row that the layer reads has a `row_key`, a hash of all that is read of it, which dbt keeps beside the row (macros/functions.sql).
So a day is compared with what is remembered (`memory`) by one number a row, and of wide tables only what is touched is read:

    row keys ─▶ new or gone (`hashes`) ─▶ families touched ─▶ their row keys ─▶ scope_*

`scope_identifiers`, `scope_edges`, `scope_claims`, `scope_key_map` and `scope_persons` are what the rest of the layer reads: views of
everything, or temp tables of what is touched.

Rows are told apart by 64 bits. That a changed row goes unnoticed at a million people and 1 % new rows has a chance of one in thirty
million a day. Two identifiers with one hash only make a family larger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from candor.identity import memory
from candor.identity.hashes import taken, unmatched

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    from candor.identity.overrides import Override

# The rows that the layer reads. A claim that says nothing is none.
READ = {
    "identifiers": "identity.identifiers",
    "edges": "identity.edges",
    "claims": "(select * from vault.identity.int_record_claims where birth_date is not null or (is_verified and name is not null))",
}

# The identifiers that a row names.
NAMED = {"identifiers": "identifier_key", "edges": "identifier_key, other_key", "claims": "record_key"}

# What of a row is computed with. An edge is nothing but numbers, named only when it is cut.
COLUMNS = {
    "identifiers": "identifier_kind, identifier, is_hub, is_blocked, identifier_key, row_key",
    "edges": "rowid as place, identifier_key, other_key, evidence_rank::tinyint as evidence_rank, first_known_at, row_key",
    "claims": "record_kind, record_id, birth_date, name, first_name, last_name, is_verified, row_key",
}

# From this share of identifiers on, to compute everything costs no more than to find out what need not be.
MOST = 0.5

WHOLE = {
    **{name: f"select {COLUMNS[name]} from {rows} as rows_read" for name, rows in READ.items()},
    "persons": "select * from state.persons",
    "key_map": "select person_id, identifier_kind, identifier, batch_seq from state.key_map",
}

# Claims of touched records: one that was no node before has none in the memory.
TOUCHED = {
    "identifiers": f"{WHOLE['identifiers']} where row_key in (select row_key from touched_identifiers)",
    "edges": f"{WHOLE['edges']} where row_key in (select row_key from touched_edges)",
    "claims": f"{WHOLE['claims']} where record_key in (select identifier_key from scope_identifiers)",
    "persons": """
        select persons.*
        from state.persons as persons
        semi join (
            select memory_persons.person_id
            from identity.memory_persons
            semi join touched_families
                on memory_persons.family = touched_families.family
        ) as touched
            on persons.person_id = touched.person_id
    """,
    "key_map": """
        select
            key_map.person_id,
            key_map.identifier_kind,
            key_map.identifier,
            key_map.batch_seq
        from state.key_map as key_map
        semi join scope_persons
            on key_map.person_id = scope_persons.person_id
    """,
}


@dataclass(frozen=True)
class Scope:
    """What a batch computes: everything, and `because` of what; or the families touched."""

    because: str
    premises: str
    unlinks: str
    families: np.ndarray = field(repr=False)  # touched
    first_free: int = 0  # families from here on have no number yet

    @property
    def is_whole(self) -> bool:
        return bool(self.because)

    @property
    def counts(self) -> dict[str, Any]:
        """{recomputed, and recomputed_because or touched_families}."""
        if self.is_whole:
            return {"recomputed": "all", "recomputed_because": self.because}
        return {"recomputed": "touched", "touched_families": len(self.families)}


def open_scope(
    connection: duckdb.DuckDBPyConnection, *, batch_seq: int, guards: int, hash_key: str, overrides: tuple[Override, ...]
) -> Scope:
    """What this batch has to compute, as `scope_*`; of people touched, what stood of them in schema identity is gone after it."""
    import numpy as np

    premises = memory.premises_of(connection, guards=guards, hash_key=hash_key)
    pairs = sorted(sorted([each.one, each.other]) for each in overrides if each.action == "unlink")
    unlinks = json.dumps(pairs)
    because = memory.why_whole(connection, batch_seq, premises)
    touched = None if because else _touched(connection, pairs)
    if touched is not None and touched.is_most:
        because = "most people are touched"
    if because or touched is None:
        for name, query in WHOLE.items():
            connection.execute(f"create temp view scope_{name} as {query}")
        return Scope(because, premises, unlinks, np.zeros(0, dtype=np.int32))
    _take(connection, touched)
    for name in ("person_identifiers", "persons", "person_aliases"):
        connection.execute(f"delete from identity.{name} where person_id in (select person_id from scope_persons)")
    return Scope("", premises, unlinks, touched.families, touched.first_free)


def close_scope(connection: duckdb.DuckDBPyConnection, scope: Scope) -> None:
    """Drop what `open_scope` made, and the arrays' tables beside it: they are as large as the warehouse's own."""
    for name in WHOLE:
        connection.execute(f"drop {'view' if scope.is_whole else 'table'} scope_{name}")
    connection.execute("drop view nodes")
    for name in ("sorted_nodes", "links", "cuts", "claims", "earlier_persons", "minted_persons", "new_persons"):
        connection.execute(f"drop table temp.{name}")


@dataclass(frozen=True)
class Touched:
    """The families touched, and the row keys of what is theirs."""

    families: np.ndarray
    first_free: int
    identifiers: np.ndarray
    edges: np.ndarray
    is_most: bool


def _touched(connection: duckdb.DuckDBPyConnection, unlinks: list[Any]) -> Touched:
    """Compare the rows of today with the keys of those read last time."""
    import numpy as np

    (first_free, unlinked), *_ = connection.execute("select first_free, unlinks from identity.memory_batch").fetchall()
    touched, named = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    before, new, count = {}, {}, {}
    for name, rows in READ.items():
        before[name] = _columns(connection, f"select row_key, family from identity.memory_{name}")
        row_keys, *named_keys = _columns(connection, f"select row_key, {NAMED[name]} from {rows} as rows_read")
        gone, is_new = unmatched(before[name][0], row_keys)
        new[name], count[name] = taken(row_keys, is_new), sum(map(len, row_keys))
        touched.append(taken(before[name][1], gone))
        named += [taken(keys, is_new) for keys in named_keys]
    changed = [end for pair in _differing(unlinks, json.loads(unlinked)) for end in pair]
    for end in changed:
        named += connection.execute("select identifier_key($kind, $identifier) as key", end).fetchnumpy().values()
    touched += _families_of(connection, np.concatenate(named))
    is_touched = np.zeros(first_free, dtype=bool)
    is_touched[np.concatenate(touched)] = True

    theirs = {}
    for name, (row_keys, families) in before.items():
        known = [part[is_touched[family]] for part, family in zip(row_keys, families, strict=True)]
        theirs[name] = np.concatenate([*known, new[name]])
    return Touched(
        np.flatnonzero(is_touched).astype(np.int32),
        first_free,
        theirs["identifiers"],
        theirs["edges"],
        is_most=len(theirs["identifiers"]) > MOST * count["identifiers"],
    )


def _columns(connection: duckdb.DuckDBPyConnection, query: str) -> list[list[np.ndarray]]:
    """The columns of a query that finds no nulls, each in one part at least: the parts are not copied into one array."""
    import pyarrow as pa

    columns = connection.execute(query).to_arrow_table().columns
    parts = [column.chunks or [pa.array([], column.type)] for column in columns]
    return [[part.to_numpy(zero_copy_only=True) for part in column] for column in parts]


def _families_of(connection: duckdb.DuckDBPyConnection, keys: np.ndarray) -> list[np.ndarray]:
    """The families of identifiers, given as hashes, that were nodes or absent in the last batch."""
    import pyarrow as pa

    connection.register("named_keys", pa.table({"key": keys}))
    found = []
    for name in ("identifiers", "absent"):
        query = f"select family from identity.memory_{name} where key in (select key from named_keys)"
        found.append(connection.execute(query).fetchnumpy()["family"])
    connection.unregister("named_keys")
    return found


def _differing(pairs: list[Any], before: list[Any]) -> list[list[dict[str, str]]]:
    """The pairs that stand in only one of two lists, their ends as parameters."""
    both = [{tuple(map(tuple, pair)) for pair in each} for each in (pairs, before)]
    return [[{"kind": kind, "identifier": identifier} for kind, identifier in pair] for pair in sorted(both[0] ^ both[1])]


def _take(connection: duckdb.DuckDBPyConnection, touched: Touched) -> None:
    """Make the temp tables `scope_*` of what is touched, and forget what was cut there."""
    import pyarrow as pa

    given = {
        "touched_families": {"family": touched.families},
        "touched_identifiers": {"row_key": touched.identifiers},
        "touched_edges": {"row_key": touched.edges},
    }
    for name, arrays in given.items():
        connection.register(name, pa.table(arrays))
    for name, query in TOUCHED.items():
        connection.execute(f"create temp table scope_{name} as {query}")
    connection.execute("delete from identity.memory_cuts where family in (select family from touched_families)")
    for name in given:
        connection.unregister(name)
