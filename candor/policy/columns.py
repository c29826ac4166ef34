"""A table of cases as it comes: which columns it may have, of what type, and each read as the fact it stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.errors import UsageError
from candor.policy.compiling import quoted
from candor.policy.model import Fact, Policy

if TYPE_CHECKING:
    import duckdb

OBSERVED = "__observed_at"
RELEASES = "c_releases"
RELEASES_TYPE = "struct(rule varchar, until timestamp)[]"
# Other names of facts of cases: those of the daily run.
SAME = {"o_starts_at": "o_from", "o_ends_at": "o_to"}
# What the rules read and cases cannot say; the evaluation derives it.
DERIVED_FROM = {
    "u_regimes": "u_residence and u_other_countries",
    "u_perm_regimes": "u_residence and u_other_countries",
    "m_rank": "o_product",
}
# Facts about the daily run rather than about a case. A table without the column is about nobody's test account, nobody drawn or
# refusing chat, and no late silo.
OPERATIONAL = {
    "u_is_test": False, "u_is_withheld": False, "u_refuses_chat": False, "o_silos_in_time": True, "o_silos_delivered": True, "o_reviewed": True,
}  # fmt: skip

SQL_TYPES = {
    "string": "varchar", "bool": "boolean", "int": "bigint", "number": "double", "instant": "timestamp", "date": "date", "strings": "varchar[]",
}  # fmt: skip
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_DATED = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "DATE")
_EARLIEST, _LATEST = "timestamp '0001-01-01'", "timestamp '9999-01-01'"


@dataclass(frozen=True)
class Column:
    """One column of the table: the fact it gives, or when that fact was observed."""

    source: str  # as the table calls it
    name: str  # the fact, or <fact>__observed_at
    type: str  # of SQL_TYPES
    given: str  # the table's own type
    only_nulls: bool

    @property
    def identifier(self) -> str:
        return '"' + self.source.replace('"', '""') + '"'

    @property
    def expression(self) -> str:
        """SQL: the value as its type; null also for what cannot be read, which `unreadable` tells from a null that was given."""
        kind, given, raw = SQL_TYPES[self.type], self.given, self.identifier
        if self.only_nulls:
            return f"cast(null as {kind})"
        if self.type == "strings":
            read = f"try_cast(try_cast({raw} as json) as varchar[])" if given == "VARCHAR" else f"cast({raw} as varchar[])"
            # A list that holds something unknown is not known.
            return f"case when len(list_filter({read}, lambda one: one is null)) = 0 then {read} end"
        if self.type == "instant":
            if given == "VARCHAR":  # without a zone: UTC, as everywhere in the warehouse
                raw = f"timezone('UTC', try_cast({raw} as timestamptz))"
            elif given == "TIMESTAMP WITH TIME ZONE":
                raw = f"timezone('UTC', {raw})"
            read = f"try_cast({raw} as timestamp)"
            return f"case when {read} >= {_EARLIEST} and {read} < {_LATEST} then {read} end"
        if self.type == "date":
            read = f"try_cast({raw} as date)"
            return f"case when {read} >= {_EARLIEST} and {read} < {_LATEST} then {read} end"
        if self.type == "int" and given != "VARCHAR":
            number = f"try_cast({raw} as double)"
            return f"case when not isnan({number}) and {number} = floor({number}) then try_cast({raw} as bigint) end"
        if self.type == "number":
            number = f"try_cast({raw} as double)"
            return f"case when isfinite({number}) then {number} end"
        if self.type == "bool" and given == "VARCHAR":
            return f"case lower({raw}) when 'true' then true when 'false' then false end"
        return f"try_cast({raw} as {kind})"

    @property
    def unreadable(self) -> str | None:
        """SQL: whether the value is something else than what it should be; None when the type alone excludes that."""
        if (
            self.only_nulls
            or (self.type == "string" and self.name != "o_end_local")
            or (self.type == "bool" and self.given == "BOOLEAN")
        ):
            return None
        raw = self.identifier
        if self.name == "o_end_local":
            from candor.policy.expressions import expression

            return f"{raw} is not null and {expression('wall_clock', f'{raw}::varchar', 'try_cast')} is null"
        if self.type == "strings":
            return (
                f"{raw} is not null and try_cast(try_cast({raw} as json) as varchar[]) is null"
                if self.given == "VARCHAR"
                else None
            )
        if self.type in ("int", "number") and self.given in ("DOUBLE", "FLOAT"):
            return (
                f"{raw} is not null and not isnan({raw}) and ({self.expression}) is null"  # NaN is how some tools write a null
            )
        return f"{raw} is not null and ({self.expression}) is null"


def fits(kind: str, given: str) -> bool:
    """Whether a column of the table's type `given` can hold facts of type `kind`."""
    text = given == "VARCHAR" or given.startswith("ENUM")
    if kind == "string":
        return text
    if kind == "bool":
        return text or given == "BOOLEAN"
    if kind in ("int", "number"):
        return text or given in (*_WHOLE, "DOUBLE", "FLOAT") or given.startswith("DECIMAL")
    if kind in ("instant", "date"):
        return text or given in _DATED
    return (
        given == "VARCHAR"
        or given in ("VARCHAR[]", '"NULL"[]', "NULL[]")
        or (given.endswith("[]") and given.startswith("ENUM"))
    )


def accepted(policy: Policy) -> dict[str, str]:
    """The columns that a table of cases may have, with the type of each; those that say when a fact was observed left out."""
    of_facts = {
        name: fact.type
        for name, fact in policy.facts.items()
        if name not in DERIVED_FROM and name not in SAME and name[:2] in ("u_", "o_", "c_")
    }
    return {"c_as_of": "instant", "c_channel": "string", **of_facts, **dict.fromkeys(OPERATIONAL, "bool")}


def recognise(policy: Policy, relation: str, connection: duckdb.DuckDBPyConnection, *, has_as_of: bool) -> list[Column]:
    """The table's columns as facts. Raises UsageError with every problem of the columns at once.

    `relation` is a FROM item. `has_as_of`: the caller gives the instant, so that the table need not.
    """
    types = {str(name): str(kind) for name, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()}
    known = accepted(policy)
    problems: list[str] = []
    if "case_id" not in types:
        problems.append(f"there is no column case_id{_meant('case_id', types)}; it must name each row once")
    if "c_as_of" not in types and not has_as_of:
        problems.append("there is no column c_as_of (the instant to decide at, UTC), and no --as-of is given")
    made: list[Column] = []
    for source, given in types.items():
        if source == "case_id":
            continue
        if source == RELEASES:
            if not given.startswith("STRUCT(") or not given.endswith("[]") or not {"rule", "until"} <= _fields(given):
                problems.append(f"{RELEASES} must be a list of structs with rule and until, is {given}")
            continue
        fact = source.removesuffix(OBSERVED)
        name = SAME.get(fact, fact)
        if fact in DERIVED_FROM or fact[:2] in ("d_", "m_"):
            problems.append(
                f"{source} is derived{f': give {DERIVED_FROM[fact]}' if fact in DERIVED_FROM else ', no case can give it'}"
            )
            continue
        if name not in known:
            problems.append(f"{source} is no declared fact{_meant(source, [*known, *SAME])}")
            continue
        if SAME.get(fact) in types:
            problems.append(f"{source} and {name} are the same fact; give one")
            continue
        kind = "instant" if source.endswith(OBSERVED) else known[name]
        only_nulls = False
        if not fits(kind, given):
            identifier = '"' + source.replace('"', '""') + '"'
            counted = connection.execute(f"select count({identifier}) from {relation}").fetchone()
            only_nulls = counted is not None and counted[0] == 0
            if not only_nulls:
                problems.append(f"{source} must be {_said(kind)}, is {given}")
        made.append(Column(source, name + (OBSERVED if source.endswith(OBSERVED) else ""), kind, given, only_nulls))
    if problems:
        raise UsageError(
            "the table of cases cannot be read:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint="`candor policy facts` lists the columns it may have, with their types",
        )
    return made


def check_values(columns: list[Column], relation: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse a table with values that are not of their column's type, naming the first of each column."""
    tests = {column: test for column in columns if (test := column.unreadable) is not None}
    if not tests:
        return
    counts = connection.execute(
        f"select {', '.join(f'count(*) filter (where {test})' for test in tests.values())} from {relation}"
    ).fetchone()
    assert counts is not None
    problems = []
    for (column, test), count in zip(tests.items(), counts, strict=True):
        if count:
            first = connection.execute(
                f"select case_id::varchar, {column.identifier}::varchar from {relation} where {test} order by 1 limit 1"
            ).fetchone()
            assert first is not None
            others = f", and {count - 1:,} more" if count > 1 else ""
            problems.append(
                f"{column.source} of case {first[0]} is {first[1]!r}, not {_said(column.type, column.name)}{others}"
            )
    if problems:
        raise UsageError(
            "the table of cases holds values that cannot be read:\n" + "\n".join(f"  {problem}" for problem in problems),
            hint="a fact that nobody knows is null",
        )


def known_value(fact: Fact | None, column: Column, observed: Column | None, is_stressed: str = "false") -> str:
    """SQL over the input table: the fact's value, null when it is stale, observed after c_as_of, or outside its domain.

    `is_stressed`: a condition over the same table; where it holds, the fact's max_age_stressed_hours counts if it has one.
    """
    conditions: list[str] = []
    if fact is not None and fact.domain is not None:
        conditions.append(
            f"{column.name} in ({', '.join(quoted(value) if isinstance(value, str) else str(value) for value in fact.domain)})"
        )
    if observed is not None:
        fresh = f"{observed.name} <= c_as_of"
        if fact is not None and fact.max_age_hours is not None:
            hours = str(fact.max_age_hours)
            if fact.max_age_stressed_hours is not None:
                hours = f"case when {is_stressed} then {fact.max_age_stressed_hours} else {hours} end"
            fresh += f" and c_as_of - {observed.name} <= to_hours({hours})"
        conditions.append(f"({observed.name} is null or ({fresh}))")
    return f"case when {' and '.join(conditions)} then {column.name} end" if conditions else column.name


def listing(policy: Policy) -> Iterator[tuple[str, str, str, str]]:
    """(column, type, maximum age, meaning) of every column that a table of cases may have."""
    yield "case_id", "any", "", "names the row; unique"
    for name, kind in sorted(accepted(policy).items()):
        fact: Fact | None = policy.facts.get(name)
        age = f"{fact.max_age_hours} h" if fact is not None and fact.max_age_hours is not None else ""
        if fact is not None and fact.max_age_stressed_hours is not None:
            age += f" ({fact.max_age_stressed_hours} h in stress)"
        meaning = {"c_as_of": "the instant to decide at, UTC", "c_channel": "where the offer would appear"}.get(
            name, "of the daily run; may be left out"
        )
        text = _whole_meaning(fact) if fact is not None else meaning
        yield name, kind, age, text
    yield (
        RELEASES,
        "structs",
        "",
        "holds that a reviewer lifted: rule (its id) and until (an instant; from then on it holds again)",
    )


def _whole_meaning(fact: Fact) -> str:
    domain = "" if fact.domain is None else f" ({', '.join(map(str, fact.domain))})"
    return fact.meaning.split(". ")[0] + domain


def _fields(given: str) -> set[str]:
    return {part.strip().split(" ")[0].strip('"') for part in given.removeprefix("STRUCT(").removesuffix(")[]").split(",")}


def _meant(name: str, known: Mapping[str, str] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _said(kind: str, name: str = "") -> str:
    if name == "o_end_local":
        return "a wall-clock time such as 2026-11-30 24:00:00"
    return {
        "string": "text", "bool": "true or false", "int": "a whole number", "number": "a number", "instant": "an instant (2026-11-23T15:00:00Z)",
        "date": "a date (2008-02-29)", "strings": "a list of texts",
    }[kind]  # fmt: skip
