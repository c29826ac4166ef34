"""One delivery read by itself, without the warehouse: what `apply_revocations` needs every few minutes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from candor import warehouse
from candor.contract import Table
from candor.contract import load as load_contract
from candor.errors import ContractError
from candor.ingest.columns import literal
from candor.ingest.deliveries import Manifest, read_folder
from candor.ingest.landing import examine, write

if TYPE_CHECKING:
    import pyarrow as pa

    from candor.settings import Settings


# Row hashes are 32 hex digits outside the warehouse.
HEXED = "select * replace (replace(_row_hash::varchar, '-', '') as _row_hash)"


@dataclass(frozen=True)
class Delivery:
    """What one delivery folder holds. `good` has the contract's columns, typed; both tables name file and line."""

    delivery_id: str
    table: Table
    extracted_at: datetime  # naive, UTC
    content_hash: str
    manifest: Manifest
    is_complete: bool
    good: pa.Table
    quarantined: pa.Table
    files: tuple[str, ...]
    rows_read: int
    notes: tuple[tuple[str, str, str, int], ...]  # file, what, detail, rows


def read_delivery(folder: Path, table: Table | str, settings: Settings) -> Delivery:
    """The delivery in `folder`, parsed and checked as ingest would, by a connection in memory.

    Raises ContractError when the folder is no delivery.
    """
    contract = load_contract()
    if isinstance(table, str):
        table = contract.table(table)
    found = read_folder(folder, table) if folder.is_dir() else None
    if found is None:
        raise ContractError(
            f"{folder} is no delivery of {table.full_name}",
            hint="a delivery is a folder named like 2026-11-23T143000Z with .parquet, .csv or .jsonl files",
        )
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    # mode 0700: a restricted source may pass through
    with tempfile.TemporaryDirectory(dir=settings.tmp_dir) as made, warehouse.scratch(settings) as connection:
        good, bad = Path(made, "good.parquet"), Path(made, "bad.parquet")
        reading = write(connection, table, contract, [found], good, bad)
        content = examine(connection, table, [found], reading.files, good, bad)[0]
        rows = {
            path: connection.execute(f"{HEXED} from read_parquet({literal(str(path))}) order by _file, _line").to_arrow_table()
            for path in (good, bad)
        }
    return Delivery(
        delivery_id=content.delivery_id,
        table=table,
        extracted_at=found.extracted_at,
        content_hash=content.content_hash,
        manifest=found.manifest,
        is_complete=content.is_complete,
        good=rows[good],
        quarantined=rows[bad],
        files=tuple(file.name for file in reading.files),
        rows_read=content.rows_read,
        notes=content.notes,
    )
