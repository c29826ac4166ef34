"""From a row hash back to the delivery, file and line that it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor import warehouse
from candor.contract import load as load_contract
from candor.errors import UsageError
from candor.ingest.columns import literal
from candor.ingest.landing import quarantine_dir, raw_dir

if TYPE_CHECKING:
    from candor.settings import Settings


@dataclass(frozen=True)
class Trace:
    """One place where a row with the hash was delivered."""

    table: str  # source.table
    delivery: str  # the folder's name
    file: str  # <source>/<table>/<delivery>/<file>, below the landing folder
    line: int  # 1-based line of a text file, or row of a Parquet file
    segment: str
    reasons: tuple[str, ...]  # why it is in quarantine; empty when it was loaded


def trace(row_hash: str, settings: Settings) -> list[Trace]:
    """Every place where the row was delivered, quarantined rows included, oldest delivery first; empty when nowhere.

    Reads the segments, never the warehouse, so it waits for no lock. Raises UsageError when `row_hash` is none.
    """
    digits = row_hash.strip().lower().replace("-", "")
    if not re.fullmatch("[0-9a-f]{32}", digits):
        raise UsageError(f"not a row hash: {row_hash!r}", hint="a row hash is 32 hex digits, with or without dashes")
    found: set[Trace] = set()
    with warehouse.scratch(settings) as connection:
        for table in load_contract().tables:
            for folder, reasons in ((raw_dir(settings, table), "null"), (quarantine_dir(settings, table), "reasons")):
                paths = sorted(folder.glob("[!.]*.parquet"))
                if not paths:
                    continue
                rows = connection.execute(
                    f"""
                    select _file, _line, parse_filename(segment, true), {reasons}
                    from read_parquet([{", ".join(literal(str(path)) for path in paths)}], filename = 'segment')
                    where _row_hash = '{digits}'::uuid
                    """
                ).fetchall()
                for file, line, segment, why in rows:
                    found.add(Trace(table.full_name, file.split("/")[2], file, line, segment, tuple(why or ())))
    return sorted(found, key=lambda place: (place.table, place.delivery, place.file, place.line, place.segment))
