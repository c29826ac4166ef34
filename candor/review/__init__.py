"""Human review: what a person must look at, what they said, and the holds that this lifts.

`queue` writes vault.review.queue after a run has decided; `decide` puts a verdict on record; `install` gives the next run the releases
that hold for it, and the eligibility models lift exactly what those name (macros released_of_people and released_of_creatives).
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.review import verdicts as said
from candor.warehouse import connect, utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

RELEASES = """
create schema if not exists vault.review;
create or replace table vault.review.releases (
    release_id varchar, person_id varchar, rule_id varchar, v integer, fact_hash varchar, creative_id varchar, offer_id varchar,
    offer_version bigint, creative_hash varchar, until timestamp
);
create or replace table vault.review.refusals (
    item_id varchar, person_id varchar, segment varchar, offer_id varchar, offer_version bigint, creative_id varchar, creative_hash varchar
);
"""
# Whoever was merged away meanwhile is refused as who they are now.
MERGED = """
update vault.review.refusals set person_id = aliases.surviving_person_id
from identity.person_aliases as aliases
where refusals.person_id = aliases.person_id
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Empty vault.review.releases and vault.review.refusals."""
    connection.execute(RELEASES)


def install(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many releases hold for the run, of how many items, and how many refusals, restricted ones not counted; all are in vault.review.

    To be called before eligibility is built. A release holds for a run when it outlasts whatever the run may serve
    (`offer_validity_hours`), so that no row outlives it.
    """
    import pyarrow as pa

    from candor.policy.store import for_run

    settings = settings or settings_module.load()
    with connect(settings, restricted=True) as connection:
        current = runs.current(connection, as_of)
        policy = for_run(settings, current)
        hours, _ = policy.limits["offer_validity_hours"]
        given, _ = said.read(settings)
        last = as_of + timedelta(hours=hours)
        standing = [one for one in said.releases(given, policy.reviewing, as_of) if one.until >= last]
        rows = [
            (
                release_id(one), one.person_id, one.rule_id, one.v, one.fact_hash, one.creative.creative_id, one.creative.offer_id,
                one.creative.offer_version, one.creative.creative_hash, utc(one.until),
            )
            for one in standing
        ]  # fmt: skip
        prepare(connection)
        if rows:
            names = connection.execute("select * from vault.review.releases").to_arrow_table().schema
            connection.register(
                "standing_releases", pa.Table.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], names.names)
            )
            connection.execute("insert into vault.review.releases select * from standing_releases")
            connection.unregister("standing_releases")
        refused = list(said.refusals(given, as_of))
        # How many restricted holds fincrime staff lifted is not told outside the vault.
        told = {one.item_id for one in given if one.kind != "hold_fincrime"} & {one.item_id for one in standing}
        _install_refusals(connection, refused)
    return {
        "releases": sum(one.item_id in told for one in standing),
        "items_released": len(told),
        "refusals": len(refused),
    }


def _install_refusals(connection: duckdb.DuckDBPyConnection, refused: list[said.Refusal]) -> None:
    """Put what reviewers upheld into vault.review.refusals, which is empty."""
    import pyarrow as pa

    if not refused:
        return
    names = connection.execute("select * from vault.review.refusals").to_arrow_table().schema
    columns = [pa.array([getattr(one, name) for one in refused], type=names.field(name).type) for name in names.names]
    connection.register("standing_refusals", pa.Table.from_arrays(columns, names.names))
    connection.execute("insert into vault.review.refusals select * from standing_refusals")
    connection.unregister("standing_refusals")
    known = connection.execute(
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name = 'identity' and table_name = 'person_aliases'"
    ).fetchall()
    if known:
        connection.execute(MERGED)


def release_id(release: said.Release) -> str:
    """Named by the item and the creative it lifts the hold of."""
    return "l" + hashlib.sha256(f"{release.item_id}|{release.creative.creative_id}".encode()).hexdigest()[:14]


def queue(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many items of each kind wait for a person; vault.review.queue has them. After the run has decided."""
    from candor.review import queueing

    return queueing.run(as_of, settings or settings_module.load())
