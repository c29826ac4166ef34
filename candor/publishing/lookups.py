"""How a channel finds a person: identifiers, with e-mails and phones only as keyed hashes."""

from __future__ import annotations

from candor.hashing import hashed, hashed_kind

# Some providers' addresses are identified without their dots and plus tags. A channel knows the address as it was typed, so that
# form leads to the person as well. `{joined}` keeps what hangs on a weak link, or what does not.
_LOOKUP = """
with

typed_emails as (

    select lower(trim(email)) as typed, email_std from staging.stg_exchange__accounts where email_std is not null
    union
    select lower(trim(email)) as typed, email_std from staging.stg_crm__contacts where email_std is not null

),

held as (

    select person_identifiers.*
    from identity.person_identifiers
    {joined} join (select evidence_rank from identity.evidence_classes where is_weak) as weak
        on person_identifiers.evidence_rank = weak.evidence_rank

),

identifiers as (

    select identifier_kind, identifier, person_id from held
    union
    select held.identifier_kind, typed_emails.typed as identifier, held.person_id
    from held
    inner join typed_emails on held.identifier = typed_emails.email_std
    where held.identifier_kind = 'email'

)

select distinct
    {identifier_kind} as identifier_kind,
    {identifier} as identifier,
    person_id
from identifiers
"""


def _lookup(joined: str) -> str:
    return _LOOKUP.format(
        joined=joined, identifier_kind=hashed_kind("identifier_kind"), identifier=hashed("identifier_kind", "identifier")
    )


# How a channel finds a person. What hangs on a weak link is not here: it must not show one human what another may see.
PERSON_LOOKUP = _lookup("anti")
# What hangs on a weak link. Only restrictions find a person by it.
LIKELY_LOOKUP = _lookup("semi")
LOOKUPS = {"person_lookup": PERSON_LOOKUP, "likely_lookup": LIKELY_LOOKUP}
