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


REASONS = """
| reason | the row, or the whole file |
|---|---|
| `missing_value:<column>` | a required value is null or empty |
| `not_an_instant:<column>`, `not_a_date:`, `not_a_decimal:`, `not_an_int:`, `not_a_bool:`, `not_a_json:`, `not_a_strings:` | not that type |
| `out_of_time:<column>` | an instant or date outside the limits above |
| `below_minimum:<column>`, `above_maximum:<column>` | a number outside its bounds |
| `not_an_accepted_value:<column>` | none of the values listed |
| `not_a_country:<column>`, `not_a_region:<column>` | no assigned ISO 3166-1 alpha-2 code; no `CC-…` code of an assigned country |
| `control_character:<column>` | a value holds the unit separator (U+001F), which separates values in the row hash |
| `wrong_number_of_fields: n instead of m` | a CSV line that was cut off, or has a comma too many |
| `quotes_do_not_close` | a CSV line whose quotes do not pair up, or stand inside an unquoted field |
| `not_json`, `not_a_json_object` | a JSONL line that is neither |
| `not_utf8`, `nul_byte`, `line_too_long` | bytes that are no text, or too much of it |
| `file_without_column: <columns>` | every row of a file that lacks a required column (a wrong delimiter ends here, and says so) |
| `file_of_wrong_type: <column> is <type>, not <type>` | every row of a Parquet file with a column that no value could be read from |
| `file_column_twice: <columns>`, `file_header_unusable: <why>` | every row of a CSV file with such a header |
| `file_unreadable: <why>` | every row of a Parquet file whose pages cannot be read; one whose footer cannot be read has no rows to count |
""".strip()

RULES = """
## What a delivery is
A folder `<landing>/<source>/<table>/<YYYY-MM-DDTHHMMSSZ>/`, named by when the source extracted it (UTC), with `.parquet`, `.csv` or
`.jsonl` files and optionally `_manifest.json`. Write it under a name that starts with `.` or `_`, and rename it when it is whole; names
that start so are passed over. Other files are reported and not read. A folder whose name is no such instant, an unknown source or table and a
folder without files are reported and loaded nowhere; everything else goes on.

`_manifest.json` has `complete` (bool), `covers_from`, `covers_to` (instants) and `rows` (all files together, refused rows too).
- `complete` without `covers_from`: the whole table. Rows of earlier deliveries are superseded.
- `complete` with `covers_from` and `covers_to`: every change in between. Gapless after a whole extract, it keeps the table known whole.
- no manifest, or one that cannot be read (`manifest_broken`): an increment that proves no absence. So does a delivery whose `rows` differ from
  the rows read (`manifest_rows_differ`) or that has a rejected file; their rows are loaded all the same.

**Content.** A delivery's content hash is that of its rows as a multiset, refused ones included, and of what it is complete for. The order of
files, rows and columns, the split into files and the format do not matter. The same content again changes nothing. The same folder with other
content is a restatement: both are kept, later new runs see the one that landed last, reruns see the one they saw first.

**Counting.** For each file rows read = loaded + quarantined, or ingest stops with a fault. Rows read come from the file's own head or lines, not from
the reading. Duplicates are rows: two rows of one event key, equal or not, are both loaded and counted (`duplicate_rows`,
`keys_with_different_values`); staging takes the one known first. Unknown columns are kept out and reported.

## What a value is
- An empty text is null, in every format.
- **instant**: ISO 8601 with seconds, or a date alone (midnight); UTC when it carries no zone; kept to the microsecond.
  Parquet: any timestamp or date.
- **date**: `YYYY-MM-DD`. Parquet: a date, or a timestamp at midnight.
- **decimal**: up to 26 digits before and 12 after the point, rounded there. JSON numbers pass through a double: write long ones as text.
- **int**: whole numbers, also written `3.0`. **bool**: `true`, `false`, `1`, `0`.
- **json**: an object as text, or nested in JSONL and Parquet; kept without white space. **strings**: a list; in CSV as JSON text.
- **country**, **region**: upper or lower case, kept as delivered.
- A bad value refuses its row, never less and never more, also where the column may be null.

## What a row of a broken text file is
A row is one physical line that is not empty, ended by LF or CRLF; the last one need not be ended. A byte order mark is dropped.
The text is UTF-8.
- **CSV**: comma-separated, the first line names the columns (in any order). A field may stand in double quotes and then hold commas, and
  double quotes written twice, but no line break. So an unclosed quote costs its own line, not the rest of the file. A line with another
  number of fields than the header is refused; a file cut off inside its last field can only be told by its manifest's `rows` or by the
  value itself.
- **JSONL**: one object per line. A column is one that any object of the file has.
- **Parquet**: columns of another type are cast where every value keeps its meaning, else the row or, when no value could, the file is refused.
""".strip()


def _type_text(column: Column) -> str:
    return f"{column.type}{'?' if column.nullable else ''}"


def _remark(column: Column) -> str:
    remarks = []
    if column.values:
        remarks.append("one of " + ", ".join(f"`{value}`" for value in column.values))
    if column.known:
        remarks.append("known: " + ", ".join(f"`{value}`" for value in column.known) + "; others are accepted")
    if column.minimum is not None:
        remarks.append(f"at least {column.minimum}")
    if column.maximum is not None:
        remarks.append(f"at most {column.maximum}")
    return "; ".join(remarks)


def render_markdown() -> str:
    """The text of `docs/contract.md`, made from the contract that ingest enforces."""
    contract = load()
    lines = [
        "# The landing contract",
        "",
        "What each source promises to deliver, and what happens when it does not. Made from `candor/contract.yml`, the file that ingest",
        "enforces, by `candor contract --write`; change that file, not this one.",
        "",
        f"Limits: a line has at most {contract.max_line_bytes:,} bytes; instants and dates lie from {contract.earliest} up to, not including, "
        f"{contract.latest}.",
        "`?` = may be null, and the column may be missing. A column without it is required in every file and every row.",
        "",
        RULES,
        "",
        "## Why a row is in quarantine",
        REASONS,
        "",
        "## Tables",
    ]
    for source in contract.sources:
        extra = [text for text, applies in (("restricted", source.restricted), ("reference data", source.reference)) if applies]
        lines += [
            "",
            f"### `{source.name}`",
            f"Owner: {source.owner}." + (f" {', '.join(extra).capitalize()}." if extra else ""),
        ]
        for table in source.tables:
            kind = "entity: newer rows supersede" if table.kind == "entity" else "event: rows are facts"
            lines += [
                "",
                f"#### `{table.full_name}`",
                f"{table.grain[:1].upper()}{table.grain[1:]} ({kind}). Key: {', '.join(f'`{column}`' for column in table.key)}."
                + (f" Happened at `{table.occurred}`." if table.occurred else ""),
                "",
                "| column | type | values |",
                "|---|---|---|",
            ]
            lines += [f"| `{column.name}` | {_type_text(column)} | {_remark(column)} |" for column in table.columns]
            if table.properties:
                lines += ["", "Keys of `properties` by event name:"]
                lines += [f"- `{event}`: {', '.join(f'`{key}`' for key in keys)}" for event, keys in table.properties]
    return "\n".join(lines) + "\n"
