"""Accounts and contacts that share no identifier and still are one person: links by likeness, made before clusters are formed.

Only records that nothing deterministic joins with the other silo are looked at, an account finds one contact at most, and what the records
of one person look like is learned from those that an e-mail address or phone number joins (`resolution.linking`). A link of this class is weak: what
restricts a person passes over it, what permits does not, and no channel finds a person by what hangs on it
(`evidence_classes.is_weak`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow

    from candor.settings import Settings

# From which probability two records are joined, and down to which a pair that was joined before stays: estimates move a little every
# day, and a person who is split and merged again each night is worse than either.
LINK, KEEP = 0.99, 0.9
# So many pairs that are joined already are learned from: shares of a percent are then counted on hundreds.
LEARN_FROM = 20_000
MEMORY_SHARE = 0.5
PROVED_BY = ("email", "phone")

STATE_TABLES = """
create schema if not exists state;
create table if not exists state.probabilistic_links (
    account_id varchar not null, contact_id varchar not null, is_linked boolean not null, probability double, batch_seq bigint not null
);
"""

# Records and what they carry. Machines and wallets join no two records, so they are left out.
NODES = """
create or replace temp table record_nodes as
select
    (row_number() over (order by kinds.anchor_priority, identifiers.identifier) - 1)::integer as node,
    identifiers.identifier_kind,
    identifiers.identifier
from identity.identifiers
inner join identity.identifier_kinds as kinds
    on identifiers.identifier_kind = kinds.identifier_kind
where identifiers.identifier_kind in ('account_id', 'contact_id', 'email', 'phone')
    and not identifiers.is_blocked
    and (not identifiers.is_hub or identifiers.identifier_kind in ('account_id', 'contact_id'))
"""

LINKS = """
select
    one.node,
    other.node as other_node
from identity.edges
inner join record_nodes as one
    on edges.identifier_kind = one.identifier_kind
    and edges.identifier = one.identifier
inner join record_nodes as other
    on edges.other_kind = other.identifier_kind
    and edges.other_identifier = other.identifier
where edges.identifier_kind in ('account_id', 'contact_id')
    and edges.other_kind in ('contact_id', 'email', 'phone', 'account_id')
"""

# The first account and contact of each group stand for it. A group with both is known; with one of them, wanted.
GROUPS = """
create or replace temp table record_groups as
select
    record_groups_arrow.cluster,
    min(record_nodes.identifier) filter (where record_nodes.identifier_kind = 'account_id') as account_id,
    min(record_nodes.identifier) filter (where record_nodes.identifier_kind = 'contact_id') as contact_id
from record_nodes
inner join record_groups_arrow
    on record_nodes.node = record_groups_arrow.node
where record_nodes.identifier_kind in ('account_id', 'contact_id')
group by record_groups_arrow.cluster
"""

KNOWN = f"""
create or replace temp table known_records as
select
    account_id as left_id,
    contact_id as right_id
from record_groups
where account_id is not null
    and contact_id is not null
order by
    hash(account_id),
    account_id
limit {LEARN_FROM}
"""

# The records of one silo that stand for their group. One that is looked at has something to go by: a name and one thing more.
RECORDS = """
select
    records.{record_id} as record_id,
    records.full_name,
    records.postal_code_std as postal_code,
    records.region_code as region,
    records.country_code as country,
    records.email_std as email,
    records.phone_std as phone,
    {birth_date} as birth_date,
    known_records.{side} is null as is_wanted
from {table} as records
inner join record_groups
    on records.{record_id} = record_groups.{record_id}
left join known_records
    on records.{record_id} = known_records.{side}
where known_records.{side} is not null
    or (
        record_groups.{other_id} is null
        and records.name_valid
        and coalesce(records.postal_code_std, records.region_code, records.country_code) is not null
        and not {is_test}
    )
-- A record has one row, but where duplicates are made to stay (candor.cleaning): there the last of them speaks.
qualify row_number() over (
    partition by records.{record_id} order by records.known_at desc, records.source_updated_at desc, records.row_hash desc
) = 1
order by record_id
"""
ACCOUNTS = {
    "record_id": "account_id",
    "other_id": "contact_id",
    "side": "left_id",
    "birth_date": "records.birth_date_std::varchar",
    "is_test": "coalesce(records.is_test, false)",
}
CONTACTS = {
    "record_id": "contact_id",
    "other_id": "account_id",
    "side": "right_id",
    "birth_date": "null::varchar",
    "is_test": "false",
}

# What was refused on better grounds (a name or birth date that disagrees) is not joined by likeness.
CHOSEN = """
create or replace temp table chosen_links as
with

earlier as (

    select
        account_id,
        contact_id,
        max_by(is_linked, batch_seq) as is_linked

    from state.probabilistic_links

    where batch_seq < $batch_seq

    group by
        account_id,
        contact_id

),

refused as (

    select
        identifier as account_id,
        other_identifier as contact_id

    from identity.dropped_edges

    where identifier_kind = 'account_id'
        and other_kind = 'contact_id'

)

select
    coalesce(found.left_id, earlier.account_id) as account_id,
    coalesce(found.right_id, earlier.contact_id) as contact_id,
    found.probability,
    coalesce(earlier.is_linked, false) as was_linked,
    coalesce(found.probability >= case when earlier.is_linked then $keep else $link end and refused.account_id is null, false) as is_linked
from found_links as found
full join earlier
    on found.left_id = earlier.account_id
    and found.right_id = earlier.contact_id
left join refused
    on found.left_id = refused.account_id
    and found.right_id = refused.contact_id
"""

REMEMBER = """
insert into state.probabilistic_links by name
select
    account_id,
    contact_id,
    is_linked,
    probability,
    $batch_seq as batch_seq
from chosen_links
where is_linked <> was_linked
order by
    account_id,
    contact_id
"""

WRITE = """
insert into identity.edges by name
with

accounts as (

    select account_id, min(known_at) as known_at
    from {staging}.stg_exchange__accounts
    where account_id in (select account_id from chosen_links where is_linked)
    group by account_id

),

contacts as (

    select contact_id, min(known_at) as known_at
    from {staging}.stg_crm__contacts
    where contact_id in (select contact_id from chosen_links where is_linked)
    group by contact_id

),

links as (

    select
        'account_id' as identifier_kind,
        chosen_links.account_id as identifier,
        'contact_id' as other_kind,
        chosen_links.contact_id as other_identifier,
        classes.evidence,
        classes.evidence_rank,
        greatest(accounts.known_at, contacts.known_at) as first_known_at,
        identifier_key('account_id', chosen_links.account_id) as identifier_key,
        identifier_key('contact_id', chosen_links.contact_id) as other_key

    from chosen_links

    inner join identity.evidence_classes as classes
        on classes.evidence = 'probabilistic'

    inner join accounts
        on chosen_links.account_id = accounts.account_id

    inner join contacts
        on chosen_links.contact_id = contacts.contact_id

    where chosen_links.is_linked

)

select
    *,
    edge_row_key(identifier_key, other_key, evidence_rank, first_known_at) as row_key
from links
order by
    identifier,
    other_identifier
"""


def link(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    batch_seq: int,
    model: Path | None = None,
    staging: str = "staging",
) -> dict[str, Any]:
    """Links by likeness written into identity.edges: {likeness_accounts, likeness_contacts, likeness_known, likeness_links}.

    Call once after the edges were built and before clusters are formed. Learned parameters go to `model` (Splink's settings inside). What was
    linked is remembered in state.probabilistic_links by batch; the same batch again gives the same links. `staging`: the schema to read.
    """
    import pyarrow.compute as pc

    from candor.identity.resolution import linking
    from candor.identity.resolution import model as models

    connection.execute(STATE_TABLES)
    _group(connection)
    known = connection.execute("select * from known_records order by left_id, right_id").to_arrow_table()
    accounts, contacts = (
        connection.execute(RECORDS.format(**silo, table=f"{staging}.{table}")).to_arrow_table()
        for silo, table in ((ACCOUNTS, "stg_exchange__accounts"), (CONTACTS, "stg_crm__contacts"))
    )
    wanted = [pc.sum(table["is_wanted"]).as_py() or 0 for table in (accounts, contacts)]
    links = None
    if all(wanted):
        config = {"threads": settings.threads, "memory_limit": _memory(connection), "temp_directory": str(settings.tmp_dir)}
        links = linking.link(accounts, contacts, known, threshold=KEEP, proved_by=PROVED_BY, config=config)
    if links is not None and model is not None:
        models.save(model, links.columns, links.weights)
    found = links.table if links is not None else _nothing()
    connection.execute("begin")
    try:
        linked = _write(connection, found, batch_seq, staging)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return {
        "likeness_accounts": wanted[0],
        "likeness_contacts": wanted[1],
        "likeness_known": known.num_rows,
        "likeness_links": linked,
    }


def _group(connection: duckdb.DuckDBPyConnection) -> None:
    """Temp tables record_groups and known_records from what deterministic evidence joins."""
    import numpy as np
    import pyarrow as pa

    from candor.identity.graph import components

    connection.execute(NODES)
    links = connection.execute(LINKS).fetchnumpy()
    count = connection.execute("select count(*) from record_nodes").fetchall()[0][0]
    cluster = components(count, links["node"], links["other_node"])
    connection.register("record_groups_arrow", pa.table({"node": np.arange(count, dtype=np.int32), "cluster": cluster}))
    connection.execute(GROUPS)
    connection.unregister("record_groups_arrow")
    connection.execute(KNOWN)


def _write(connection: duckdb.DuckDBPyConnection, found: pyarrow.Table, batch_seq: int, staging: str) -> int:
    connection.register("found_links", found)
    connection.execute(CHOSEN, {"batch_seq": batch_seq, "link": LINK, "keep": KEEP})
    connection.unregister("found_links")
    connection.execute("delete from state.probabilistic_links where batch_seq = $batch_seq", {"batch_seq": batch_seq})
    connection.execute(REMEMBER, {"batch_seq": batch_seq})
    connection.execute(WRITE.format(staging=staging))
    linked = connection.execute("select count(*) from chosen_links where is_linked").fetchall()[0][0]
    for table in ("record_nodes", "record_groups", "known_records", "chosen_links"):
        connection.execute(f"drop table temp.{table}")
    return int(linked)


def _memory(connection: duckdb.DuckDBPyConnection) -> str:
    """Half of what the warehouse's connection may use; it is idle meanwhile."""
    row = connection.execute("select current_setting('memory_limit')").fetchall()[0][0]
    number, unit = row.split(" ")
    return f"{float(number) * MEMORY_SHARE:.1f}{unit}"


def _nothing() -> pyarrow.Table:
    import pyarrow as pa

    return pa.table(
        {"left_id": pa.array([], pa.string()), "right_id": pa.array([], pa.string()), "probability": pa.array([], pa.float64())}
    )
