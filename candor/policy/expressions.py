"""The SQL by which the eligibility models derive facts, rendered from the models' own macros: one text for runs and for cases."""

from __future__ import annotations

from functools import cache
from typing import Any

from candor.settings import PROJECT_ROOT

_FILE = PROJECT_ROOT / "dbt_project" / "macros" / "eligibility.sql"


@cache
def _macros() -> Any:
    import jinja2

    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(_FILE.read_text(encoding="utf-8")).module


def expression(macro: str, *arguments: str, **named: str) -> str:
    """The SQL of a macro of dbt_project/macros/eligibility.sql with these SQL texts as its arguments."""
    return str(getattr(_macros(), macro)(*arguments, **named)).strip()
