"""How a channel finds a person: identifiers, with e-mails and phones only as keyed hashes."""

from __future__ import annotations

from candor.hashing import hashed, hashed_kind

# Some providers' addresses are identified without their dots and plus tags. A channel knows the address as it was typed, so that
# form leads to the person as well.
PERSON_LOOKUP = f"""
with

typed_emails as (

    select lower(trim(email)) as typed, email_std from staging.stg_exchange__accounts where email_std is not null
    union
    select lower(trim(email)) as typed, email_std from staging.stg_crm__contacts where email_std is not null

),

identifiers as (

    select identifier_kind, identifier, person_id from identity.person_identifiers
    union
    select person_identifiers.identifier_kind, typed_emails.typed as identifier, person_identifiers.person_id
    from identity.person_identifiers
    inner join typed_emails on person_identifiers.identifier = typed_emails.email_std
    where person_identifiers.identifier_kind = 'email'

)

select distinct
    {hashed_kind("identifier_kind")} as identifier_kind,
    {hashed("identifier_kind", "identifier")} as identifier,
    person_id
from identifiers
"""
