"""Which column of a table of person records means what, and how it is to be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from candor.errors import UsageError

# The words of the command's own help, each with other names that public person data use for the same thing.
ROLES: dict[str, tuple[str, ...]] = {
    "record_id": (),
    "source": (),
    "first_name": ("given_name", "forename", "firstname", "givenname"),
    "last_name": ("surname", "family_name", "lastname", "familyname"),
    "full_name": ("name", "fullname", "person_name", "first_and_surname"),
    "birth_date": ("date_of_birth", "dob", "birthdate", "birthday"),
    "postal_code": ("postcode", "zip", "zip_code", "zipcode", "post_code", "postcode_fake"),
    "street": ("address_1", "address", "address_line_1", "street_address"),
    "place": ("city", "town", "suburb", "birth_place", "birthplace", "place_of_birth", "locality"),
    "region": ("state", "county", "province"),
    "country": ("country_code", "nationality"),
    "email": ("email_address", "e_mail", "mail"),
    "phone": ("phone_number", "telephone", "mobile"),
    "occupation": ("profession", "job", "job_title"),
    "gender": ("sex",),
    "national_id": ("ssn", "soc_sec_id", "social_security_number", "nin", "tax_id"),
}
KEYS = ("record_id", "source")
NAMES = ("first_name", "last_name", "full_name")


@dataclass(frozen=True)
class Column:
    """One thing that records are compared by: `name` in the standardised table, `kind` = how, `role` = what it means."""

    name: str
    kind: str
    role: str


def plain(name: str) -> str:
    """The header as people mean it: lower case, words joined by one underscore."""
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def rename(headers: Sequence[str], mapping: Mapping[str, str], *, file: str) -> dict[str, str]:
    """Our name of each header of `file`: as mapped, else as it stands, else by a well-known other name that is not taken twice.

    Raises UsageError when two headers would mean the same.
    """
    wanted = {plain(theirs): plain(ours) for theirs, ours in mapping.items()}
    names = {header: wanted.get(plain(header), plain(header)) for header in headers}
    taken = set(names.values())
    for role, others in ROLES.items():
        if role in taken:
            continue
        for other in others:
            header = next((header for header, name in names.items() if name == other and other not in wanted.values()), None)
            if header is not None:
                names[header] = role
                break
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        both = sorted(header for header, name in names.items() if name in twice)
        raise UsageError(
            f"{file}: the columns {', '.join(map(repr, both))} would all be {', '.join(map(repr, twice))}",
            hint="map at most one column to each name, or rename one with --map their=other_name",
        )
    return names


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """{their column: our name} from `their=ours` arguments. Raises UsageError naming every malformed one."""
    bad = [pair for pair in pairs if pair.count("=") != 1 or not all(plain(part) for part in pair.split("="))]
    if bad:
        raise UsageError(f"--map does not understand {', '.join(map(repr, bad))}", hint="write --map their_column=our_name")
    return {pair.split("=")[0].strip(): pair.split("=")[1].strip() for pair in pairs}
