"""Who is who according to the simulator's truth folder, beside whom a run takes them for.

An item is an identifier that was landed and belongs to exactly one true person: an account, contact, device, cookie, wallet, e-mail
address or phone number. What several people share (a family's address or tablet) and planted hubs belong to nobody, so they are no
items; whoever is merged through them shows as a wrong pair of other items.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from candor.errors import UsageError

# The silo that knows somebody by this kind of identifier; addresses and numbers are carried by records of two silos.
SILOS = {
    "account_id": "exchange",
    "contact_id": "crm",
    "device_id": "events",
    "anonymous_id": "events",
    "wallet": "wallets",
    "email": "addresses",
    "phone": "addresses",
}
# Evidence in identity.edges that rests on likeness instead of on something in common; everything else is deterministic.
PROBABILISTIC = ("probabilistic",)
MEMORY = "5GB"  # a million people in 8 GB: arrays and Polars need the rest


@dataclass(frozen=True)
class Labels:
    """One entry per item: its kind, its true person, what a chain of planted links joins it with, and two predictions."""

    kind: np.ndarray
    person: np.ndarray
    chain: np.ndarray
    deterministic: np.ndarray
    overall: np.ndarray


def open_run(state: Path, *, restricted: bool = False) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the warehouse of a state folder; with `restricted` the vault as `vault`, read-only too.

    Raises UsageError when the folder holds no run that stands up to `core`.
    """
    warehouse = state / "warehouse" / "candor.duckdb"
    if not warehouse.is_file():
        raise UsageError(
            f"there is no warehouse at {warehouse}", hint="give the state folder of a run, or --people to make one"
        )
    connection = duckdb.connect(str(warehouse), read_only=True)
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"set memory_limit = '{MEMORY}'")
    connection.execute("set preserve_insertion_order = false")
    marks = dict(connection.execute("select stage, as_of from state.stage_marks").fetchall())
    if "core" not in marks:
        connection.close()
        raise UsageError(
            f"the run in {state} does not stand up to core (it has: {', '.join(sorted(marks)) or 'nothing'})",
            hint="candor core --as-of …, after the stages before it",
        )
    if restricted:
        connection.execute(f"attach '{state / 'restricted' / 'warehouse' / 'compliance.duckdb'}' as vault (read_only)")
    return connection


def labels(connection: duckdb.DuckDBPyConnection, truth: Path) -> Labels:
    """The labels of all items of a run. Raises UsageError when the truth folder says too little (made by an older simulator)."""
    _items(connection, truth)
    _links(connection, truth)
    items = connection.execute("select kind, person, predicted from items order by item").fetchnumpy()
    count = len(items["person"])
    links = connection.execute("select one, other from links").fetchnumpy()
    return Labels(
        kind=np.asarray(items["kind"], dtype=object).astype(str),
        person=items["person"],
        chain=_components(count, links["one"], links["other"]),
        deterministic=_deterministic(connection, count),
        overall=items["predicted"],
    )


def part_files(truth: Path, name: str) -> str:
    """The glob of a table of the truth. Raises UsageError when the folder has none."""
    if not any((truth / name).glob("*.parquet")):
        raise UsageError(
            f"the truth folder {truth} has no {name}", hint="make the shop again: candor simulate … --truth; the same seed lands the same bytes"
        )  # fmt: skip
    return f"{truth / name}/*.parquet"


def own_identifiers(connection: duckdb.DuckDBPyConnection, truth: Path) -> None:
    """Temp tables `landed_events` (distinct identifiers of events) and `own` (kind, identifier, true_person): one row per item."""
    connection.execute(
        """
        create or replace temp table landed_events as
        select distinct account_id, anonymous_id, device_id from raw.events__events
        """
    )
    # An EVM address is written in several ways; everything else is compared as it is.
    connection.execute(
        f"""
        create or replace temp table own as
        with people as (
            select * from read_parquet('{part_files(truth, "people")}')
        ), cookies as (
            select true_person, anonymous_id from people
            union all select true_person, second_anonymous_id from people where second_anonymous_id is not null
        ), owned as (
            select true_person, kind, identifier from read_parquet('{part_files(truth, "person_identifiers")}')
            where kind in ('account_id', 'contact_id')
            union all
            select true_person, 'anonymous_id', anonymous_id from cookies
            union all
            -- A cookie has one owner, and a device those whose cookies were on it (who linked a wallet by it has it too).
            select distinct true_person, 'device_id', landed_events.device_id
            from landed_events inner join cookies using (anonymous_id)
            where landed_events.device_id is not null
            union all
            select people.true_person, 'device_id', people.device_id
            from people inner join raw.wallets__wallet_links as links on people.device_id = links.device_id
            union all
            select distinct true_person, kind, identifier from read_parquet('{part_files(truth, "record_claims")}')
            where kind = 'wallet'
                or record_id in (select account_id from raw.exchange__accounts union all select contact_id from raw.crm__contacts)
        ), landed as (
            select 'account_id' as kind, account_id as identifier from raw.exchange__accounts
            union select 'contact_id', contact_id from raw.crm__contacts
            union select 'device_id', device_id from landed_events
            union select 'anonymous_id', anonymous_id from landed_events
            union select 'wallet', case when starts_with(wallet_address, '0x') then lower(wallet_address) else wallet_address end
            from raw.wallets__wallet_links
            union select 'device_id', device_id from raw.wallets__wallet_links
            union select kind, identifier from owned where kind in ('email', 'phone')
        )
        select kind, identifier, min(true_person) as true_person
        from owned semi join landed using (kind, identifier)
        group by kind, identifier
        having count(distinct true_person) = 1
        """
    )


def _items(connection: duckdb.DuckDBPyConnection, truth: Path) -> None:
    """Temp tables of `own_identifiers`, and `items`: the same numbered, with whom the run takes them for."""
    own_identifiers(connection, truth)
    connection.execute(
        """
        create or replace temp table items as
        with joined as (
            select own.*, person_identifiers.person_id
            from own left join identity.person_identifiers
                on own.kind = person_identifiers.identifier_kind and own.identifier = person_identifiers.identifier
        )
        select
            (row_number() over (order by kind, identifier) - 1)::integer as item,
            kind,
            identifier,
            (dense_rank() over (order by true_person) - 1)::integer as person,
            -- Whoever has no person is alone.
            (dense_rank() over (order by coalesce(person_id, kind || ' ' || identifier)) - 1)::integer as predicted
        from joined
        """
    )


def _links(connection: duckdb.DuckDBPyConnection, truth: Path) -> None:
    """Temp table `links`: pairs of items of one true person that a landed row carries together."""
    connection.execute(
        f"""
        create or replace temp table links as
        with claimed (kind, identifier, other_kind, other_identifier) as (
            select record_kind, record_id, kind, identifier from read_parquet('{part_files(truth, "record_claims")}')
            union select 'account_id', account_id, 'anonymous_id', anonymous_id from landed_events
            union select 'account_id', account_id, 'device_id', device_id from landed_events
            union select 'anonymous_id', anonymous_id, 'device_id', device_id from landed_events
        )
        select one.item as one, other.item as other
        from claimed
        inner join items as one on claimed.kind = one.kind and claimed.identifier = one.identifier
        inner join items as other on claimed.other_kind = other.kind and claimed.other_identifier = other.identifier
        where one.person = other.person
        """
    )


def _deterministic(connection: duckdb.DuckDBPyConnection, count: int) -> np.ndarray:
    """The cluster of each item when only deterministic evidence joins; identifiers that are no items may lie between."""
    connection.execute(
        f"""
        create or replace temp table deterministic_edges as
        select identifier_kind, identifier, other_kind, other_identifier from identity.edges
        where evidence not in ({", ".join(f"'{name}'" for name in PROBABILISTIC)})
        """
    )
    connection.execute(
        f"""
        create or replace temp table nodes as
        select kind, identifier, item as node from items
        union all
        select identifier_kind, identifier, {count} + row_number() over (order by identifier_kind, identifier) - 1
        from (
            select identifier_kind, identifier from deterministic_edges
            union select other_kind, other_identifier from deterministic_edges
        ) as ends
        anti join items on ends.identifier_kind = items.kind and ends.identifier = items.identifier
        """
    )
    edges = connection.execute(
        """
        select one.node::integer as one, other.node::integer as other
        from deterministic_edges as edges
        inner join nodes as one on edges.identifier_kind = one.kind and edges.identifier = one.identifier
        inner join nodes as other on edges.other_kind = other.kind and edges.other_identifier = other.identifier
        """
    ).fetchnumpy()
    total = connection.execute("select count(*) from nodes").fetchall()[0][0]
    return _components(int(total), edges["one"], edges["other"])[:count]


def _components(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def largest(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Identifiers of the largest person of the run, and items of the largest true person."""
    return connection.execute(
        """
        select
            (select max(size) from (select count(*) as size from identity.person_identifiers group by person_id)),
            (select max(size) from (select count(*) as size from items group by person))
        """
    ).fetchall()[0]


def pure_by_bridge(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int, float, float]]:
    """(weakest evidence, persons, share of them that hold items of one human only, what the class says), weakest class last.

    After `labels`. Persons without an item count for nothing.
    """
    return connection.execute(
        """
        with held as (
            select person_identifiers.person_id, count(distinct items.person) as humans
            from items inner join identity.person_identifiers
                on items.kind = person_identifiers.identifier_kind and items.identifier = person_identifiers.identifier
            group by person_identifiers.person_id
        )
        select persons.weakest_evidence, count(*), avg((held.humans = 1)::integer), any_value(persons.match_probability)
        from held inner join identity.persons using (person_id)
        group by persons.weakest_evidence, persons.weakest_evidence_rank
        order by persons.weakest_evidence_rank
        """
    ).fetchall()


def kyc_disagreements(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Persons with verified KYC records that disagree in name or birth date, and persons with several such records at all.

    Read from the raw KYC rows of the vault, the newest of each record; names compare in lower case without blanks at the ends.
    """
    return connection.execute(
        """
        with newest as (
            select * from vault.raw.compliance__kyc_records where not _is_superseded
            qualify row_number() over (partition by kyc_id order by source_updated_at desc, _extracted_at desc, _row_hash desc) = 1
        ), by_person as (
            select
                person_id,
                count(*) as records,
                count(distinct birth_date) as birth_dates,
                count(distinct lower(trim(full_name))) as names
            from newest inner join identity.person_identifiers
                on newest.account_id = person_identifiers.identifier and person_identifiers.identifier_kind = 'account_id'
            where status = 'verified'
            group by person_id
            having records > 1
        )
        select count(*) filter (where birth_dates > 1 or names > 1), count(*) from by_person
        """
    ).fetchall()[0]


def silos(kind: np.ndarray) -> np.ndarray:
    """The silo of each kind of identifier."""
    return pl.Series(kind).replace_strict(SILOS).to_numpy()
