"""What an expectations module says about a table, and what it may know while saying it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from candor.runs import Run
    from candor.settings import Settings

# Great Expectations takes the words but declares an enum; Any lets both be written plainly.
CRITICAL: Any = "critical"
WARNING: Any = "warning"


@dataclass(frozen=True)
class Inputs:
    """What a gate's thresholds may depend on."""

    settings: Settings
    run: Run
    as_of: str  # a SQL literal
    earlier_runs: int  # runs of an earlier as_of that this one may know of
    relations: frozenset[str]  # "schema.name", and "vault.schema.name" where the gate opens the vault
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of those relations: column -> type


@dataclass(frozen=True)
class Table:
    """The rows that some expectations are about: a query, the columns that name one row, and the expectations.

    `name` is what people read. The keys are shown with every failing row, so they must not say anything restricted.
    """

    name: str
    query: str
    expectations: list[Any] = field(default_factory=list)
    keys: tuple[str, ...] = ()


def no_rows(name: str, sql: str, *, note: str, severity: Any = CRITICAL) -> Any:
    """An expectation that `sql` over `{batch}` finds nothing; what it finds are the failing rows.

    `order by all` makes the rows that are shown the same on every rerun.
    """
    import great_expectations.expectations as gxe

    return gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=f"select * from ({sql}) as failing_rows order by all",
        description=name,
        notes=note,
        severity=severity,
    )
