"""One published run, open for questions about its decisions: its files are held to the chain before anything is read from them."""

from __future__ import annotations

import difflib
import os
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs
from candor.errors import CandorError, UsageError
from candor.ledger import chain, reassembly
from candor.ledger.chain import Entry

if TYPE_CHECKING:
    import duckdb

    from candor.ledger.roles import Role
    from candor.settings import Settings

Rows = list[dict[str, Any]]


def find(settings: Settings, on: str | None) -> Entry:
    """The published run that `on` means: an instant, the last run of a day, or the latest one. Raises UsageError when there is none."""
    known = sorted(chain.entries(settings), key=lambda entry: (entry.instant(), entry.sequence))
    if not known:
        raise UsageError(
            "no run stands in the ledger yet",
            hint="candor run --as-of 2026-11-23T15:00:00Z publishes one; a day published before there was a ledger joins when it is run again",
        )
    if on is None:
        return known[-1]
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", on):
        try:
            day = date.fromisoformat(on)
        except ValueError:
            raise UsageError(f"not a day: {on!r}", hint="write 2026-11-23, or an instant: 2026-11-23T15:00:00Z") from None
        found = [entry for entry in known if entry.instant().date() == day]
    else:
        instant = runs.parse_as_of(on)
        found = [entry for entry in known if entry.instant() == instant]
    if found:
        return found[-1]
    listed = ", ".join(entry.as_of for entry in known[-7:])
    raise UsageError(f"no published run is of {on}", hint=f"{'the last seven' if len(known) > 7 else 'published'}: {listed}")


class Decisions:
    """The ledger, hits and facts of one published run, as one role may read them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings, entry: Entry, role: Role) -> None:
        """Raises CandorError when the role needs files that this account may not read, LedgerBroken when one is not as published."""
        self.connection, self.settings, self.entry, self.role = connection, settings, entry, role
        folders = chain.folders(settings, entry.run_id)
        self.open, self.closed = folders["published"], folders["restricted"]
        self.hits = self.closed if role.true_codes else self.open
        if role.reads_the_vault:
            _require_readable(self.closed, role)
        chain.check_files(settings, entry, ("published", "restricted") if role.reads_the_vault else ("published",))

    def _rows(self, query: str, parameters: dict[str, Any] | None = None) -> Rows:
        found = self.connection.execute(query, parameters or {})
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def file(self, folder: Path, name: str, where: str = "true", order: str = "all", **parameters: Any) -> Rows:
        """The rows of one published file."""
        path = str(folder / f"{name}.parquet").replace("'", "''")
        return self._rows(f"select * from read_parquet('{path}') where {where} order by {order}", parameters)

    def pairs(self, person_id: str) -> Rows:
        """One row per offer and channel that was considered for the person."""
        query = reassembly.pairs_sql(self.open, one_person=True)
        return self._rows(f"select * from ({query}) order by offer_id, channel", {"person_id": person_id})

    def reasons(self, person_id: str) -> Rows:
        """One row per reason against an offer and channel for the person, with the codes that the role may see."""
        query = reassembly.reasons_sql(self.open, self.hits, one_person=True)
        return self._rows(
            f"select * from ({query}) order by offer_id, channel, code, rule_id, v, grain, effect", {"person_id": person_id}
        )

    def ledger(self, person_id: str) -> Rows:
        """The person's candidates with every term of their rank."""
        return self.file(self.open, "ledger", "person_id = $person_id", "channel, rank", person_id=person_id)

    def offers(self, person_id: str) -> Rows:
        """What went out to the person."""
        return self.file(self.open, "offers", "person_id = $person_id", "channel, slot", person_id=person_id)

    def drivers(self, person_id: str) -> dict[tuple[str, str], Rows] | None:
        """What the sentences of the person's offers rest on, by offer and channel, the strongest driver first; None: the run did not keep it.

        In the ordinary face a driver of money has neither name nor effect.
        """
        face = "restricted" if self.role.reads_the_vault else "published"
        if f"{face}/explanations.parquet" not in self.entry.files:
            return None
        folder = self.closed if self.role.reads_the_vault else self.open
        meanings = {row["driver"]: row for row in self.file(self.open, "ledger_drivers")}
        found: dict[tuple[str, str], Rows] = {}
        for row in self.file(folder, "explanations", "person_id = $person_id", "channel, offer_id, place", person_id=person_id):
            found.setdefault((row["offer_id"], row["channel"]), []).append(row | {"meaning": meanings.get(row["driver"])})
        return found

    def rules(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        """The rules of the run by code, id and version."""
        return {(row["code"], row["rule_id"], row["v"]): row for row in self.file(self.open, "ledger_rules")}

    def constant_text(self) -> str:
        """The sentence for everything that may not be told."""
        return str(self.file(self.open, "ledger_texts")[0]["otherwise"])

    def check_names(self, offer: str | None, channel: str | None) -> None:
        """Raises UsageError, with what was perhaps meant, for an offer or channel that the run did not know."""
        known = self.file(self.open, "ledger_offers")
        for what, wanted, names in (
            ("offer", offer, sorted({row["offer_id"] for row in known})),
            ("channel", channel, sorted({row["channel"] for row in known})),
        ):
            if wanted is not None and wanted not in names:
                close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
                raise UsageError(
                    f"run {self.entry.run_id} knew no {what} {wanted!r}",
                    hint=f"did you mean {', '.join(close)}?" if close else f"{what}s of the run: {', '.join(names)}",
                )


def _require_readable(folder: Path, role: Role) -> None:
    """Raises CandorError when the role's answers would rest on files that this account may not read, or that are not here."""
    for part in (
        *reversed(folder.parents[:2]),
        folder,
    ):  # from the outermost: of what lies in a closed folder nothing can be asked
        if not os.access(part, os.R_OK | os.X_OK):
            raise CandorError(
                f"the role {role.name} reads {part.name} of the restricted face of run {folder.name}, "
                "which this account may not read, or which is not here",
                hint="ask with an account of the compliance role; --as marketing shows codes without facts",
            )
