"""Identity as it is published with a run, and read again: who hangs together with what, on which evidence, and what was refused.

E-mail addresses and phone numbers stand here as keyed hashes only, and what checked documents said is folded into one neutral reason: the
files lie where every engineer can read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import hashing
from candor.errors import UsageError
from candor.identity.changes import EVENTS

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

# What compliance knows of somebody is not for this file: that documents disagreed becomes that records do.
FOLDED = {"conflict_birth_date": "records_disagree", "conflict_name": "records_disagree", "kyc_conflict": "records_disagree"}


def _folded(column: str) -> str:
    cases = " ".join(f"when '{reason}' then '{told}'" for reason, told in FOLDED.items())
    return f"case {column} {cases} else {column} end"


def _end(kind: str, identifier: str) -> str:
    return f"{hashing.hashed_kind(kind)} as {kind}, {hashing.hashed(kind, identifier)} as {identifier}"


EDGES = f"""
with

links as (

    select *, null::varchar as reason from identity.edges

    union all by name

    select * from identity.dropped_edges

)

select
    one.person_id,
    other.person_id as other_person_id,
    {_end("links.identifier_kind", "links.identifier").replace("as links.", "as ")},
    {_end("links.other_kind", "links.other_identifier").replace("as links.", "as ")},
    links.evidence,
    links.evidence_rank,
    links.first_known_at,
    {_folded("links.reason")} as reason
from links
left join identity.person_identifiers as one
    on links.identifier_kind = one.identifier_kind
    and links.identifier = one.identifier
left join identity.person_identifiers as other
    on links.other_kind = other.identifier_kind
    and links.other_identifier = other.identifier
"""

PERSON_IDENTIFIERS = f"""
select
    person_id,
    {_end("identifier_kind", "identifier")},
    evidence_rank,
    linked_at,
    first_batch_seq
from identity.person_identifiers
"""

# Links are the rows of key_map, which is published beside this.
CHANGES = f"""
select
    event,
    person_id,
    other_person_id,
    {_end("identifier_kind", "identifier")},
    {_folded("evidence")} as evidence,
    rule_version,
    batch_seq,
    as_of
from ({EVENTS}) as events
where event <> 'link'
"""

# file -> (query, order), as candor.publishing.export wants them.
FILES = {
    "persons": ("select * from identity.persons", "person_id"),
    "identity_members": (PERSON_IDENTIFIERS, "person_id, identifier_kind, identifier"),
    "identity_edges": (
        EDGES,
        "person_id, other_person_id, identifier_kind, identifier, other_kind, other_identifier, reason",
    ),
    "identity_events": (CHANGES, "batch_seq, event, person_id, other_person_id, identifier_kind, identifier"),
}

# What a kept tie means beyond its class, where its class lets less pass.
WEAK = {
    "probabilistic": "name and address are alike; restrictions pass over it, permissions do not, and no channel finds anybody by it"
}
# Why a tie was refused, in words.
MEANINGS = {
    "invalid": "the value is malformed, so the row proves nothing",
    "checksum": "the address fails its checksum, so the row proves nothing",
    "unlinked": "the source says that the link has ended",
    "testnet": "play money on a test network proves nothing",
    "blocked": "the value is on the list of values that are nobody's",
    "hub": "the value meets too many to say who anybody is",
    "records_disagree": "names or birth dates of the records on it disagree",
    "no_agreement": "two accounts share it, and nothing else agrees",
    "browsers_overlap": "the browser never logged in, and others use the device by turns with it",
    "bridges_people": "a machine that two people used joins neither",
    "component_conflict": "the whole cluster holds people with different birth dates; the weakest evidence went first",
    "operator_unlink": "an operator decided that these are two people (policy/identity_overrides.yml)",
}


@dataclass(frozen=True)
class Edge:
    """Two identifiers that a source ties together; `reason` says why they do not link, None when they do."""

    one: tuple[str, str]
    other: tuple[str, str]
    evidence: str
    rank: int
    first_known_at: datetime | None
    reason: str | None
    person_id: str | None
    other_person_id: str | None


@dataclass
class Found:
    """What one run published about one person."""

    person_id: str
    identifiers: list[tuple[tuple[str, str], int, datetime | None]] = field(default_factory=list)
    weakest_evidence: str = ""
    match_probability: float = 1.0
    edges: list[Edge] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class Published:
    """The identity files of one published run, open for questions."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings, run_id: str) -> None:
        """Raises UsageError when the run published no identity."""
        self.folder: Path = settings.published_dir / run_id
        self.connection, self.settings, self.run_id = connection, settings, run_id
        if not (self.folder / "identity_edges.parquet").is_file():
            raise UsageError(
                f"run {run_id} published no identity",
                hint="a run that stopped before publishing has none: candor status lists the runs that were published",
            )

    def _rows(self, file: str, where: str, parameters: list[Any], order: str) -> list[dict[str, Any]]:
        path = str(self.folder / f"{file}.parquet").replace("'", "''")
        found = self.connection.execute(f"select * from read_parquet('{path}') where {where} order by {order}", parameters)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def who(self, name: str) -> tuple[str | None, tuple[str, str] | None]:
        """(person_id, identifier) that `name` stands for: a person's id, kind/identifier, or an identifier of any kind.

        E-mails and phone numbers may be given in the clear; they are hashed before they are looked for. A person merged away is given
        as who they are now. Raises UsageError when nothing is known by that name, or when it means several persons.
        """
        if re.fullmatch(r"p[0-9a-f]{24}", name):
            alias = self._rows("aliases", "person_id = ?", [name], "all")
            person_id = alias[0]["surviving_person_id"] if alias else name
            if not self._rows("persons", "person_id = ?", [person_id], "all"):
                raise UsageError(f"run {self.run_id} knows no person {name}", hint="candor status lists the published runs")
            return person_id, None
        kind, slash, value = name.partition("/")
        value = (value if slash else name).strip()
        forms = {value, value.lower(), *(hashing.keyed_hash(self.settings, form) for form in (value, value.lower()))}
        wanted = [form for form in sorted(forms) if form]
        where = f"identifier in ({', '.join('?' for _ in wanted)})"
        if slash:
            where += " and identifier_kind = ?"
            wanted.append(hashing.HASHED_KINDS.get(kind, kind))
        found = self._rows("identity_members", where, wanted, "identifier_kind, identifier")
        if len({row["person_id"] for row in found}) > 1:
            kinds = ", ".join(sorted({row["identifier_kind"] for row in found}))
            raise UsageError(f"{name} means several persons ({kinds})", hint="write it as kind/identifier")
        if found:
            return found[0]["person_id"], (found[0]["identifier_kind"], found[0]["identifier"])
        sides = where, where.replace("identifier_kind", "other_kind").replace("identifier in", "other_identifier in")
        for side, prefix in zip(sides, ("identifier", "other"), strict=True):
            if rows := self._rows("identity_edges", side, wanted, "all"):
                name_column = "identifier" if prefix == "identifier" else "other_identifier"
                return None, (rows[0][f"{prefix}_kind"], rows[0][name_column])
        raise UsageError(
            f"run {self.run_id} knows nobody by {name}",
            hint="an identifier (kind/identifier), an e-mail address, a phone number as +15551234567, or a person_id",
        )

    def edges_at(self, identifier: tuple[str, str]) -> list[Edge]:
        """Every tie of one identifier, kept or refused."""
        where = "(identifier_kind = ? and identifier = ?) or (other_kind = ? and other_identifier = ?)"
        return self._edges(where, [*identifier, *identifier])

    def person(self, person_id: str) -> Found:
        """What is known of one person: identifiers, edges from and between them, what happened to them."""
        found = Found(person_id)
        for row in self._rows("identity_members", "person_id = ?", [person_id], "evidence_rank, identifier_kind, identifier"):
            found.identifiers.append(((row["identifier_kind"], row["identifier"]), row["evidence_rank"], row["linked_at"]))
        for row in self._rows("persons", "person_id = ?", [person_id], "all"):
            found.weakest_evidence, found.match_probability = row["weakest_evidence"], row["match_probability"]
        found.edges = self._edges("person_id = ? or other_person_id = ?", [person_id, person_id])
        found.events = self._rows(
            "identity_events", "person_id = ? or other_person_id = ?", [person_id, person_id], "batch_seq, event, identifier"
        )
        return found

    def _edges(self, where: str, parameters: list[Any]) -> list[Edge]:
        rows = self._rows(
            "identity_edges", where, parameters, "evidence_rank, identifier_kind, identifier, other_kind, other_identifier"
        )
        return [
            Edge(
                (row["identifier_kind"], row["identifier"]),
                (row["other_kind"], row["other_identifier"]),
                row["evidence"],
                row["evidence_rank"],
                row["first_known_at"],
                row["reason"],
                row["person_id"],
                row["other_person_id"],
            )
            for row in rows
        ]


def strongest_way(edges: list[Edge], start: tuple[str, str], end: tuple[str, str]) -> list[Edge]:
    """The kept edges from `start` to `end` whose weakest evidence is as strong as can be, with the fewest links; empty without one.

    A shortest path under the order (weakest rank, links): Dijkstra's algorithm over one person's few edges.
    """
    import heapq

    ways: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        if edge.reason is None:
            ways.setdefault(edge.one, []).append(edge)
            ways.setdefault(edge.other, []).append(edge)
    queue: list[tuple[int, int, tuple[str, str], tuple[Edge, ...]]] = [(0, 0, start, ())]
    seen: set[tuple[str, str]] = set()
    while queue:
        rank, links, node, way = heapq.heappop(queue)
        if node == end:
            return list(way)
        if node in seen:
            continue
        seen.add(node)
        for edge in ways.get(node, []):
            further = edge.other if edge.one == node else edge.one
            if further not in seen:
                heapq.heappush(queue, (max(rank, edge.rank), links + 1, further, (*way, edge)))
    return []
