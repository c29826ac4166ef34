"""Hashed contacts of people who were erased: who comes back is somebody new to us, and is left alone all the same (policy.md 5.6).

Kept are keyed hashes of e-mail addresses, phone numbers, account and contact ids, and nothing beside them: no person_id, so that the list is no
mapping. Each run looks its people up in it; whoever is found has an erasure on record and gets nothing (`PRV_ERASURE`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.hashing import install
from candor.warehouse import connect, utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

KINDS = ("email", "phone", "account_id", "contact_id")
TABLES = """
create schema if not exists vault.state;
create table if not exists vault.state.suppressed_contacts (
    identifier_kind varchar not null, identifier_hash varchar not null, since timestamp not null
);
create table if not exists vault.state.suppressed_people (person_id varchar not null);
"""
MATCHED = """
insert into vault.state.suppressed_people
select distinct identifiers.person_id
from identity.person_identifiers as identifiers
inner join vault.state.suppressed_contacts as contacts
    on identifiers.identifier_kind = contacts.identifier_kind
    and keyed_hash(identifiers.identifier_kind || '|' || identifiers.identifier) = contacts.identifier_hash
    and contacts.since <= $as_of
order by identifiers.person_id
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Both tables, unless they stand."""
    connection.execute(TABLES)


def keep(connection: duckdb.DuckDBPyConnection, settings: Settings, as_of: datetime) -> int:
    """How many hashed contacts of the plan in `connection` were added. The kind is hashed too: no hash is that of another list."""
    install(connection, settings)
    prepare(connection)
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    return int(
        connection.execute(
            f"""
            insert into vault.state.suppressed_contacts
            select kind, identifier_hash, $since from (
                select distinct kind, keyed_hash(kind || '|' || value) as identifier_hash from erased_members where kind in ({kinds})
            )
            where (kind, identifier_hash) not in (select identifier_kind, identifier_hash from vault.state.suppressed_contacts)
            order by all
            """,
            {"since": utc(as_of)},
        ).fetchall()[0][0]
    )


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many people of the run have a contact of somebody erased. To be called before eligibility is built."""
    settings = settings or settings_module.load()
    with connect(settings, restricted=True) as connection:
        runs.current(connection, as_of)
        install(connection, settings)
        prepare(connection)
        connection.execute("begin")
        try:
            connection.execute("delete from vault.state.suppressed_people")
            found = connection.execute(MATCHED, {"as_of": utc(as_of)}).fetchall()[0][0]
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise
    return {"people_erased_before": int(found)}
