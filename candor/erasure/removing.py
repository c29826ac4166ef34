"""Taking a person out of each store. Every function may be called again: what is gone already is simply not found.

Bytes go as well as rows: DuckDB and SQLite leave what was deleted in free pages, so the warehouse and the vault are copied into new files that take
their place, the serving store is vacuumed, and Parquet files are written again.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import warehouse
from candor.contract import load as load_contract
from candor.erasure import inventory, subjects
from candor.erasure.inventory import COLUMNS, KIND_BESIDE, Line
from candor.errors import CandorError
from candor.ingest.columns import literal, quoted
from candor.publishing import dialects, store

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from candor.settings import Settings

ERASED = "[erased]"
TEXT_FILES = (".json", ".html", ".txt", ".log", ".csv", ".yml", ".yaml", ".sql", ".md", ".js")
ERASED_ROWS = """
create table if not exists state.erased_rows (
    erasure_id varchar not null, delivery_id varchar not null, rows_loaded bigint not null, rows_quarantined bigint not null,
    upper_sum hugeint not null, lower_sum hugeint not null
)
"""


def names_person(column: str, columns: set[str]) -> str:
    """SQL for: this column of a row holds one of the person's terms. `columns` are the table's, for the kind beside an identifier."""
    kind, text = COLUMNS.get(column), f"{quoted(column)}::varchar"
    if kind in ("identifier", "record"):
        beside = KIND_BESIDE.get(column)
        if beside in columns:
            hashed = f"replace({quoted(beside)}, '_hash', '')"
            return (
                f"({hashed}, {text}) in (select kind, value from erased_members union "
                "select replace(kind, '_hash', ''), value from erased_terms where kind like '%_hash')"
            )
        return f"{text} in (select value from erased_members)"
    if kind is None:  # an example among counts
        return f"{text} in (select value from erased_members union select value from erased_terms where kind = 'person')"
    return f"{text} in (select value from erased_terms where kind = '{kind}')"


def found_in(connection: duckdb.DuckDBPyConnection, relation: str, line: Line) -> int:
    """How many rows of a table or file name the person, by the columns that its line says."""
    columns = {row[0] for row in connection.execute(f"describe select * from {relation}").fetchall()}
    keys = [key for key in line.keys if key in columns]
    if not keys:
        return 0
    where = " or ".join(names_person(key, columns) for key in keys)
    row = connection.execute(f"select count(*) from {relation} where {where}").fetchone()
    return int(row[0]) if row else 0


def tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """(store, schema.table, SQL name) of every table of the warehouse and, where it is attached, of the vault."""
    main = connection.execute("select current_database()").fetchall()[0][0]
    rows = connection.execute(
        "select database_name, schema_name, table_name from duckdb_tables() where database_name in (?, 'vault') and not temporary order by all",
        [main],
    ).fetchall()
    return [
        (
            "vault" if database == "vault" else "warehouse",
            f"{schema}.{name}",
            f"{quoted(database)}.{quoted(schema)}.{quoted(name)}",
        )
        for database, schema, name in rows
    ]


def from_databases(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows taken out of each table of the warehouse and the vault."""
    gone: dict[str, int] = {}
    for name, table, relation in tables(connection):
        for line in inventory.of(name, table):
            if line.does in ("delete", "clear", "blank"):
                gone[f"{name}.{table}"] = gone.get(f"{name}.{table}", 0) + _from_table(connection, relation, line)
    return gone


def _from_table(connection: duckdb.DuckDBPyConnection, relation: str, line: Line) -> int:
    """Rows of one table that were deleted, or whose example was taken out."""
    if line.does == "clear":
        return int(connection.execute(f"delete from {relation}").fetchall()[0][0])
    columns = {row[0] for row in connection.execute(f"describe {relation}").fetchall()}
    keys = [key for key in line.keys if key in columns]
    if line.does == "blank":
        return sum(
            int(
                connection.execute(f"update {relation} set {quoted(key)} = null where {_blanks(key, columns)}").fetchall()[0][0]
            )
            for key in keys
        )
    where = " or ".join(names_person(key, columns) for key in keys)
    return int(connection.execute(f"delete from {relation} where {where}").fetchall()[0][0])


def _blanks(key: str, columns: set[str]) -> str:
    """SQL for: the example names the person, perhaps within a longer text."""
    return f"({names_person(key, columns)} or regexp_matches({quoted(key)}::varchar, getvariable('erased_pattern')))"


def rewrite_databases(settings: Settings) -> None:
    """Put copies of the warehouse and the vault, which hold live rows only, in their place."""
    import duckdb

    for path in (settings.warehouse_path, settings.vault_path):
        if not path.is_file():
            continue
        beside = path.with_name(f".{path.name}.erasing")
        _drop_database(beside)
        # Views of the one read the other, so both are there, under the names that they have in a run.
        connection = duckdb.connect(":memory:")
        try:
            warehouse.configure(connection, settings)
            for name, present in (("candor", settings.warehouse_path), ("vault", settings.vault_path)):
                if present.is_file():
                    connection.execute(f"attach {literal(str(present))} as {name} (read_only)")
            source = "candor" if path == settings.warehouse_path else "vault"
            connection.execute(f"attach {literal(str(beside))} as rewritten")
            connection.execute(f"copy from database {source} to rewritten")
            connection.execute("checkpoint rewritten")
        finally:
            connection.close()
        beside.chmod(path.stat().st_mode & 0o777)
        os.replace(beside, path)
        _drop_database(beside)


def _drop_database(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}.wal")):
        name.unlink(missing_ok=True)


def from_serving(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows taken out of the serving store, whose free pages are then given back."""
    if not dialects.of(settings).exists():
        return {}
    store.prepare(settings)
    persons = [
        row[0] for row in connection.execute("select value from erased_terms where kind = 'person' order by 1").fetchall()
    ]
    marks = ", ".join("?" for _ in persons)
    gone = {}
    with store.only_publisher(settings), store.transaction(settings) as serving:
        for line in inventory.SERVING:
            if line.does == "delete":
                where = f"from {line.name} where person_id in ({marks})"
                gone[f"serving.{line.name}"] = int(serving.rows(f"select count(*) {where}", tuple(persons))[0][0])
                serving.execute(f"delete {where}", tuple(persons))
    dialect = dialects.of(settings)
    with dialect.connect(autocommit=True) as plain, plain.cursor() as cursor:
        if settings.serving_url.startswith("sqlite"):
            cursor.execute("vacuum")
            cursor.execute("pragma wal_checkpoint(truncate)")
            cursor.fetchall()
        else:
            for line in inventory.SERVING:
                if line.does == "delete":
                    cursor.execute(f"vacuum full {line.name}")
                    cursor.execute(f"analyze {line.name}")
            _overwrite_statistics(cursor)
    return gone


def _overwrite_statistics(cursor: Any) -> None:
    """What PostgreSQL remembers of columns are frequent values of theirs, and analysing a table again only marks the old ones as free.

    Raises CandorError, with the rows gone, when the account may not do that.
    """
    cursor.execute(
        "select pg_has_role(datdba, 'usage'), current_user, current_database() from pg_database where datname = current_database()"
    )
    ((is_owner, user, database),) = cursor.fetchall()
    if not is_owner:  # it would be skipped with a warning
        raise CandorError(
            f"PostgreSQL's statistics may still hold values of the erased: {user} does not own the database {database}, so it may not overwrite them",
            hint=f"alter database {database} owner to {user}, then candor erase again goes on from here",
        )
    cursor.execute("vacuum full pg_catalog.pg_statistic")


def count_serving(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows of the serving store that name the person."""
    if not dialects.of(settings).exists():
        return {}
    persons = tuple(
        row[0] for row in connection.execute("select value from erased_terms where kind = 'person' order by 1").fetchall()
    )
    marks = ", ".join("?" for _ in persons)
    with store.reading(settings) as serving:
        return {
            f"serving.{line.name}": int(
                serving.rows(f"select count(*) from {line.name} where person_id in ({marks})", persons)[0][0]
            )
            for line in inventory.SERVING
            if line.keys
        }


# --- raw segments -----------------------------------------------------------------------------------------------------------------------


def removed_sums(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Make `erased_sums`: per delivery how many rows go, and the sums over their hashes that a delivery's content hash is made of.

    With them whoever holds a delivery's content hash can still check that what is left is what was delivered, less what was erased. The rows'
    own hashes are not kept.
    """
    connection.execute(
        "create or replace temp table erased_sums (delivery_id varchar, rows_loaded bigint, rows_quarantined bigint, "
        "upper_sum decimal(38, 0), lower_sum decimal(38, 0))"  # Parquet has no wider whole numbers
    )
    mine = "_row_hash::varchar in (select value from erased_terms where kind = 'row_hash')"
    sums = (
        "sum((md5_number(_row_hash::varchar) >> 64)::ubigint) as upper_sum, "
        "sum((md5_number(_row_hash::varchar) & 18446744073709551615::uhugeint)::ubigint) as lower_sum"
    )
    for table in load_contract().tables:
        for loaded, paths in ((True, subjects.segments(settings, table)), (False, subjects.refused(settings, table))):
            for path in paths:
                connection.execute(
                    f"""
                    insert into erased_sums
                    select deliveries.delivery_id, {"rows.n, 0" if loaded else "0, rows.n"}, rows.upper_sum, rows.lower_sum
                    from (
                        select _extracted_at, count(*) as n, {sums} from {subjects.read([path])} where {mine} group by _extracted_at
                    ) as rows
                    inner join state.deliveries as deliveries
                        on rows._extracted_at = deliveries.extracted_at
                        and deliveries.source = ? and deliveries.table_name = ? and deliveries.segment = ?
                    """,
                    [table.source, table.name, path.stem],
                )


def register_removed(connection: duckdb.DuckDBPyConnection, erasure_id: str) -> int:
    """Deliveries whose counts are now without the rows that go, in one transaction with the record of it; once per erasure."""
    connection.execute("begin")
    try:
        connection.execute(ERASED_ROWS)
        if connection.execute("select 1 from state.erased_rows where erasure_id = ? limit 1", [erasure_id]).fetchone():
            connection.execute("rollback")
            return 0
        connection.execute(
            """
            insert into state.erased_rows
            select ?, delivery_id, sum(rows_loaded), sum(rows_quarantined), sum(upper_sum), sum(lower_sum)
            from erased_sums group by delivery_id
            """,
            [erasure_id],
        )
        changed = connection.execute(
            """
            update state.deliveries set
                rows_read = deliveries.rows_read - gone.rows_loaded - gone.rows_quarantined,
                rows_loaded = deliveries.rows_loaded - gone.rows_loaded,
                rows_quarantined = deliveries.rows_quarantined - gone.rows_quarantined
            from state.erased_rows as gone
            where gone.erasure_id = ? and deliveries.delivery_id = gone.delivery_id
            """,
            [erasure_id],
        ).fetchall()[0][0]
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return int(changed)


def from_raw(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows taken out of raw segments and quarantine, file by file; each file is whole at any time."""
    gone: dict[str, int] = {}
    for table in load_contract().tables:
        for path in (*subjects.segments(settings, table), *subjects.refused(settings, table)):
            mine = "_row_hash::varchar in (select value from erased_terms where kind = 'row_hash')"
            if count := rewrite_file(connection, path, mine):
                store_name = "restricted_raw" if table.restricted else "raw"
                gone[f"{store_name}.{table.full_name}"] = gone.get(f"{store_name}.{table.full_name}", 0) + count
    return gone


def count_raw(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows of raw segments and quarantine that are the person's, found again by what they carry, not by the list of their hashes."""
    found: dict[str, int] = {}
    for table in load_contract().tables:
        name = f"{'restricted_raw' if table.restricted else 'raw'}.{table.full_name}"
        where = subjects.condition(table)
        hashes = "_row_hash::varchar in (select value from erased_terms where kind = 'row_hash')"
        for paths, mine in (
            (subjects.segments(settings, table), f"({where}) or {hashes}" if where else hashes),
            (subjects.refused(settings, table), hashes),
        ):
            if paths:
                (count,) = connection.execute(f"select count(*) from {subjects.read(paths)} where {mine}").fetchall()[0]
                found[name] = found.get(name, 0) + int(count)
    return found


def rewrite_file(connection: duckdb.DuckDBPyConnection, path: Path, mine: str) -> int:
    """Rows that were taken out of one Parquet file; one without any is left as it is, byte for byte."""
    relation = subjects.read([path])
    (count,) = connection.execute(f"select count(*) from {relation} where {mine}").fetchall()[0]
    if not count:
        return 0
    beside = path.with_name(f".new-erasing-{path.name}")
    connection.execute(
        f"copy (select * from {relation} where not coalesce(({mine}), false)) to {literal(str(beside))} (format parquet, compression zstd)"
    )
    beside.chmod(path.stat().st_mode & 0o777)
    with beside.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(beside, path)
    return int(count)


# --- published files, reports, models -----------------------------------------------------------------------------------------------------


def published_files(settings: Settings) -> list[tuple[str, str, Path]]:
    """(store, name, path) of every Parquet file of published runs, of both faces."""
    found = []
    for name, folder in (("published", settings.published_dir), ("restricted", settings.restricted_published_dir)):
        for run in sorted(folder.glob("r[0-9a-f]*")):
            found += [
                (name, str(path.relative_to(run).with_suffix("")), path)
                for path in sorted(run.rglob("*.parquet"))
                if path.is_file()
            ]
    return found


def from_published(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Rows taken out of published files that are not in the chain: the mapping of person_ids, and what only sources could undo."""
    gone: dict[str, int] = {}
    for name, file, path in published_files(settings):
        for line in inventory.of(name, file):
            if line.does == "delete":
                columns = {row[0] for row in connection.execute(f"describe select * from {subjects.read([path])}").fetchall()}
                where = " or ".join(names_person(key, columns) for key in line.keys if key in columns)
                if count := rewrite_file(connection, path, where):
                    gone[f"{name}.{file}"] = gone.get(f"{name}.{file}", 0) + count
    return gone


def text_files(settings: Settings) -> list[Path]:
    """Reports and logs: every text below the state folder that is not the sources', the rules', a proof or an entry of the chain."""
    left = (settings.landing_dir, settings.state_dir / "policy", settings.state_dir / "erasures", settings.restricted_dir / "erasures",
            settings.published_dir / "chain", settings.state_dir / "secrets", settings.mlflow_dir)  # fmt: skip
    found = []
    for folder, names, files in os.walk(settings.state_dir):
        names[:] = sorted(name for name in names if Path(folder, name) not in left)
        found += [Path(folder, name) for name in sorted(files) if name.endswith(TEXT_FILES)]
    return found


def from_texts(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Mentions of the person in reports and logs that became `[erased]`."""
    values = [
        row[0]
        for row in connection.execute(
            "select value from erased_terms where kind in (select unnest(?)) union select value from erased_written "
            "union select replace(value, '-', '') from erased_terms where kind = 'row_hash' order by 1",
            [
                [
                    *subjects.IDENTIFIERS,
                    "person",
                    "row_hash",
                    "email_hash",
                    "phone_hash",
                    "event",
                    "session",
                    "assignment",
                    "decision",
                ]
            ],
        ).fetchall()
        if len(row[0]) >= 8
    ]
    wanted = set(values)
    # Every identifier is a token of these characters, so one pass over a text finds all of them.
    token = re.compile(r"[\w.+@:\-]{8,}")
    spaced = [value for value in values if not token.fullmatch(value)]
    gone: dict[str, int] = {}
    for path in text_files(settings):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        count = 0

        def replaced(match: re.Match[str]) -> str:
            nonlocal count
            for form in (match.group(), match.group().rstrip(".:-")):
                if form in wanted:
                    count += 1
                    return ERASED + match.group()[len(form) :]
            return match.group()

        cleaned = token.sub(replaced, text)
        for value in spaced:
            count += cleaned.count(value)
            cleaned = cleaned.replace(value, ERASED)
        if count:
            beside = path.with_name(f".{path.name}.erasing")
            beside.write_text(cleaned, encoding="utf-8", errors="surrogateescape")
            beside.chmod(path.stat().st_mode & 0o777)
            os.replace(beside, path)
            folder = path.relative_to(settings.state_dir).parts[0]
            gone[f"state.{folder}"] = gone.get(f"state.{folder}", 0) + count
    return gone


def spills(settings: Settings) -> None:
    """Empty the folder of spilled rows."""
    for path in settings.tmp_dir.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "run.lock":
            path.unlink()


def trained_on(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """From which training on a model may have learnt from the person: when the first of their labels was known. None: from none."""
    row = connection.execute(
        """
        select min(label_known_at) from features.training_examples
        where label is not null and (is_exposed or not outcome_needs_offer)
            and person_id in (select value from erased_terms where kind = 'person')
        """
    ).fetchone()
    return row[0] if row else None


def mark_models(settings: Settings, since: datetime | None, as_of: datetime) -> list[dict[str, Any]]:
    """The registered models that learnt from the person, each now tagged `retrain_due`."""
    from candor.scoring import registry

    if since is None:
        return []
    client = registry.client(settings)
    found = [version for version in registry.versions(client) if warehouse.utc(version.train_as_of) >= since]
    for version in found:
        client.set_model_version_tag(registry.NAME, str(version.number), "retrain_due", registry.instant_text(as_of))
    return [
        {
            "number": version.number,
            "model_version": version.model_version,
            "train_as_of": registry.instant_text(version.train_as_of),
        }
        for version in found
    ]
