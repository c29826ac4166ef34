"""The published Parquet files of a run: what people look at later, without opening the warehouse.

Every file is ordered by all that names its rows, and holds nothing that changes from one execution to the next, so the same run gives the same
bytes. A folder appears whole; a rerun replaces it file by file, with the same bytes, or is refused (`candor.ledger.chain`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from candor.hashing import hashed, hashed_kind
from candor.identity import published as identity
from candor.ledger import chain
from candor.ledger import files as ledger
from candor.publishing.lookups import LOOKUPS

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

# file -> (query, order). `$batch_seq` is the run's: what later runs appended is not part of this one.
OPEN_FILES = {
    "offers": ("select * from decisions.staged_offers", "person_id, channel, slot"),
    "ledger": ("select * from decisions.ledger", "person_id, channel, rank"),
    **{name: (query, "identifier_kind, identifier, person_id") for name, query in LOOKUPS.items()},
    "exclusion_counts": ("select * from eligibility.exclusion_counts", "all"),
    "choices": (
        "select coalesce(not_chosen_reason, 'given') as outcome, is_promotion, count(*) as candidates, count(distinct person_id) as people "
        "from decisions.ledger group by all",
        "all",
    ),
    "shadow_prices": ("select * from decisions.shadow_prices", "all"),
    "catalogue_findings": ("select * from policy.creative_findings", "all"),
    "market_states": (
        "select * from core.market_states where bar_end > (select max(bar_end) from core.market_states) - interval 120 days",
        "bar_end",
    ),
    "key_map": (
        f"""
        select person_id, {hashed_kind("identifier_kind")} as identifier_kind, {hashed("identifier_kind", "identifier")} as identifier,
            batch_seq, evidence
        from state.key_map where batch_seq <= $batch_seq
        """,
        "batch_seq, person_id, identifier_kind, identifier",
    ),
    **identity.FILES,
    **ledger.OPEN_FILES,
    "hygiene": ("select * from core.hygiene_shares", "source"),
    "hygiene_trends": (
        "select * exclude (earlier_values) from hygiene.trends union all by name select * exclude (earlier_values) from core.hygiene_trends",
        "metric, source, table_name, key",
    ),
    "silos": ("select * from raw.silos", "feed"),
    "offers_withheld": ("select * from eligibility.offers_withheld", "source, table_name, offer_id"),
    "aliases": ("select * from identity.person_aliases", "all"),
    "arms": ("select * from state.arms where batch_seq <= $batch_seq", "batch_seq, person_id, arm"),
}


def write(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> dict[str, int]:
    """Rows per published file; restricted ones, named `restricted/…`, went to the folder of mode 0700.

    Raises LedgerBroken, before anything was replaced, when the run was published with other rows.
    """
    restricted = ledger.restricted_files(connection) | {
        name: (f"select * from vault.identity.{name}", "all")
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = 'vault' and schema_name = 'identity' "
            "and table_name in ('wallet_clusters', 'wallet_links') order by table_name"
        ).fetchall()
    }
    settings.restricted_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    faces = {"restricted": (restricted, 0o700), "published": (OPEN_FILES, 0o755)}
    folders = chain.folders(settings, run.run_id)
    ledger.prepare(connection)
    beside, counts = {}, {}
    for face, (files, mode) in faces.items():
        beside[face], counts[face] = _write_beside(connection, folders[face], files, run, mode=mode)
    try:
        chain.keep_published(connection, settings, run, beside)
    except chain.LedgerBroken:
        for folder in beside.values():
            shutil.rmtree(folder)
        raise
    for face, folder in beside.items():
        replace_files(folder, folders[face])
    return counts["published"] | {f"restricted/{name}": count for name, count in counts["restricted"].items()}


def _write_beside(
    connection: duckdb.DuckDBPyConnection, folder: Path, files: dict[str, tuple[str, str]], run: Run, *, mode: int
) -> tuple[Path, dict[str, int]]:
    """(the folder beside `folder` that holds its next files, rows per file)."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=mode)
    beside = folder.with_name(f".{folder.name}.next")
    shutil.rmtree(beside, ignore_errors=True)  # left behind by an execution that was killed
    beside.mkdir(mode=mode)
    rows = {
        name: to_parquet(connection, query, order, beside / f"{name}.parquet", run) for name, (query, order) in files.items()
    }
    return beside, rows


def to_parquet(connection: duckdb.DuckDBPyConnection, query: str, order: str, file: Path, run: Run) -> int:
    """Rows written to `file`, in order."""
    parameters = {"batch_seq": run.batch_seq} if "$batch_seq" in query else {}
    target = str(file).replace("'", "''")
    written = connection.execute(
        f"copy (select * from ({query}) order by {order}) to '{target}' (format parquet, compression zstd)", parameters
    ).fetchall()[0]
    return int(written[0])


def replace_files(beside: Path, folder: Path) -> None:
    """Make the files of `beside` those in `folder`, each at once; `beside` disappears. What others wrote into `folder` stays."""
    if not folder.exists():
        os.rename(beside, folder)
        return
    for file in sorted(beside.iterdir()):
        os.replace(file, folder / file.name)
    beside.rmdir()
