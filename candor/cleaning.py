"""What a day would have been with less: silos withheld, or a step of cleaning left out. For measuring only.

A reduced day happens in a copy of a warehouse, and the copy says so itself: its table `state.reduced_cleaning`, which only `copy` makes, is the one
switch. The models read it (dbt_project/macros/cleaning.sql, target `reduced`), and every stage of the pipeline, training and publishing refuse a
warehouse that has it. No variable, setting or argument of a run turns anything off.

What is reduced is what identity, hygiene and features see. Eligibility and the audit are built as ever, from whole rows: they decide about other
groupings of identifiers, never about fewer facts.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from candor.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# The sources that know people. Catalogue and market are about offers and prices; without them there is nothing to decide.
SILOS = ("exchange", "wallets", "events", "crm", "compliance", "surveys")
MARK = "state.reduced_cleaning"


@dataclass(frozen=True)
class Cleaning:
    """Which silos identity, hygiene and features do without, and which steps are taken. The default is what every run does."""

    withheld: frozenset[str] = frozenset()
    removes_duplicates: bool = True
    removes_noise: bool = True
    standardises: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(self.withheld - set(SILOS))
        if unknown:
            raise UsageError(f"no silo is called {', '.join(map(repr, unknown))}", hint=f"silos: {', '.join(SILOS)}")

    @property
    def is_whole(self) -> bool:
        return self == Cleaning()

    def told(self) -> str:
        """In words what is missing."""
        steps = {
            "duplicates and older versions stay": self.removes_duplicates,
            "noise stays": self.removes_noise,
            "values are not standardised": self.standardises,
        }
        parts = [f"without {', '.join(silo for silo in SILOS if silo in self.withheld)}"] if self.withheld else []
        return "; ".join([*parts, *(step for step, is_taken in steps.items() if not is_taken)]) or "everything cleaned"


def copy(settings: Settings, folder: Path, cleaning: Cleaning) -> Settings:
    """Settings of a copy of the warehouse and vault in `folder`, marked as decided under `cleaning`; what was copied there before goes.

    Raises UsageError when `folder` is the state folder itself, lies around it, or holds a warehouse that is no such copy.
    """
    from candor.warehouse import connect

    folder = folder.resolve()
    if folder == settings.state_dir.resolve() or folder in settings.state_dir.resolve().parents:
        raise UsageError(f"a reduced copy of {settings.state_dir} must lie elsewhere, not in {folder}")
    copied = replace(settings, state_dir=folder, serving_url=f"sqlite:///{folder / 'serving' / 'offers.sqlite'}")
    if copied.warehouse_path.is_file():
        with connect(copied) as connection:
            if told(connection) is None:
                raise UsageError(
                    f"{folder} holds a warehouse that is no reduced copy", hint="give another folder; nothing was changed"
                )
    _copy_files(settings, copied)
    with connect(copied) as connection:
        connection.execute(f"create or replace table {MARK} as select $1 as withheld, $2 as removes_duplicates, $3 as removes_noise, "
                           "$4 as standardises, $5 as told",
                           [",".join(sorted(cleaning.withheld)), cleaning.removes_duplicates, cleaning.removes_noise,
                            cleaning.standardises, cleaning.told()])  # fmt: skip
    return copied


def _copy_files(settings: Settings, copied: Settings) -> None:
    """The two database files are copied; raw segments and policy snapshots, which nothing here changes, are linked."""
    for source, target in ((settings.warehouse_path, copied.warehouse_path), (settings.vault_path, copied.vault_path)):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        shutil.copyfile(source, target)
    copied.restricted_dir.chmod(0o700)
    for source, target in (
        (settings.raw_dir, copied.raw_dir),
        (settings.restricted_raw_dir, copied.restricted_raw_dir),
        (settings.state_dir / "policy", copied.state_dir / "policy"),
    ):
        target.unlink(missing_ok=True)
        target.symlink_to(source.resolve(), target_is_directory=True)


def told(connection: duckdb.DuckDBPyConnection) -> str | None:
    """What the warehouse was decided without, in words; None for a warehouse that is no reduced copy."""
    schema, _, name = MARK.partition(".")
    marked = connection.execute(
        "select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [schema, name]
    ).fetchone()
    if marked is None:
        return None
    row = connection.execute(f"select told from {MARK}").fetchone()
    return "a cleaning that it does not name" if row is None else str(row[0])


def refuse_reduced(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises UsageError when the warehouse is a reduced copy: no stage runs on it and nothing of it is published."""
    reduced = told(connection)
    if reduced is not None:
        raise UsageError(
            f"this warehouse is a copy for measuring what cleaning is worth ({reduced}); no stage runs on it, nothing of it is published",
            hint="run on the state folder it was copied from",
        )
