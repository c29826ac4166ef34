"""Which identifiers are one person, and the key each person keeps.

dbt decides which pairs may link and why the others may not (`dbt_project/models/identity`); here the kept pairs become
clusters (`clusters`) and clusters become persons with keys that outlive the grouping (`keys`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs, transform
from candor import settings as settings_module
from candor.identity import clusters, keys
from candor.warehouse import connect

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Persons of the run of `as_of`: {people, identifiers, edges, dropped by reason, hubs, minted, merged, split, …}.

    The same `as_of` again gives the same rows, whatever other runs came between.
    """
    settings = settings or settings_module.load()
    built = transform.build("identity", as_of, settings)
    with connect(settings, restricted=True) as connection:
        current = runs.current(connection, as_of)
        counts = assign(connection, batch_seq=current.batch_seq, hash_key=settings.hash_key)
    return {**counts, "models": built["models"], "tests": built["tests"]}


def assign(connection: duckdb.DuckDBPyConnection, *, batch_seq: int, hash_key: str) -> dict[str, Any]:
    """Clusters and keys written from the tables of schema `identity`, in one transaction; the counts of what was done."""
    keys.prepare(connection)
    connection.execute("begin")
    try:
        clustered = clusters.form(connection)
        keyed = keys.give(connection, batch_seq=batch_seq, hash_key=hash_key)
        counts = _counts(connection)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return {**counts, **clustered, **keyed}


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    def one(sql: str) -> int:
        row = connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    return {
        "people": one("select count(distinct person_id) from identity.person_identifiers"),
        "identifiers": one("select count(*) from identity.identifiers"),
        "identifiers_with_person": one("select count(*) from identity.person_identifiers"),
        "blocked": one("select count(*) from identity.identifiers where is_blocked"),
        "edges": one("select count(*) from identity.edges"),
        "dropped": dict(
            connection.execute("select reason, count(*) from identity.dropped_edges group by reason order by reason").fetchall()
        ),
        "hubs": dict(
            connection.execute(
                "select identifier_kind, count(*) from identity.identifiers where is_hub group by all order by all"
            ).fetchall()
        ),
    }
