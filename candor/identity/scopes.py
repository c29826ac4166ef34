"""What a batch has to compute: everything, or the families in which something is new, gone or different since the last batch.

Every row that the layer reads has a `row_key`, a hash of all that is read of it. dbt keeps those of identifiers and edges beside the row
(macros/functions.sql), so that to compare a day with what is remembered (`memory`) is to read one number a row. Of wide tables only what
is touched is read:

    row keys ─▶ new or gone (`hashes`) ─▶ families touched ─▶ their row keys ─▶ edges_read, scope_*

`scope_identifiers`, `scope_edges`, `scope_claims`, `scope_key_map` and `scope_persons` are what the rest of the layer reads: views of
everything, or of what is touched. `edges_read` has the edges whole, with their places in identity.edges.

Rows are told apart by 64 bits. That a changed row goes unnoticed at a million people and 1 % new rows has a chance of one in thirty
million a day. Two identifiers with one hash only make a family larger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from candor.identity import memory
from candor.identity.hashes import unmatched

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    from candor.identity.clusters import Clusters
    from candor.identity.overrides import Override

# The rows that the layer reads, with row_key. First and last name follow from the name.
READ = {
    "identifiers": "(select identifier_kind, identifier, is_hub, is_blocked, row_key from identity.identifiers)",
    "edges": "identity.edges",
    "claims": """(
    select
        *,
        hash(hash(record_kind, record_id), birth_date, name, is_verified) as row_key
    from vault.identity.int_record_claims
    where birth_date is not null
        or (is_verified and name is not null)
)""",
}

# The identifiers that a row names, as hashes.
NAMED = {
    "identifiers": "hash(identifier_kind, identifier)",
    "edges": "unnest([hash(identifier_kind, identifier), hash(other_kind, other_identifier)])",
    "claims": "hash(record_kind, record_id)",
}

# What the comparison needs of what is remembered.
KEPT = {"identifiers": "row_key, family", "edges": "row_key, family, cut", "claims": "row_key, family"}

# From this share of identifiers on, to compute everything costs no more than to find out what need not be.
MOST = 0.5

WHOLE = {
    "edges_read": "select *, rowid as place, 0 as standing_cut from identity.edges",
    "scope_identifiers": f"select * from {READ['identifiers']} as identifiers",
    "scope_claims": f"select * from {READ['claims']} as claims",
    "scope_persons": "select * from state.persons",
    "scope_key_map": "select * from state.key_map",
}

# Claims are few, and a record that was no node before has none in the memory: found by name.
TOUCHED = {
    "edges_read": """
        select
            edges.*,
            edges.rowid as place,
            touched_edges.standing_cut
        from identity.edges
        inner join touched_edges
            on edges.row_key = touched_edges.row_key
    """,
    "scope_identifiers": f"""
        select *
        from {READ["identifiers"]} as identifiers
        where row_key in (select row_key from touched_identifiers)
    """,
    "scope_claims": f"""
        select claims.*
        from {READ["claims"]} as claims
        semi join scope_identifiers
            on claims.record_kind = scope_identifiers.identifier_kind
            and claims.record_id = scope_identifiers.identifier
    """,
    "scope_persons": """
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
    "scope_key_map": """
        select key_map.*
        from state.key_map as key_map
        semi join scope_persons
            on key_map.person_id = scope_persons.person_id
    """,
}

# Of an edge the layer computes with nothing but numbers; it is named when it is cut.
SCOPE_EDGES = """
create temp view scope_edges as
select
    place,
    row_key,
    hash(identifier_kind, identifier) as one_key,
    hash(other_kind, other_identifier) as other_key,
    evidence_rank::tinyint as evidence_rank,
    epoch_ms(first_known_at) as known_ms
from edges_read
where standing_cut = 0
"""


@dataclass(frozen=True)
class Scope:
    """What a batch computes: everything, and `because` of what; or the families touched."""

    because: str
    premises: str
    unlinks: str
    families: np.ndarray = field(repr=False)  # touched
    first_free: int = 0  # families from here on have no number yet
    cut_places: np.ndarray | None = field(default=None, repr=False)  # edges outside the scope that stay cut ...
    cut_reasons: np.ndarray | None = field(default=None, repr=False)  # ... and why

    @property
    def is_whole(self) -> bool:
        return bool(self.because)

    def with_standing_cuts(self, formed: Clusters) -> tuple[np.ndarray, np.ndarray]:
        """The places in identity.edges of all that is cut, in this scope and outside it, and why."""
        import numpy as np

        places, reasons = formed.cut_edge, formed.cut[formed.cut > 0]
        if self.cut_places is None or self.cut_reasons is None:
            return places, reasons
        return np.concatenate([places, self.cut_places]), np.concatenate([reasons, self.cut_reasons])

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
            connection.execute(f"create temp view {name} as {query}")
        connection.execute(SCOPE_EDGES)
        return Scope(because, premises, unlinks, np.zeros(0, dtype=np.int32))
    _take(connection, touched)
    connection.execute(SCOPE_EDGES)
    cut = connection.execute("select place, standing_cut from edges_read where standing_cut > 0").fetchnumpy()
    for name in ("person_identifiers", "persons", "person_aliases"):
        connection.execute(f"delete from identity.{name} where person_id in (select person_id from scope_persons)")
    return Scope("", premises, unlinks, touched.families, touched.first_free, cut["place"], cut["standing_cut"])


def close_scope(connection: duckdb.DuckDBPyConnection, scope: Scope) -> None:
    """Drop what `open_scope` made, and the arrays' tables beside it: they are as large as the warehouse's own."""
    connection.execute("drop view scope_edges")
    for name in WHOLE:
        connection.execute(f"drop {'view' if scope.is_whole else 'table'} {name}")
    connection.execute("drop view nodes")
    for name in ("sorted_nodes", "links", "claims", "earlier_persons", "minted_persons", "new_persons"):
        connection.execute(f"drop table temp.{name}")


@dataclass(frozen=True)
class Touched:
    """The families touched, and the row keys of what is theirs; of everybody else those of edges that stay cut."""

    families: np.ndarray
    first_free: int
    identifiers: np.ndarray  # row keys
    edges: np.ndarray  # row keys ...
    standing_cut: np.ndarray  # ... and why an edge of somebody else stays cut, 0 for edges of the families touched
    is_most: bool


def _touched(connection: duckdb.DuckDBPyConnection, unlinks: list[Any]) -> Touched:
    """Compare the rows of today with the keys of those read last time."""
    import numpy as np
    import pyarrow as pa

    before = {name: connection.execute(f"select {columns} from identity.memory_{name}").fetchnumpy() for name, columns in KEPT.items()}
    (first_free, unlinked), *_ = connection.execute("select first_free, unlinks from identity.memory_batch").fetchall()
    touched, named, new, count = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)], {}, {}
    for name, rows in READ.items():
        today = connection.execute(f"select row_key from {rows} as rows_read").fetchnumpy()["row_key"]
        gone, is_new = unmatched(before[name]["row_key"], today)
        new[name], count[name] = today[is_new], len(today)
        touched.append(before[name]["family"][gone])
        named.append(_named_by(connection, name, new[name]))
    changed = [end for pair in _differing(unlinks, json.loads(unlinked)) for end in pair]
    named += [connection.execute("select hash($kind, $identifier) as key", end).fetchnumpy()["key"] for end in changed]
    touched += _families_of(connection, np.concatenate(named))
    is_touched = np.zeros(first_free, dtype=bool)
    is_touched[np.concatenate(touched)] = True

    is_theirs = {name: is_touched[before[name]["family"]] for name in ("identifiers", "edges")}
    identifiers, edges = (
        np.concatenate([before[name]["row_key"][theirs], new[name]]) for name, theirs in is_theirs.items()
    )
    stays_cut = (before["edges"]["cut"] > 0) & ~is_theirs["edges"]
    return Touched(
        np.flatnonzero(is_touched).astype(np.int32),
        first_free,
        identifiers,
        np.concatenate([edges, before["edges"]["row_key"][stays_cut]]),
        np.concatenate([np.zeros(len(edges), dtype=np.int8), before["edges"]["cut"][stays_cut]]),
        is_most=len(identifiers) > MOST * count["identifiers"],
    )


def _named_by(connection: duckdb.DuckDBPyConnection, name: str, new: np.ndarray) -> np.ndarray:
    """The identifiers, as hashes, that rows with these row keys name."""
    import pyarrow as pa

    connection.register("new_rows", pa.table({"row_key": new}))
    found = connection.execute(
        f"select {NAMED[name]} as key from {READ[name]} as rows_read where row_key in (select row_key from new_rows)"
    ).fetchnumpy()["key"]
    connection.unregister("new_rows")
    return found


def _families_of(connection: duckdb.DuckDBPyConnection, keys: np.ndarray) -> list[np.ndarray]:
    """The families of identifiers, given as hashes, that were nodes or absent in the last batch."""
    import pyarrow as pa

    connection.register("named_keys", pa.table({"key": keys}))
    found = [
        connection.execute(
            f"select family from identity.memory_{name} where key in (select key from named_keys)"
        ).fetchnumpy()["family"]
        for name in ("identifiers", "absent")
    ]
    connection.unregister("named_keys")
    return found


def _differing(pairs: list[Any], before: list[Any]) -> list[list[dict[str, str]]]:
    """The pairs that stand in only one of two lists, their ends as parameters."""
    both = [{tuple(map(tuple, pair)) for pair in each} for each in (pairs, before)]
    return [[{"kind": kind, "identifier": identifier} for kind, identifier in pair] for pair in sorted(both[0] ^ both[1])]


def _take(connection: duckdb.DuckDBPyConnection, touched: Touched) -> None:
    """Make the temp tables `edges_read` and `scope_*` of what is touched."""
    import pyarrow as pa

    given = {
        "touched_families": {"family": touched.families},
        "touched_identifiers": {"row_key": touched.identifiers},
        "touched_edges": {"row_key": touched.edges, "standing_cut": touched.standing_cut},
    }
    for name, arrays in given.items():
        connection.register("arrays", pa.table(arrays))
        connection.execute(f"create temp table {name} as select * from arrays")  # of arrays DuckDB does not know that they are short
        connection.unregister("arrays")
    for name, query in TOUCHED.items():
        connection.execute(f"create temp table {name} as {query}")
    for name in given:
        connection.execute(f"drop table {name}")
