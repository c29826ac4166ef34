"""What the last batch was, so that a day redoes only the people whom something new touches.

Everything that can ever bear on each other's person is one **family**: identifiers joined by an edge (also by one that a guard cut), and
identifiers that were ever the same person's by the key map. A guard, a cluster, a key, an alias and an event depend on nothing outside
their family. So a batch is compared with the one before by the hashes of the rows it reads; the families in which something is new, gone
or different are computed again, whole, by the functions that compute everything, and the rest stands:

    rows read ─▶ hashes ─▶ new or gone ─▶ families touched ─▶ scope_* ─▶ clusters, keys, changes ─▶ remembered

`scope_identifiers`, `scope_edges`, `scope_claims`, `scope_key_map` and `scope_persons` are what the rest of the layer reads: views of
everything, or temp tables of what is touched. The tables `identity.memory_*` may be dropped at any time; the next batch is then computed
whole. So is a batch that ran before (a rerun and a replay prove the days between), and one under other premises.

Rows are told apart by 64 bits. That a changed row goes unnoticed at a million people and 1 % new rows has a chance of one in thirty
million a day. Two identifiers with one hash only make a family larger.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from candor.identity import graph

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    import numpy as np

    from candor.identity.clusters import Clusters
    from candor.identity.keys import Keys
    from candor.identity.overrides import Override

# The rows that the layer reads: (from where, a hash of all that it reads of a row, which identifiers the row names as hashes, and
# what else of it is numbers). First and last name follow from the name.
READ = {
    "identifiers": (
        "identity.identifiers",
        "hash(hash(identifier_kind, identifier), is_hub, is_blocked)",
        {"key": "hash(identifier_kind, identifier)"},
        {},
    ),
    "edges": (
        "identity.edges",
        "hash(hash(identifier_kind, identifier), hash(other_kind, other_identifier), evidence_rank, first_known_at)",
        {"one_key": "hash(identifier_kind, identifier)", "other_key": "hash(other_kind, other_identifier)"},
        {"evidence_rank": "evidence_rank::tinyint", "known_ms": "epoch_ms(first_known_at)"},
    ),
    "claims": (
        "(select *, rowid from vault.identity.int_record_claims where birth_date is not null or (is_verified and name is not null))",
        "hash(hash(record_kind, record_id), birth_date, name, is_verified)",
        {"key": "hash(record_kind, record_id)"},
        {},
    ),
}


def _rows(name: str, chosen: str = "") -> str:
    """The rows of `name`, all of them or those `chosen`, with row_hash."""
    source, row_hash, *_ = READ[name]
    return f"select *, {row_hash} as row_hash from {source} {chosen}"


def _numbers(name: str) -> str:
    """What of each row of `name` is numbers: row_hash, the hashes of identifiers, and more."""
    _, row_hash, named, more = READ[name]
    return ", ".join(f"{value} as {column}" for column, value in {"row_hash": row_hash, **named, **more}.items())


# Of an edge nothing but numbers is read: one of another day is found by its place, and named only when it is cut.
WHOLE = {
    "identifiers": _rows("identifiers"),
    "edges": f"select rowid as place, {_numbers('edges')} from {READ['edges'][0]} as edges_read",
    "claims": _rows("claims"),
    "key_map": "select * from state.key_map",
    "persons": "select * from state.persons",
}

TABLES = ("batch", "identifiers", "absent", "edges", "claims", "persons")

# So many hashes are looked at at a time: what is made of them stays in the processor's cache.
PART = 2**17

# From this share of identifiers on, to compute everything costs no more than to find out what need not be.
MOST = 0.5

# Under other premises nothing of the last batch stands. DuckDB promises its hash for one version only.
PREMISES = """
select md5(concat_ws('|', $guards, sha256($hash_key), version(), (
    select string_agg(concat_ws(',', evidence, evidence_rank, match_probability), ';' order by evidence_rank)
    from identity.evidence_classes
), (
    select string_agg(concat_ws(',', identifier_kind, anchor_priority), ';' order by anchor_priority, identifier_kind)
    from identity.identifier_kinds
)))
"""

# What stands must be what the last batch left: nobody else writes these tables.
STANDING = """
select
    (select count(*) from identity.person_identifiers),
    (select count(*) from identity.persons),
    (select count(*) from identity.person_aliases)
"""

# Claims are few, and a record that was no node before has none in the memory: found by name.
TOUCHED = {
    "identifiers": _rows("identifiers", "where rowid in (select place from touched_places)"),
    "edges": "select * from touched_edges",
    "claims": _rows(
        "claims",
        """
            as claims
            semi join scope_identifiers
                on claims.record_kind = scope_identifiers.identifier_kind
                and claims.record_id = scope_identifiers.identifier
        """,
    ),
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
        select key_map.*
        from state.key_map as key_map
        semi join scope_persons
            on key_map.person_id = scope_persons.person_id
    """,
}

# An edge that is no link ends at something that is no node (a hub, a blocked value, or unknown).
STRAYS = """
select
    edges.row_hash,
    coalesce(one.node, -1) as one,
    edges.one_key,
    coalesce(other.node, -1) as other,
    edges.other_key
from (
    select
        scope_edges.*,
        named.identifier_kind,
        named.identifier,
        named.other_kind,
        named.other_identifier
    from scope_edges
    anti join links
        on scope_edges.place = links.edge
    inner join identity.edges as named
        on scope_edges.place = named.rowid
) as edges
left join nodes as one
    on edges.identifier_kind = one.identifier_kind
    and edges.identifier = one.identifier
left join nodes as other
    on edges.other_kind = other.identifier_kind
    and edges.other_identifier = other.identifier
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

    row = connection.execute(PREMISES, {"guards": str(guards), "hash_key": hash_key}).fetchone()
    premises = str(row[0]) if row else ""
    pairs = sorted(sorted([each.one, each.other]) for each in overrides if each.action == "unlink")
    unlinks = json.dumps(pairs)
    because = _why_whole(connection, batch_seq, premises)
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
    return Scope("", premises, unlinks, touched.families, touched.first_free, touched.cut_places, touched.cut_reasons)


def close_scope(connection: duckdb.DuckDBPyConnection, scope: Scope) -> None:
    """Drop what `open_scope` made, and the arrays' tables beside it: they are as large as the warehouse's own."""
    for name in WHOLE:
        connection.execute(f"drop {'view' if scope.is_whole else 'table'} scope_{name}")
    connection.execute("drop view nodes")
    for name in ("sorted_nodes", "links", "claims", "earlier_persons", "minted_persons", "new_persons"):
        connection.execute(f"drop table temp.{name}")


def _why_whole(connection: duckdb.DuckDBPyConnection, batch_seq: int, premises: str) -> str:
    found = {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() and schema_name = 'identity'"
        ).fetchall()
    }
    if not {f"memory_{name}" for name in TABLES} | {"person_identifiers", "persons", "person_aliases"} <= found:
        return "no batch is remembered"
    remembered = connection.execute(
        "select batch_seq, premises, person_identifiers, persons, person_aliases from identity.memory_batch"
    ).fetchone()
    if remembered is None:
        return "no batch is remembered"
    before, after = connection.execute(
        "select max(batch_seq) filter (where batch_seq < $batch_seq), max(batch_seq) filter (where batch_seq >= $batch_seq) "
        "from state.identity_rules",
        {"batch_seq": batch_seq},
    ).fetchall()[0]
    if after is not None:
        return "this batch or a later one ran before"
    if before != remembered[0]:
        return f"batch {remembered[0]} is remembered, not {before}, the one before"
    if premises != remembered[1]:
        return "rules, kinds or evidence classes changed"
    if connection.execute(STANDING).fetchone() != remembered[2:]:
        return "what stands is not what the last batch left"
    return ""


@dataclass(frozen=True)
class Touched:
    """The families touched, what is theirs today, and the edges of everybody else that stay cut."""

    families: np.ndarray
    first_free: int
    identifiers: np.ndarray  # their places
    edges: dict[str, np.ndarray]  # place, and what `_numbers` has
    cut_places: np.ndarray
    cut_reasons: np.ndarray
    is_most: bool


def _today(connection: duckdb.DuckDBPyConnection, name: str) -> tuple[dict[str, np.ndarray], Any]:
    """What `_numbers` has of every row there is today; and the places: the first, or all."""
    source, numbers = READ[name][0], _numbers(name)
    count, first, last = connection.execute(
        f"select count(*), coalesce(min(rowid), 0), coalesce(max(rowid), -1) from {source} as rows_read"
    ).fetchall()[0]
    if last - first + 1 == count:  # a table that was made in one go
        return connection.execute(f"select {numbers} from {source} as rows_read").fetchnumpy(), first
    found = connection.execute(f"select {numbers}, rowid as place from {source} as rows_read").fetchnumpy()
    return found, found.pop("place")


def _touched(connection: duckdb.DuckDBPyConnection, unlinks: list[Any]) -> Touched:
    """Compare the rows of today with the hashes of those read last time."""
    import numpy as np
    import pyarrow as pa

    before = {name: connection.execute(f"select row_hash, family from identity.memory_{name}").fetchnumpy() for name in READ}
    (first_free, unlinked), *_ = connection.execute("select first_free, unlinks from identity.memory_batch").fetchall()
    touched, named = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    today, new, first_or_all = {}, {}, {}
    for name, (*_, keys, _) in READ.items():
        today[name], first_or_all[name] = _today(connection, name)
        gone, new[name] = unmatched(before[name]["row_hash"], today[name]["row_hash"])
        touched.append(before[name]["family"][gone])
        named += [today[name][key][new[name]] for key in keys]
    changed = [end for pair in _differing(unlinks, json.loads(unlinked)) for end in pair]
    named += [connection.execute("select hash($kind, $identifier) as key", end).fetchnumpy()["key"] for end in changed]
    connection.register("named_keys", pa.table({"key": np.concatenate(named)}))
    for name in ("identifiers", "absent"):
        known = f"select family from identity.memory_{name} where key in (select key from named_keys)"
        touched.append(connection.execute(known).fetchnumpy()["family"])
    connection.unregister("named_keys")
    is_touched = np.zeros(first_free, dtype=bool)
    is_touched[np.concatenate(touched)] = True

    def places_of(name: str, rows: np.ndarray) -> np.ndarray:
        place = first_or_all[name]
        return rows + place if isinstance(place, int) else place[rows]

    rows = {}
    for name in ("identifiers", "edges"):
        theirs = before[name]["row_hash"][_where(before[name]["family"], is_touched.__getitem__)]
        is_read = np.zeros(len(today[name]["row_hash"]), dtype=bool)
        is_read[new[name]] = True
        is_read[among(today[name]["row_hash"], theirs)] = True
        rows[name] = np.flatnonzero(is_read)
    edges = {column: values[rows["edges"]] for column, values in today["edges"].items()}
    cut = connection.execute(
        "select row_hash, family, cut from identity.memory_edges where cut > 0 order by row_hash"
    ).fetchnumpy()
    stands = ~is_touched[cut["family"]]
    cut_hashes, reasons = cut["row_hash"][stands], cut["cut"][stands]
    cut_now = among(today["edges"]["row_hash"], cut_hashes)
    return Touched(
        np.flatnonzero(is_touched).astype(np.int32),
        first_free,
        places_of("identifiers", rows["identifiers"]),
        {"place": places_of("edges", rows["edges"]), **edges},
        places_of("edges", cut_now),
        reasons[np.searchsorted(cut_hashes, today["edges"]["row_hash"][cut_now])],
        is_most=len(rows["identifiers"]) > MOST * len(today["identifiers"]["row_hash"]),
    )


def _differing(pairs: list[Any], before: list[Any]) -> list[list[dict[str, str]]]:
    """The pairs that stand in only one of two lists, their ends as parameters."""
    both = [{tuple(map(tuple, pair)) for pair in each} for each in (pairs, before)]
    return [[{"kind": kind, "identifier": identifier} for kind, identifier in pair] for pair in sorted(both[0] ^ both[1])]


def _take(connection: duckdb.DuckDBPyConnection, touched: Touched) -> None:
    """Make the temp tables `scope_*` of what is touched."""
    import pyarrow as pa

    given = {
        "touched_families": {"family": touched.families},
        "touched_places": {"place": touched.identifiers},
        "touched_edges": touched.edges,
    }
    for name, arrays in given.items():
        connection.register(name, pa.table(arrays))
    for name, query in TOUCHED.items():
        connection.execute(f"create temp table scope_{name} as {query}")
    for name in given:
        connection.unregister(name)


def unmatched(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places in `before` of hashes that `now` lacks, and the places in `now` of those that `before` lacked.

    Hashes fall into buckets by their first bits. A bucket whose hashes have the same sum twice holds the same hashes; only the others
    are looked into, so that two large sets that hardly differ are never sorted.
    """
    import numpy as np

    bits = max(1, (max(len(before), len(now)) // 2).bit_length())

    def bucket(hashes: np.ndarray) -> np.ndarray:
        return (hashes >> np.uint64(64 - bits)).view(np.int64)

    sums = np.zeros((2, 2**bits), dtype=np.uint64)
    for sum_of, hashes in zip(sums, (before, now), strict=True):
        for start in range(0, len(hashes), PART):
            part = hashes[start : start + PART]
            np.add.at(sum_of, bucket(part), part)
    differs = sums[0] != sums[1]
    maybe_gone, maybe_new = (_where(hashes, lambda part: differs[bucket(part)]) for hashes in (before, now))
    gone = maybe_gone[~_is_in(before[maybe_gone], now[maybe_new])]
    return gone, maybe_new[~_is_in(now[maybe_new], before[maybe_gone])]


def among(hashes: np.ndarray, few: np.ndarray) -> np.ndarray:
    """The places in `hashes` of those that are among `few`."""
    import numpy as np

    shift = np.uint64(64 - 22)
    is_near = np.zeros(2**22, dtype=bool)  # one bit in a few tells most strangers apart without sorting them
    is_near[few >> shift] = True
    near = _where(hashes, lambda part: is_near[part >> shift])
    return near[_is_in(hashes[near], few)]


def _where(values: np.ndarray, is_meant: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The places in `values` of those for which `is_meant`, which is asked of one part after the other."""
    import numpy as np

    parts = [start + np.flatnonzero(is_meant(values[start : start + PART])) for start in range(0, len(values), PART)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _is_in(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    import numpy as np

    if len(others) == 0:
        return np.zeros(len(hashes), dtype=bool)
    ordered = np.sort(others)  # faster than numpy.isin, which builds a table of hashes first
    return ordered[np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)] == hashes


def remember(connection: duckdb.DuckDBPyConnection, scope: Scope, formed: Clusters, given: Keys, *, batch_seq: int) -> None:
    """Keep what this batch was: of the scope anew, of everybody else as it stood."""
    import numpy as np
    import pyarrow as pa

    strays = _strays(connection, len(formed.cut))
    unfit = connection.execute(
        f"select row_hash, hash(identifier_kind, identifier) as key from scope_identifiers where not ({graph.IS_NODE})"
    ).fetchnumpy()
    gone = given.ever_node < 0
    no_nodes = [given.ever_key[gone], *(strays[f"{end}_key"][strays[end] < 0] for end in ("one", "other"))]
    absent = np.unique(np.concatenate(no_nodes))
    others = np.union1d(absent, unfit["key"])
    count, persons = len(formed.cluster), len(given.person_ids)
    family, families = _families(formed, given, strays, others)
    family += np.int32(scope.first_free)

    def of_key(keys: np.ndarray) -> np.ndarray:
        return family[count + persons + np.searchsorted(others, keys)]

    of_stray = np.where(strays["one"] >= 0, family[np.maximum(strays["one"], 0)] if count else 0, 0)
    named_only = strays["one"] < 0
    of_stray[named_only] = of_key(strays["one_key"][named_only])
    of_link = family[connection.execute("select node from links").fetchnumpy()["node"]]
    of_claim = family[connection.execute("select node from claims").fetchnumpy()["node"]]
    kept = {
        "identifiers": (
            "select row_hash, hash(identifier_kind, identifier) as key, family from sorted_nodes positional join arrays",
            {"family": family[:count]},
        ),
        "edges": ("select row_hash, family, cut from links positional join arrays", {"family": of_link, "cut": formed.cut}),
        "claims": ("select row_hash, family from claims positional join arrays", {"family": of_claim}),
        "persons": ("select * from arrays", {"person_id": given.person_ids, "family": family[count : count + persons]}),
        "absent": ("select * from arrays", {"key": absent, "family": of_key(absent)}),
    }
    more = {
        "identifiers": {"row_hash": unfit["row_hash"], "key": unfit["key"], "family": of_key(unfit["key"])},
        "edges": {"row_hash": strays["row_hash"], "family": of_stray, "cut": np.zeros(len(of_stray), dtype=np.int8)},
    }
    connection.register("touched_families", pa.table({"family": scope.families}))
    for name, (query, arrays) in kept.items():
        if not scope.is_whole:
            connection.execute(f"delete from identity.memory_{name} where family in (select family from touched_families)")
        _put(connection, name, query, arrays, is_new=scope.is_whole)
        if name in more and len(more[name]["family"]):
            _put(connection, name, "select * from arrays", more[name], is_new=False)
    connection.unregister("touched_families")
    connection.execute(
        f"create or replace table identity.memory_batch as select $batch_seq::bigint as batch_seq, $premises as premises, "
        f"$unlinks as unlinks, $first_free::integer as first_free, standing.* "
        f"from ({STANDING}) as standing(person_identifiers, persons, person_aliases)",
        {
            "batch_seq": batch_seq,
            "premises": scope.premises,
            "unlinks": scope.unlinks,
            "first_free": scope.first_free + families,
        },
    )


def _put(connection: duckdb.DuckDBPyConnection, name: str, query: str, arrays: dict[str, Any], *, is_new: bool) -> None:
    import pyarrow as pa

    connection.register("arrays", pa.table(arrays))
    table = f"identity.memory_{name}"
    connection.execute(f"create or replace table {table} as {query}" if is_new else f"insert into {table} by name {query}")
    connection.unregister("arrays")


def _strays(connection: duckdb.DuckDBPyConnection, links: int) -> dict[str, Any]:
    (edges,) = connection.execute("select count(*) from scope_edges").fetchall()[0]
    return connection.execute(STRAYS if edges > links else f"{STRAYS} limit 0").fetchnumpy()


def _families(formed: Clusters, given: Keys, strays: dict[str, Any], others: np.ndarray) -> tuple[np.ndarray, int]:
    """The family of every node, then of every person, then of every hash in `others`, and how many there are.

    Clusters are families already; what else holds them together are few edges: those cut, whose each is, and whose each ever was.
    """
    import numpy as np

    count, persons = len(formed.cluster), len(given.person_ids)
    cluster = formed.cluster

    def vertex(node: np.ndarray, key: np.ndarray) -> np.ndarray:
        found = count + persons + np.searchsorted(others, key)
        found[node >= 0] = cluster[node[node >= 0]]
        return found

    roots = np.flatnonzero((cluster == np.arange(count)) & (given.of_node >= 0))
    present = given.ever_node >= 0
    told = np.zeros(len(present), dtype=bool)
    told[present] = given.of_node[given.ever_node[present]] == given.ever_code[present]  # still theirs: said by the roots
    ever_node, ever_key, ever_person = (array[~told] for array in (given.ever_node, given.ever_key, given.ever_code))
    ties = [
        (cluster[formed.cut_one], cluster[formed.cut_other]),
        (roots, count + given.of_node[roots]),
        (vertex(ever_node, ever_key), count + ever_person),
        (vertex(strays["one"], strays["one_key"]), vertex(strays["other"], strays["other_key"])),
    ]
    one, other = (np.concatenate(ends).astype(np.int32) for ends in zip(*ties, strict=True))
    joined = graph.components(count + persons + len(others), one, other)
    joined[:count] = joined[cluster]
    is_first = joined == np.arange(len(joined))
    number = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    return number[joined], int(is_first.sum())
