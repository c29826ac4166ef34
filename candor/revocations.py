"""Newly landed withdrawals, objections, restrictions, screening hits and KYC changes, effective in the serving store at once.

Reads landed files and the store's own lookups, never the warehouse: this runs every few minutes, beside whatever the daily run is doing.
Kill switches become suppressions as well (`candor.kill_switches`), and what reviewers said must not be shown
(`candor.review.suppressing`), and what markets that turned stressed no longer let be live (`candor.market_stress`).
It only ever takes offers away. A suppression stands until a run that knows
its cause itself is published.

What suppresses (first cut): the latest consent of a subject, purpose and channel when it is denied or withdrawn (that channel, or all;
consents about sharing data with others do not speak about being shown an offer); personalisation switched off, or at most 0 messages a week;
an open restriction of any kind; a potential or confirmed hit of the latest screening; a current KYC record that is not verified or has expired.
A restriction that the rules hold against promotions alone (`fincrime_hold`, `adverse_media`, …) leaves lessons live, as the standing random
withhold does; and people drawn for that one (`candor.withholding`) whose instant has come lose theirs at the same call, by the same rows.
The store says only `preference` or `eligibility`, and deliveries are keyed hashes there: neither may tell anybody about a screening.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import kill_switches, market_stress, warehouse
from candor import settings as settings_module
from candor.hashing import install, keyed_hash
from candor.publishing import store
from candor.publishing.publish import REVOCABLE
from candor.review import suppressing
from candor.warehouse import instant_text

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from candor.ingest.deliveries import Folder
    from candor.settings import Settings

RESTRICTIONS = "compliance.restrictions"
TABLES = tuple(f"{source}.{table}" for source, table in REVOCABLE)

# Restrictions that speak against every message. All others, those of kinds that nobody knows among them, speak against promotions alone, as
# the rules do that read them; so between two runs a hold looks like the standing random withhold, which leaves lessons where they are.
ALL_MESSAGES = ("embargo", "minor_signal", "self_exclusion", "erasure", "objection", "do_not_contact", "profiling_objection")

# What is said about data given to others; whether an offer may be shown is not among it.
SHARING_PURPOSES = ("third_party", "sale_or_share", "gpc", "glba")

# Each gives: the identifiers that name the subject, a channel (null: all), a neutral kind, the delivery that said so.
ADVERSE = {
    "consents": f"""
        select account_id, contact_id, email, null as wallet_address, 0 as promotions_only,
            case when purpose = 'profiling' then null when channel = 'chat' then 'chatbot' else channel end as channel,
            'preference' as reason_kind, cause
        from (
            select * from consents
            where purpose not in {SHARING_PURPOSES}
            qualify row_number() over (
                partition by contact_id, case when contact_id is null then account_id end,
                    case when contact_id is null and account_id is null then lower(trim(email)) end, purpose, channel
                order by recorded_at desc, status = 'withdrawn' desc, status = 'denied' desc, consent_id, cause
            ) = 1
        )
        where status in ('denied', 'withdrawn')
    """,
    "preferences": """
        select account_id, contact_id, null as email, null as wallet_address, 0 as promotions_only,
            case when personalisation_off then null when channel = 'chat' then 'chatbot' else channel end as channel,
            'preference' as reason_kind, cause
        from (
            select * from preferences
            where personalisation_off is not null or max_per_week is not null
            qualify row_number() over (
                partition by contact_id, account_id, personalisation_off is not null, channel
                order by recorded_at desc, personalisation_off desc, max_per_week, preference_id, cause
            ) = 1
        )
        where personalisation_off or max_per_week = 0
    """,
    "restrictions": f"""
        select account_id, null as contact_id, email, wallet_address, (kind not in {ALL_MESSAGES})::bigint as promotions_only, null as channel,
            case when kind in ('objection', 'profiling_objection', 'do_not_contact', 'erasure') then 'preference' else 'eligibility' end
                as reason_kind,
            cause
        from (
            select * from restrictions
            qualify row_number() over (
                partition by restriction_id order by source_updated_at desc, extracted_at desc, status = 'open' desc, cause
            ) = 1
        )
        where status = 'open' and starts_at <= $as_of and (ends_at is null or ends_at > $as_of)
    """,
    # A hit of a run that a later run of the same scope has replaced no longer counts; one of an unknown run does.
    "screening_hits": """
        select screening_hits.account_id, null as contact_id, null as email, screening_hits.wallet_address, 0 as promotions_only,
            null as channel,
            'eligibility' as reason_kind, screening_hits.cause
        from screening_hits
        left join screening_runs as own_runs on screening_hits.screening_run_id = own_runs.screening_run_id
        where screening_hits.outcome in ('potential', 'confirmed')
            and not exists (
                select 1 from screening_runs as later_runs
                where later_runs.scope = own_runs.scope and later_runs.screened_at > own_runs.screened_at
            )
    """,
    "kyc_records": """
        select account_id, null as contact_id, null as email, null as wallet_address, 0 as promotions_only, null as channel,
            'eligibility' as reason_kind, cause
        from (
            select * from kyc_records
            qualify row_number() over (
                partition by account_id order by source_updated_at desc, verified_at desc nulls last, kyc_id desc, extracted_at desc, cause
            ) = 1
        )
        where status <> 'verified' or tier = 0 or expires_at <= $as_of
    """,
}

# Every offer that the store knows and that does more than teach: those of the next run too, so that no hold waits for the next call.
PROMOTED = """
    select offer_id from offer_lines where offer_id not in (select offer_id from lessons)
    union
    select offer_id from offers
    where run_id = (select run_id from runs where is_current = 1) and offer_id not in (select offer_id from lessons)
"""

# Whom the revoked subjects are. A restriction passes over a weak link, so both look-ups count.
LOOKUPS = " union all ".join(
    f"""
    select {table}.identifier_kind, {table}.identifier, {table}.person_id
    from (select distinct identifier_kind, identifier from revoked_subjects) as subjects
    inner join {table}
        on subjects.identifier_kind = {table}.identifier_kind
        and subjects.identifier = {table}.identifier
    where {table}.valid_to_run is null
    """
    for table in ("person_lookup", "likely_lookup")
)
SUBJECTS = f"""
with

adverse as (

    {" union all ".join(f"({query})" for query in ADVERSE.values())}

),

identified as (

    select 'account_id' as identifier_kind, account_id as identifier, channel, reason_kind, cause, promotions_only from adverse
    union all
    select 'contact_id', contact_id, channel, reason_kind, cause, promotions_only from adverse
    union all
    select 'email_hash', keyed_hash(lower(trim(email))), channel, reason_kind, cause, promotions_only from adverse where email is not null
    union all
    select
        'wallet',
        case when trim(wallet_address) ilike '0x%' then lower(trim(wallet_address)) else trim(wallet_address) end,
        channel, reason_kind, cause, promotions_only
    from adverse

)

select distinct identifier_kind, identifier, channel, reason_kind, cause, promotions_only::bigint as promotions_only
from identified where identifier is not null
order by all
"""


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many deliveries were read and how many suppressions they added, after one transaction of the serving store.

    Read is what was extracted up to `as_of` and the current run neither knew nor has had read since: a second call adds nothing. Without a
    current run nothing is live and nothing is read. A restatement of a delivery that the current run knew waits for the next run.
    """
    from candor.contract import load as load_contract
    from candor.ingest.deliveries import find

    settings = settings or settings_module.load()
    store.prepare(settings)
    folders, problems = find(settings.landing_dir, load_contract(), until=warehouse.utc(as_of), tables=TABLES)
    while True:
        with store.reading(settings) as reader:
            current, unread = _unread(reader, settings, folders)
            since, shown = _shown(reader, unread)
        if current is None:
            return {"run_id": None, "deliveries_read": 0, "suppressions_added": 0}
        with warehouse.scratch(settings) as connection:
            read = _read(connection, settings, unread)
            subjects = connection.execute(SUBJECTS, {"as_of": warehouse.utc(as_of)}).to_arrow_table()
            withheld = _withheld(connection, settings, since, shown, as_of)
        with store.transaction(settings) as serving:
            if _current(serving) != current:
                continue  # a run was published meanwhile; what it did not know must be looked up by its lookups
            added, unknown = _suppress(serving, subjects, as_of)
            added += _suppress_withheld(serving, withheld, as_of)
            _mark_read(serving, settings, current, unread)
        return {
            "run_id": current,
            "deliveries_read": len(unread),
            "rows_read": read["rows"],
            "rows_quarantined": read["quarantined"],
            "notes": read["notes"] + [f"{problem['what']}: {problem['where']}" for problem in problems],
            "suppressions_added": added,
            "subjects_without_person": unknown,
            **kill_switches.apply(settings, as_of),
            **suppressing.apply(settings, as_of),
            **market_stress.apply(settings, as_of),
        }


def _current(serving: store.Store) -> str | None:
    rows = serving.rows("select run_id from runs where is_current = 1")
    return rows[0][0] if rows else None


def _folder_key(settings: Settings, folder: Folder) -> str:
    return keyed_hash(settings, f"{folder.table.full_name}/{folder.name}")


def _unread(serving: store.Store, settings: Settings, folders: list[Folder]) -> tuple[str | None, list[Folder]]:
    """The current run, and the deliveries that it did not know and that were not read since it was published."""
    current = _current(serving)
    if current is None:
        return None, []
    known = {row[0] for row in serving.rows("select folder from known_deliveries where run_id = ?", (current,))}
    read = set(serving.rows("select folder, files_hash from revocation_reads where run_id = ?", (current,)))
    unread = [
        folder
        for folder in folders
        if (key := _folder_key(settings, folder)) not in known and (key, folder.fingerprint) not in read
    ]
    return current, unread


def _shown(serving: store.Store, unread: list[Folder]) -> tuple[str, pa.Table | None]:
    """The current run's as_of, and who is shown anything by it; None when nothing is to be read that could begin a hold."""
    if not any(folder.table.full_name == RESTRICTIONS for folder in unread):
        return "", None
    ((since,),) = serving.rows("select as_of from runs where is_current = 1")
    people = serving.arrow(
        "select distinct person_id from offers where run_id = (select run_id from runs where is_current = 1)"
    )
    return since, people


def _withheld(
    connection: duckdb.DuckDBPyConnection, settings: Settings, since: str, shown: pa.Table | None, as_of: datetime
) -> pa.Table | None:
    """(person_id, cause) of people drawn to get no promotions from an instant after the current run on."""
    from candor import policy, runs, withholding

    if shown is None:
        return None
    rules = policy.load(settings.policy_dir, settings.shop)
    connection.register("shown", shown)
    try:
        return withholding.due(
            connection,
            since=runs.parse_as_of(since),
            until=as_of,
            salt=rules.withhold_salt,
            share=rules.withhold_share,
        )
    finally:
        connection.unregister("shown")


def _read(connection: duckdb.DuckDBPyConnection, settings: Settings, folders: list[Folder]) -> dict[str, Any]:
    """Put the good rows of the deliveries into one table per landed table, each row with its extraction time and cause."""
    from candor.contract import load as load_contract
    from candor.ingest import read_delivery

    contract = load_contract()
    install(connection, settings)
    for full_name in TABLES:
        table = contract.table(full_name)
        columns = ", ".join(f'"{column.name}" {column.duckdb_type}' for column in table.columns)
        connection.execute(f"create table {table.name} ({columns}, extracted_at timestamp, cause varchar)")
    connection.execute("create table restriction_deliveries (extracted_at timestamp, cause varchar)")
    read: dict[str, Any] = {"rows": 0, "quarantined": 0, "notes": []}
    for folder in folders:
        delivery = read_delivery(folder.path, folder.table, settings)
        connection.register("good", delivery.good)
        names = ", ".join(f'"{column.name}"' for column in folder.table.columns)
        connection.execute(
            f"insert into {folder.table.name} ({names}, extracted_at, cause) select {names}, ?, ? from good",
            [delivery.extracted_at, keyed_hash(settings, delivery.delivery_id)],
        )
        connection.unregister("good")
        if folder.table.full_name == RESTRICTIONS:
            connection.execute(
                "insert into restriction_deliveries values (?, ?)",
                [delivery.extracted_at, keyed_hash(settings, delivery.delivery_id)],
            )
        read["rows"] += delivery.rows_read
        read["quarantined"] += delivery.quarantined.num_rows
        read["notes"] += [
            f"{folder.table.full_name}/{folder.name}/{file}: {what} {detail}" for file, what, detail, _ in delivery.notes
        ]
    return read


def _suppress(serving: store.Store, subjects: Any, as_of: datetime) -> tuple[int, int]:
    """Add one suppression per person, channel, kind and cause not there yet; gives their number, and that of subjects nobody knows.

    What speaks against promotions alone becomes one of each offer that is none of the lessons.
    """
    if subjects.num_rows == 0:
        return 0, 0
    serving.execute(
        "create table revoked_subjects "
        "(identifier_kind text, identifier text, channel text, reason_kind text, cause text, promotions_only bigint)"
    )
    serving.load("revoked_subjects", subjects)
    counted = "select count(*) from suppressions"
    before = serving.rows(counted)[0][0]
    serving.execute(
        f"""
        with lookups as ({LOOKUPS}), promoted as ({PROMOTED})
        insert into suppressions (suppression_id, person_id, offer_id, channel, reason_kind, since, cause)
        select distinct
            lookups.person_id || '|' || coalesce(revoked_subjects.channel, '') || '|' || revoked_subjects.reason_kind || '|'
                || revoked_subjects.cause || coalesce('|' || promoted.offer_id, ''),
            lookups.person_id, promoted.offer_id, revoked_subjects.channel, revoked_subjects.reason_kind, cast(? as text),
            revoked_subjects.cause
        from revoked_subjects
        inner join lookups
            on revoked_subjects.identifier_kind = lookups.identifier_kind
            and revoked_subjects.identifier = lookups.identifier
        left join promoted
            on revoked_subjects.promotions_only = 1
        where revoked_subjects.promotions_only = 0 or promoted.offer_id is not null
        on conflict do nothing
        """,
        (instant_text(as_of),),
    )
    unknown = serving.rows(
        f"""
        with lookups as ({LOOKUPS})
        select count(*) from (select distinct identifier_kind, identifier from revoked_subjects) as subjects
        where not exists (
            select 1 from lookups
            where lookups.identifier_kind = subjects.identifier_kind and lookups.identifier = subjects.identifier
        )
        """
    )[0][0]
    added = serving.rows(counted)[0][0] - before
    serving.execute("drop table revoked_subjects")
    return added, unknown


def _suppress_withheld(serving: store.Store, people: pa.Table | None, as_of: datetime) -> int:
    """Add to the suppressions those of people withheld at random, which look as a hold's do in every column; gives their number."""
    if people is None or people.num_rows == 0:
        return 0
    serving.execute("create table revoked_people (person_id text, cause text)")
    serving.load("revoked_people", people)
    before = serving.rows("select count(*) from suppressions")[0][0]
    serving.execute(
        f"""
        with promoted as ({PROMOTED})
        insert into suppressions (suppression_id, person_id, offer_id, channel, reason_kind, since, cause)
        select distinct
            revoked_people.person_id || '||eligibility|' || revoked_people.cause || '|' || promoted.offer_id,
            revoked_people.person_id, promoted.offer_id, cast(null as text), 'eligibility', cast(? as text), revoked_people.cause
        from revoked_people
        cross join promoted
        where true
        on conflict do nothing
        """,
        (instant_text(as_of),),
    )
    added = serving.rows("select count(*) from suppressions")[0][0] - before
    serving.execute("drop table revoked_people")
    return int(added)


def _mark_read(serving: store.Store, settings: Settings, current: str, folders: list[Folder]) -> None:
    for folder in folders:
        serving.execute(
            "insert into revocation_reads values (?, ?, ?) on conflict do nothing",
            (current, _folder_key(settings, folder), folder.fingerprint),
        )
