"""Whose data an erasure is about: the person's ids, identifiers, rows and ids of rows, as one list of terms.

**Only what is the person's.** From what was asked for, every link that the product trusts is followed (log-ins, checked documents, addresses,
numbers, wallets). A weak link, likeness of name and address, is not: who is merely alike may be somebody else, who asked for nothing. What hangs
on such a link alone stays, without the person_id it shared, and gets one of its own with the next run.

**A row is whose account or contact it carries**; only one that carries neither is its e-mail address's, wallet's, device's or browser's owner's.
So an event of another's account on the person's machine, and the other side of a transfer, stay: the identifier in it is *shared*, and said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from candor.contract import Table
from candor.contract import load as load_contract
from candor.errors import UsageError
from candor.hashing import install
from candor.ingest.columns import literal, quoted
from candor.ingest.landing import quarantine_dir, raw_dir

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# Per contract table the columns that say whose a row is, the first that is given deciding; each with the kind of identifier it holds.
OWNERS: dict[str, tuple[tuple[str, str], ...]] = {
    "exchange.accounts": (("account_id", "account_id"),),
    "exchange.trades": (("account_id", "account_id"),),
    "exchange.ledger_entries": (("account_id", "account_id"),),
    "crm.contacts": (("contact_id", "contact_id"),),
    "crm.consents": (("contact_id", "contact_id"), ("account_id", "account_id"), ("email", "email")),
    "crm.messages": (("contact_id", "contact_id"),),
    "crm.preferences": (("contact_id", "contact_id"), ("account_id", "account_id")),
    "events.events": (("account_id", "account_id"), ("anonymous_id", "anonymous_id"), ("device_id", "device_id")),
    "wallets.wallet_links": (("account_id", "account_id"), ("device_id", "device_id"), ("wallet_address", "wallet")),
    "surveys.responses": (("account_id", "account_id"), ("email", "email"), ("anonymous_id", "anonymous_id")),
    "catalogue.past_assignments": (("account_id", "account_id"), ("contact_id", "contact_id")),
    "catalogue.approvals": (("account_id", "account_id"),),
    "compliance.kyc_records": (("account_id", "account_id"),),
    "compliance.assessments": (("account_id", "account_id"),),
    "compliance.restrictions": (("account_id", "account_id"), ("email", "email"), ("wallet_address", "wallet")),
    "compliance.screening_hits": (("account_id", "account_id"), ("wallet_address", "wallet")),
}
# Tables that say nothing of a person.
OF_NOBODY = ("catalogue.offers", "catalogue.creatives", "market.prices", "compliance.screening_runs")
# A transfer has two sides and is a stranger's record as well: the person's when nobody else stands on the other side.
TRANSFERS = "wallets.transfers"
# Kinds of terms by which a person is found from outside; all of them are searched for, and none may be left.
IDENTIFIERS = ("account_id", "contact_id", "email", "phone", "device_id", "anonymous_id", "wallet")
WRITTEN = {
    "email": ("email",),
    "phone": ("phone",),
    "wallet_address": ("wallet",),
}  # columns in the clear, as somebody wrote them
HASHED = ("email", "phone")

TERMS = "create or replace temp table erased_terms (kind varchar not null, value varchar not null)"

# Everything the person's ids ever stood for: whoever was merged into them, or they into.
PERSONS = """
with recursive same as (

    select unnest($persons::varchar[]) as person_id
    union
    select case when aliases.person_id = same.person_id then aliases.surviving_person_id else aliases.person_id end
    from same
    inner join identity.person_aliases as aliases
        on same.person_id in (aliases.person_id, aliases.surviving_person_id)

)

select distinct person_id from same order by person_id
"""

# From the seeds over every trusted link between identifiers of the same person.
MEMBERS = """
with recursive

mine as (

    select identifier_kind, identifier from identity.person_identifiers
    where person_id in (select value from erased_terms where kind = 'person')

),

links as (

    select edges.identifier_kind, edges.identifier, edges.other_kind, edges.other_identifier
    from identity.edges as edges
    inner join mine using (identifier_kind, identifier)
    inner join mine as other
        on edges.other_kind = other.identifier_kind
        and edges.other_identifier = other.identifier
    where edges.evidence not in (select evidence from identity.evidence_classes where is_weak)

),

ties as (

    select * from links
    union all
    select other_kind, other_identifier, identifier_kind, identifier from links

),

reached as (

    select identifier_kind, identifier from erasure_seeds
    union
    select ties.other_kind, ties.other_identifier
    from reached
    inner join ties using (identifier_kind, identifier)

)

select distinct identifier_kind, identifier from reached order by all
"""

# Addresses and numbers that were the person's once and are nobody's now; what many share (a hub) is nobody's in particular.
FORMER = """
select distinct key_map.identifier_kind, key_map.identifier
from state.key_map
left join identity.identifiers as shared
    on key_map.identifier_kind = shared.identifier_kind
    and key_map.identifier = shared.identifier
where key_map.person_id in (select value from erased_terms where kind = 'person')
    and key_map.evidence is distinct from 'probabilistic'
    and not exists (
        select 1 from identity.person_identifiers as now
        where now.identifier_kind = key_map.identifier_kind and now.identifier = key_map.identifier
    )
    and not coalesce(shared.is_hub or shared.is_blocked, false)
    and key_map.identifier_kind in ('email', 'phone', 'wallet', 'anonymous_id', 'device_id')
order by all
"""


def _add(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object] | None = None) -> None:
    connection.execute(
        f"insert into erased_terms select distinct kind, value from ({query}) where value is not null and value <> '' "
        "except select kind, value from erased_terms",
        parameters or {},
    )


def seeds_of(connection: duckdb.DuckDBPyConnection, persons: Iterable[str], identifiers: Iterable[str]) -> int:
    """Fill `erasure_seeds` with the identifiers from which a person is followed; gives how many people they belong to.

    Raises UsageError for a person or an identifier that is nobody's: an address that strangers share is nobody's either.
    """
    connection.execute("create or replace temp table erasure_seeds (identifier_kind varchar, identifier varchar)")
    for person_id in persons:
        found = connection.execute(
            """
            insert into erasure_seeds
            select identifiers.identifier_kind, identifiers.identifier
            from identity.person_identifiers as identifiers
            left join identity.person_aliases as aliases on aliases.person_id = $person_id
            where identifiers.person_id = coalesce(aliases.surviving_person_id, $person_id)
                and identifiers.evidence_rank not in (select evidence_rank from identity.evidence_classes where is_weak)
            """,
            {"person_id": person_id},
        ).fetchall()
        if not found[0][0]:
            raise UsageError(
                f"nobody has the person_id {person_id}", hint="candor identity show finds a person by any identifier of theirs"
            )
    for name in identifiers:
        kind, slash, value = name.partition("/")
        value = (value if slash else name).strip()
        if slash and kind not in IDENTIFIERS:
            raise UsageError(f"no kind of identifier is called {kind!r}", hint=f"kinds: {', '.join(IDENTIFIERS)}")
        found = connection.execute(
            """
            select distinct identifier_kind, identifier, person_id from identity.person_identifiers
            where identifier in ($value, lower($value)) and ($kind is null or identifier_kind = $kind)
            """,
            {"value": value, "kind": kind if slash else None},
        ).fetchall()
        if not found:
            raise UsageError(
                "the identifier given belongs to nobody here",
                hint="an address or number that strangers share is nobody's; name the account or contact instead: account_id/…",
            )
        if len({person_id for _, _, person_id in found}) > 1:
            raise UsageError("the identifier given means several people", hint="write it as kind/identifier")
        connection.execute("insert into erasure_seeds values (?, ?)", list(found[0][:2]))
    row = connection.execute(
        "select count(distinct person_id) from identity.person_identifiers semi join erasure_seeds using (identifier_kind, identifier)"
    ).fetchone()
    return int(row[0]) if row else 0


def collect(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Fill `erased_terms` from `erasure_seeds`; gives counts of what was found, of what is shared, and of what only likeness joins."""
    install(connection, settings)
    connection.execute(TERMS)
    persons = [
        row[0]
        for row in connection.execute(
            "select distinct person_id from identity.person_identifiers semi join erasure_seeds using (identifier_kind, identifier)"
        ).fetchall()
    ]
    connection.execute(f"insert into erased_terms select 'person', person_id from ({PERSONS})", {"persons": persons})
    _add(connection, f"select identifier_kind as kind, identifier as value from ({MEMBERS})")
    _add(connection, f"select identifier_kind as kind, identifier as value from ({FORMER})")
    connection.execute(
        "create or replace temp table erased_members as select kind, value from erased_terms where kind <> 'person'"
    )
    _written(connection, settings)
    _rows(connection, settings)
    _refused(connection, settings)
    _shared(connection, settings)
    kinds = ", ".join(f"'{kind}'" for kind in HASHED)
    _add(connection, f"select kind || '_hash' as kind, keyed_hash(value) as value from erased_terms where kind in ({kinds})")
    _add(connection, "select 'domain' as kind, split_part(value, '@', 2) as value from erased_members where kind = 'email'")
    _add(connection, "select 'decision' as kind, decision_id as value from state.decisions where person_id in "
         "(select value from erased_terms where kind = 'person')")  # fmt: skip
    _add(connection, "select 'actor' as kind, value from erased_terms where kind in ('anonymous_id', 'device_id')")
    counts = dict(connection.execute("select kind, count(*) from erased_terms group by kind order by kind").fetchall())
    (weak,) = connection.execute(
        """
        select count(*) from identity.person_identifiers as identifiers
        where identifiers.person_id in (select value from erased_terms where kind = 'person')
            and not exists (
                select 1 from erased_members
                where erased_members.kind = identifiers.identifier_kind and erased_members.value = identifiers.identifier
            )
        """
    ).fetchall()[0]
    return {**counts, "left_because_likeness_only": int(weak)}


def segments(settings: Settings, table: Table) -> list[Path]:
    """The raw segments of one table, in order."""
    return sorted(raw_dir(settings, table).glob("[!.]*.parquet"))


def refused(settings: Settings, table: Table) -> list[Path]:
    """The quarantine files of one table, in order."""
    return sorted(quarantine_dir(settings, table).glob("[!.]*.parquet"))


def read(paths: Iterable[Path]) -> str:
    """SQL that reads the Parquet files."""
    return f"read_parquet([{', '.join(literal(str(path)) for path in paths)}], hive_partitioning = false)"


def _written(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Addresses, numbers and wallets as the person's own records have them, in `erased_written`: other spellings of the members."""
    connection.execute("create or replace temp table erased_written (kind varchar, value varchar)")
    for table in load_contract().tables:
        if table.full_name not in ("exchange.accounts", "crm.contacts", "wallets.wallet_links") or not segments(
            settings, table
        ):
            continue
        owner = "contact_id" if table.source == "crm" else "account_id"
        for column in ("email", "phone", "wallet_address"):
            if column in {c.name for c in table.columns}:
                connection.execute(
                    f"""
                    insert into erased_written
                    select distinct ?, trim({column}) from {read(segments(settings, table))}
                    where {column} is not null and {owner} in (select value from erased_members where kind = '{owner}')
                    """,
                    [WRITTEN[column][0]],
                )
    # Another's record may carry the same: then it is shared, and not to be followed.
    standardised = {
        "email": ("staging.stg_exchange__accounts", "staging.stg_crm__contacts", "email", "email_std"),
        "phone": ("staging.stg_exchange__accounts", "staging.stg_crm__contacts", "phone", "phone_std"),
    }
    for kind, (accounts, contacts, raw, std) in standardised.items():
        connection.execute(
            f"""
            insert into erased_written
            select distinct '{kind}', trim({raw}) from (
                select {raw}, {std} from {accounts} union all select {raw}, {std} from {contacts}
            )
            where {raw} is not null and {std} in (select value from erased_members where kind = '{kind}')
            """
        )
    # `raw` keys the caches of standardisation: they hold the text as it was written.
    _add(connection, "select 'raw' as kind, value from erased_written")
    _add(connection, "select 'raw' as kind, lower(value) as value from erased_written")
    _add(connection, "select 'raw' as kind, value from erased_members where kind in ('email', 'phone', 'wallet')")


def _is_mine(columns: tuple[tuple[str, str], ...]) -> str:
    """SQL for: the first identifier that the row carries is the person's."""
    cases = []
    for column, kind in columns:
        value = f"trim({quoted(column)})"
        if kind in ("email", "wallet"):
            cases.append(
                f"when {quoted(column)} is not null then {value} in (select value from erased_written where kind = '{kind}') "
                f"or lower({value}) in (select value from erased_members where kind = '{kind}') "
                f"or {value} in (select value from erased_members where kind = '{kind}')"
            )
        else:
            cases.append(
                f"when {quoted(column)} is not null then {value} in (select value from erased_members where kind = '{kind}')"
            )
    return f"coalesce(case {' '.join(cases)} end, false)"


def _transfer_is_mine() -> str:
    """SQL for: the person stands on one side of the transfer, and nobody else of ours on the other."""
    wallets = (
        "(select value from erased_members where kind = 'wallet' union select value from erased_written where kind = 'wallet')"
    )
    others = (
        "(select identifier from identity.person_identifiers where identifier_kind = 'wallet' "
        "and person_id not in (select value from erased_terms where kind = 'person'))"
    )

    def side(column: str, among: str) -> str:
        return f"(coalesce(trim({column}), '') in {among} or lower(coalesce(trim({column}), '')) in {among})"

    mine = f"({side('from_address', wallets)} or {side('to_address', wallets)})"
    theirs = f"({side('from_address', others)} or {side('to_address', others)})"
    return f"({mine} and not {theirs})"


def condition(table: Table) -> str | None:
    """SQL for: a raw row of this table is the person's. None for a table that says nothing of people."""
    if table.full_name == TRANSFERS:
        return _transfer_is_mine()
    owners = OWNERS.get(table.full_name)
    return _is_mine(owners) if owners else None


def _rows(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The person's raw rows, by hash, and the ids of them; how many, in `erased_rows_found`."""
    connection.execute("create or replace temp table erased_rows_found (table_name varchar, row_hash varchar)")
    for table in load_contract().tables:
        where, paths = condition(table), segments(settings, table)
        if where is None or not paths:
            continue
        connection.execute(
            f"insert into erased_rows_found select distinct '{table.full_name}', _row_hash::varchar from {read(paths)} where {where}"
        )
        ids = {"events.events": (("event_id", "event"), ("session_id", "session")),
               "catalogue.past_assignments": (("assignment_id", "assignment"),)}.get(table.full_name, ())  # fmt: skip
        for column, kind in ids:
            mine = (
                f"select {quoted(column)} as value from {read(paths)} where _row_hash::varchar in "
                f"(select row_hash from erased_rows_found where table_name = '{table.full_name}')"
            )
            theirs = mine.replace(" in (select", " not in (select")
            _add(connection, f"select '{kind}' as kind, value from ({mine} except {theirs})")
    _add(connection, "select 'row_hash' as kind, row_hash as value from erased_rows_found")
    _add(connection, "select 'record' as kind, value from erased_members where kind in ('account_id', 'contact_id')")


def pattern(connection: duckdb.DuckDBPyConnection, kinds: tuple[str, ...] = IDENTIFIERS) -> str:
    """A regular expression that finds the person's identifiers, and other spellings of them, in any text. Never empty."""
    rows = connection.execute(
        "select value from erased_terms where kind in (select unnest(?)) union select value from erased_written order by 1",
        [list(kinds)],
    ).fetchall()
    # Shorter ones would be found in everything; an identifier of fewer characters is looked for as a whole value.
    values = [re.escape(value) for (value,) in rows if len(value) >= 8]
    return "|".join(values) or "(?!)"


def _refused(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Quarantined rows whose raw text names the person."""
    values = "select value from erased_members union select value from erased_written"
    for table in load_contract().tables:
        if paths := refused(settings, table):
            _add(
                connection,
                f"select 'row_hash' as kind, refused._row_hash::varchar as value from {read(paths)} as refused "
                f"inner join ({values}) as named on length(named.value) >= 8 and contains(refused.raw, named.value)",
            )


def _shared(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Identifiers that rows of others name as well, in `erased_shared`: those rows stay, so they are not searched for."""
    connection.execute("create or replace temp table erased_shared (kind varchar, value varchar)")
    for table in load_contract().tables:
        paths = segments(settings, table)
        columns = OWNERS.get(table.full_name, ())
        if table.full_name == TRANSFERS:
            columns = (("from_address", "wallet"), ("to_address", "wallet"))
        also = {
            "exchange.accounts": ("email", "phone"),
            "crm.contacts": ("email", "phone"),
            "wallets.wallet_links": ("wallet_address",),
        }
        named = {name for name, _ in columns}
        pairs = [*columns, *((name, WRITTEN[name][0]) for name in also.get(table.full_name, ()) if name not in named)]
        if table.full_name == "events.events":
            pairs = [("account_id", "account_id"), ("anonymous_id", "anonymous_id"), ("device_id", "device_id")]
        for column, kind in pairs if paths else []:
            connection.execute(
                f"""
                insert into erased_shared
                select distinct '{kind}', terms.value from {read(paths)} as rows
                inner join (
                    select kind, value from erased_members union select kind, value from erased_written
                ) as terms
                    on terms.kind = '{kind}' and (terms.value = trim(rows.{quoted(column)}) or terms.value = lower(trim(rows.{quoted(column)})))
                where rows._row_hash::varchar not in (select value from erased_terms where kind = 'row_hash')
                """
            )
    connection.execute(
        "delete from erased_terms where (kind, value) in (select kind, value from erased_shared) and kind not in ('account_id', 'contact_id')"
    )
    connection.execute("delete from erased_terms where kind = 'raw' and value in (select value from erased_shared)")
    connection.execute("delete from erased_written where value in (select value from erased_shared)")
