"""What a check of the audit is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Check:
    """One requirement: its rule, code and words, the facts it reads, when it applies, what must be true."""

    rule: str
    code: str
    says: str
    facts: str
    applies: pl.Expr
    require: pl.Expr
    visibility: str = "open"

    @property
    def path(self) -> str:
        """Where to look when it fails: rule, code, facts."""
        return f"{self.rule} > {self.code} > {self.facts}"
