"""What an operator has decided about who is who: links and unlinks, each with an owner and a reason, from the policy folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb

# What stands in a file under version control names nobody by e-mail address or phone number.
KINDS = ("account_id", "contact_id", "device_id", "anonymous_id", "wallet")


@dataclass(frozen=True)
class Override:
    """One decision: `action` is link or unlink; `one` and `other` are (identifier_kind, identifier)."""

    action: str
    one: tuple[str, str]
    other: tuple[str, str]
    owner: str
    reason: str
    since: datetime
    until: datetime | None

    def holds(self, as_of: datetime) -> bool:
        """Whether the decision counts for a run of `as_of`."""
        return self.since <= as_of and (self.until is None or as_of < self.until)


def link(connection: duckdb.DuckDBPyConnection, overrides: tuple[Override, ...]) -> dict[str, int]:
    """Write the links among `overrides` into identity.edges as evidence of class operator: {operator_links, operator_links_unseen}.

    A pair that the sources tie together already gets the operator's evidence instead of theirs. A pair of which a side was never
    seen, or is a hub or blocked, links nothing and is counted.
    """
    counts = {"operator_links": 0, "operator_links_unseen": 0}
    for override in overrides:
        if override.action != "link":
            continue
        values: dict[str, Any] = {
            "kind": override.one[0],
            "identifier": override.one[1],
            "other_kind": override.other[0],
            "other": override.other[1],
        }
        ends = connection.execute(ENDS, values).fetchall()
        if len(ends) < 2:
            counts["operator_links_unseen"] += 1
            continue
        counts["operator_links"] += 1
        (kind, identifier), (other_kind, other) = ends
        values = {
            "kind": kind,
            "identifier": identifier,
            "other_kind": other_kind,
            "other": other,
            "since": utc(override.since),
        }
        for statement in LINK:
            connection.execute(statement, {name: value for name, value in values.items() if f"${name}" in statement})
    return counts


# Both ends as pairs are written everywhere: the kind with the smaller anchor_priority first.
ENDS = """
select
    identifiers.identifier_kind,
    identifiers.identifier
from identity.identifiers
inner join identity.identifier_kinds as kinds
    on identifiers.identifier_kind = kinds.identifier_kind
where (
        (identifiers.identifier_kind = $kind and identifiers.identifier = $identifier)
        or (identifiers.identifier_kind = $other_kind and identifiers.identifier = $other)
    )
    and not identifiers.is_blocked
    and (not identifiers.is_hub or identifiers.identifier_kind in ('account_id', 'contact_id'))
order by
    kinds.anchor_priority,
    identifiers.identifier
"""

_PAIR = "identifier_kind = $kind and identifier = $identifier and other_kind = $other_kind and other_identifier = $other"
LINK = (
    f"delete from identity.edges where {_PAIR}",
    f"delete from identity.dropped_edges where {_PAIR}",
    """
    insert into identity.edges by name
    select
        $kind as identifier_kind,
        $identifier as identifier,
        $other_kind as other_kind,
        $other as other_identifier,
        classes.evidence,
        classes.evidence_rank,
        $since::timestamp as first_known_at,
        identifier_key($kind, $identifier) as identifier_key,
        identifier_key($other_kind, $other) as other_key,
        edge_row_key(identifier_key($kind, $identifier), identifier_key($other_kind, $other), classes.evidence_rank, $since) as row_key
    from identity.evidence_classes as classes
    where classes.evidence = 'operator'
    """,
)
