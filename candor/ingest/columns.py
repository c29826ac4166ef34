"""The SQL that turns a delivered value into a typed one, says what is wrong with it, and writes it canonically.

Everything here is a string builder over column expressions; nothing runs. `native` is the DuckDB type of the delivered
value: `text` for CSV and JSONL, else the type that DuckDB reads from the Parquet file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from candor.contract import Column, Contract
from candor.ingest.countries import COUNTRIES

TEXT = "text"
SEPARATOR = "chr(31)"  # between the canonical texts of a row; a value that holds it is refused
INTEGERS = {"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "hugeint", "uhugeint"}
TIMESTAMPS = {"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"}

INSTANT_PATTERN = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}:\d{2}([.,]\d{1,9})?([Zz]|[+-]\d{2}(:?\d{2})?)?)?"
DATE_PATTERN = r"\d{4}-\d{2}-\d{2}"
DECIMAL_PATTERN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
INT_PATTERN = r"[+-]?\d+(\.0*)?"
REGION_PATTERN = "[A-Za-z]{2}-[A-Za-z0-9]{1,3}"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _from_text(column: Column, value: str) -> str:
    def when(pattern: str, result: str) -> str:
        return f"case when regexp_full_match({value}, '{pattern}') then {result} end"

    if column.type == "instant":
        return when(INSTANT_PATTERN, f"try_cast(replace({value}, ',', '.') as timestamptz) at time zone 'UTC'")
    if column.type == "date":
        return when(DATE_PATTERN, f"try_cast({value} as date)")
    if column.type == "decimal":
        return when(DECIMAL_PATTERN, f"try_cast({value} as decimal(38,12))")
    if column.type == "int":
        return when(INT_PATTERN, f"try_cast({value} as bigint)")
    if column.type == "bool":
        return f"case lower({value}) when 'true' then true when 'false' then false when '1' then true when '0' then false end"
    if column.type == "json":
        return f"case when json_valid({value}) then json({value})::varchar end"
    if column.type == "strings":
        is_list = f"json_valid({value}) and json_type({value}) = 'ARRAY'"
        return f"case when {is_list} then from_json({value}, '[\"VARCHAR\"]') end"
    return f"nullif({value}, '')"


def _from_native(column: Column, value: str, native: str) -> str | None:
    is_decimal = native.startswith("decimal")
    is_number = native in INTEGERS or is_decimal or native in {"float", "double"}
    if column.type == "instant":
        if native == "timestamp":
            return value
        if native in TIMESTAMPS or native == "date":
            return f"try_cast({value} as timestamp)"
        return f"{value} at time zone 'UTC'" if native == "timestamp with time zone" else None
    if column.type == "date":
        if native == "date":
            return value
        at = f"try_cast({value} as timestamp)" if native in TIMESTAMPS else f"({value} at time zone 'UTC')"
        is_instant = native in TIMESTAMPS or native == "timestamp with time zone"
        return f"case when {at} = date_trunc('day', {at}) then {at}::date end" if is_instant else None
    if column.type == "decimal":
        return f"try_cast({value} as decimal(38,12))" if is_number else None
    if column.type == "int":
        if native in INTEGERS:
            return value if native == "bigint" else f"try_cast({value} as bigint)"
        return f"case when {value} = trunc({value}) then try_cast({value} as bigint) end" if is_number else None
    if column.type == "bool":
        if native == "boolean":
            return value
        return f"case when {value} in (0, 1) then {value} = 1 end" if native in INTEGERS else None
    if column.type == "strings":
        return value if native == "varchar[]" else None
    if column.type == "json":
        return f"to_json({value})::varchar" if native.startswith(("struct", "map")) or native.endswith("[]") else None
    is_text = native in INTEGERS or native == "uuid" or native.startswith("enum")
    return f"{value}::varchar" if is_text else None


def parsed(column: Column, value: str, native: str) -> str | None:
    """The value as the contract's type, null where it is none; None when no value of type `native` could ever be one."""
    if native in (TEXT, "varchar", "json"):
        return _from_text(column, value if native != "json" else f"{value}::varchar")
    if native in ('"null"', "null"):
        return f"null::{column.duckdb_type}"
    return _from_native(column, value, native)


def present(value: str, native: str) -> str:
    """Whether something was delivered: neither null nor an empty text."""
    return f"nullif({value}, '') is not null" if native in (TEXT, "varchar") else f"{value} is not null"


def canonical(column: Column, value: str) -> str:
    """The one text that a typed value has, whatever file it came from. An absent value is the empty text."""
    if column.type in ("instant", "date"):
        as_text = f"epoch_us({value})::varchar"
    elif column.type == "strings":
        as_text = f"to_json({value})::varchar"
    elif column.type in ("decimal", "int", "bool"):
        as_text = f"{value}::varchar"
    else:
        as_text = value
    return f"coalesce({as_text}, '')"


@dataclass(frozen=True)
class Check:
    """One way a row can break the contract: the reason, and an SQL predicate that is true for such rows."""

    reason: str
    fails: str


def checks(column: Column, *, typed: str, delivered: str, native: str, contract: Contract) -> list[Check]:
    """What a value of `column` must not be. `typed` and `delivered` are the parsed and the raw expression."""
    article = "an" if column.type[0] in "aeio" else "a"
    found = []
    if not column.nullable:
        found.append(Check(f"missing_value:{column.name}", f"not ({present(delivered, native)})"))
    if column.type == "string":
        found.append(Check(f"control_character:{column.name}", f"contains({typed}, {SEPARATOR})"))
    never_fails = column.type in ("string", "country", "region") or typed == delivered
    if not never_fails:
        found.append(Check(f"not_{article}_{column.type}:{column.name}", f"{typed} is null and {present(delivered, native)}"))
    if column.type in ("instant", "date"):
        bounds = f"{column.duckdb_type} '{contract.earliest}'", f"{column.duckdb_type} '{contract.latest}'"
        found.append(Check(f"out_of_time:{column.name}", f"{typed} < {bounds[0]} or {typed} >= {bounds[1]}"))
    if column.minimum is not None:
        found.append(Check(f"below_minimum:{column.name}", f"{typed} < {column.minimum}"))
    if column.maximum is not None:
        found.append(Check(f"above_maximum:{column.name}", f"{typed} > {column.maximum}"))
    if column.values:
        accepted = ", ".join(literal(value) for value in column.values)
        found.append(Check(f"not_an_accepted_value:{column.name}", f"{typed} not in ({accepted})"))
    codes = ", ".join(literal(code) for code in sorted(COUNTRIES))
    if column.type == "country":
        found.append(Check(f"not_a_country:{column.name}", f"upper({typed}) not in ({codes})"))
    if column.type == "region":
        is_region = f"regexp_full_match({typed}, '{REGION_PATTERN}') and upper({typed}[:2]) in ({codes})"
        found.append(Check(f"not_a_region:{column.name}", f"not ({is_region})"))
    return found


def native_type(description: str) -> str:
    """A DuckDB type as this module names it: lower case, without a decimal's digits."""
    lowered = description.lower()
    return re.sub(r"^decimal\(.*\)$", "decimal", lowered)
