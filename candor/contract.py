"""The landing contract as the rest of the code sees it: frozen, checked, and the one source of `docs/contract.md`.

`candor/contract.yml` is the only place where a source's promise is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from candor.errors import ContractError

CONTRACT_PATH = Path(__file__).with_name("contract.yml")

# Contract type -> type in the warehouse.
DUCKDB_TYPES = {
    "string": "varchar",
    "instant": "timestamp",
    "date": "date",
    "decimal": "decimal(38,12)",
    "int": "bigint",
    "bool": "boolean",
    "json": "varchar",
    "strings": "varchar[]",
    "country": "varchar",
    "region": "varchar",
}
KINDS = ("entity", "event")
COLUMN_KEYS = {"type", "values", "known", "min", "max"}
TABLE_KEYS = {"grain", "kind", "key", "occurred", "columns", "properties"}


@dataclass(frozen=True)
class Column:
    """One column of a table, and what a value must be to be let in."""

    name: str
    type: str
    nullable: bool
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    @property
    def duckdb_type(self) -> str:
        return DUCKDB_TYPES[self.type]


@dataclass(frozen=True)
class Table:
    """One table of a source."""

    source: str
    name: str
    owner: str
    grain: str
    kind: str  # entity | event
    key: tuple[str, ...]
    occurred: str | None
    columns: tuple[Column, ...]
    properties: tuple[tuple[str, tuple[str, ...]], ...]  # event name -> keys of its `properties`
    restricted: bool
    reference: bool

    @property
    def full_name(self) -> str:
        return f"{self.source}.{self.name}"

    @property
    def view(self) -> str:
        """Its name in the schema `raw`."""
        return f"{self.source}__{self.name}"

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if not column.nullable)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractError(f"{self.full_name} has no column {name!r}", hint="docs/contract.md lists the columns")


@dataclass(frozen=True)
class Source:
    """One silo: who answers for it, and its tables."""

    name: str
    owner: str
    restricted: bool
    reference: bool
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Contract:
    """What all sources promise to deliver."""

    version: int
    max_line_bytes: int
    earliest: date
    latest: date
    sources: tuple[Source, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for source in self.sources for table in source.tables)

    def table(self, full_name: str) -> Table:
        """The table called `source.table`. Raises ContractError when there is none."""
        for table in self.tables:
            if table.full_name == full_name:
                return table
        known = ", ".join(table.full_name for table in self.tables)
        raise ContractError(f"the contract has no table {full_name!r}", hint=f"known: {known}")


def _column(name: str, spec: Any, where: str, problems: list[str]) -> Column | None:
    given = {"type": spec} if isinstance(spec, str) else dict(spec)
    unknown = sorted(set(given) - COLUMN_KEYS)
    if unknown:
        problems.append(f"{where}.{name}: unknown keys {', '.join(unknown)} (known: {', '.join(sorted(COLUMN_KEYS))})")
    written = str(given.get("type", ""))
    type_name, nullable = written.removesuffix("?"), written.endswith("?")
    if type_name not in DUCKDB_TYPES:
        problems.append(f"{where}.{name}: type {written!r} is not one of {', '.join(DUCKDB_TYPES)}")
        return None
    bounds = [None if given.get(bound) is None else Decimal(str(given[bound])) for bound in ("min", "max")]
    if any(bound is not None for bound in bounds) and type_name not in ("decimal", "int"):
        problems.append(f"{where}.{name}: min and max are for decimal and int, not for {type_name}")
    return Column(
        name=name,
        type=type_name,
        nullable=nullable,
        values=tuple(str(value) for value in given.get("values", ())),
        known=tuple(str(value) for value in given.get("known", ())),
        minimum=bounds[0],
        maximum=bounds[1],
    )


def _table(source: str, name: str, spec: dict[str, Any], of: dict[str, Any], problems: list[str]) -> Table:
    where = f"{source}.{name}"
    unknown = sorted(set(spec) - TABLE_KEYS)
    if unknown:
        problems.append(f"{where}: unknown keys {', '.join(unknown)} (known: {', '.join(sorted(TABLE_KEYS))})")
    if spec.get("kind") not in KINDS:
        problems.append(f"{where}: kind {spec.get('kind')!r} is not one of {', '.join(KINDS)}")
    columns = [_column(column, given, where, problems) for column, given in spec.get("columns", {}).items()]
    names = [column.name for column in columns if column is not None]
    for column in [*spec.get("key", ()), *([spec["occurred"]] if "occurred" in spec else [])]:
        if column not in names:
            problems.append(f"{where}: key or occurred names {column!r}, which is not a column")
    return Table(
        source=source,
        name=name,
        owner=str(of.get("owner", "")),
        grain=str(spec.get("grain", "")),
        kind=str(spec.get("kind")),
        key=tuple(spec.get("key", ())),
        occurred=spec.get("occurred"),
        columns=tuple(column for column in columns if column is not None),
        properties=tuple((event, tuple(keys)) for event, keys in (spec.get("properties") or {}).items()),
        restricted=bool(of.get("restricted", False)),
        reference=bool(of.get("reference", False)),
    )


def parse(text: str) -> Contract:
    """The contract written in `text` (YAML). Raises one ContractError that lists every problem."""
    import yaml

    given = yaml.safe_load(text)
    problems: list[str] = []
    sources = []
    for source, spec in given["sources"].items():
        tables = tuple(_table(source, name, table, spec, problems) for name, table in spec["tables"].items())
        restricted, reference = bool(spec.get("restricted", False)), bool(spec.get("reference", False))
        sources.append(Source(source, str(spec.get("owner", "")), restricted, reference, tables))
    if problems:
        raise ContractError("\n".join(problems), hint="correct candor/contract.yml")
    limits = given["limits"]
    return Contract(
        version=int(given["version"]),
        max_line_bytes=int(limits["max_line_bytes"]),
        earliest=date.fromisoformat(str(limits["earliest"])),
        latest=date.fromisoformat(str(limits["latest"])),
        sources=tuple(sources),
    )


@cache
def load() -> Contract:
    """The landing contract that ingest enforces."""
    return parse(CONTRACT_PATH.read_text(encoding="utf-8"))
