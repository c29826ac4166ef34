"""What a library must say about values before SQL can compare them: phone numbers, each distinct one once, the answers kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.warehouse import connect, one_row

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

PHONE_TABLE = """
create schema if not exists state;
create table if not exists state.phone_numbers (
    raw varchar not null, country varchar not null, phone_std varchar, phone_country varchar,
    is_valid boolean not null, reason varchar
);
"""
# Every table with a phone; the country of the row tells how a number without +country is read ('' = the row has none).
PHONE_SOURCES = ("raw.exchange__accounts", "raw.crm__contacts")
BATCH = 200_000


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts of phone numbers asked anew and known, for the run of `as_of`. To be called before the staging layer is built."""
    settings = settings or settings_module.load()
    with connect(settings) as connection:
        runs.current(connection, as_of)
        asked = refresh_phones(connection)
        known = one_row(connection, "select count(*), count(*) filter (where is_valid) from state.phone_numbers")
    return {"phone_numbers_asked": asked, "phone_numbers_known": known[0], "phone_numbers_valid": known[1]}


def refresh_phones(connection: duckdb.DuckDBPyConnection) -> int:
    """How many (phone, country) pairs were new; each of them now has its row in state.phone_numbers.

    All versions of rows are asked, also outdated ones: an answer depends on nothing but the pair. A rerun asks nothing.
    """
    import pyarrow

    connection.execute(PHONE_TABLE)
    pairs = " union ".join(
        f"select phone as raw, coalesce(country_code, '') as country from {table} where phone is not null"
        for table in PHONE_SOURCES
    )
    new = connection.execute(
        f"select raw, country from ({pairs}) anti join state.phone_numbers using (raw, country) order by raw, country"
    ).fetchall()
    for start in range(0, len(new), BATCH):
        answers = [(raw, country, *phone(raw, country)) for raw, country in new[start : start + BATCH]]
        names = ("raw", "country", "phone_std", "phone_country", "is_valid", "reason")
        types = [pyarrow.bool_() if name == "is_valid" else pyarrow.string() for name in names]
        columns = [pyarrow.array(column, type=kind) for column, kind in zip(zip(*answers, strict=True), types, strict=True)]
        connection.register("new_phone_numbers", pyarrow.table(columns, names=list(names)))
        connection.execute("insert into state.phone_numbers select * from new_phone_numbers")
        connection.unregister("new_phone_numbers")
    return len(new)


def phone(raw: str, country: str) -> tuple[str | None, str | None, bool, str | None]:
    """(E.164, the number's own country, True, None) for a number somebody can have, else (None, None, False, the reason).

    `country` is ISO 3166-1 alpha-2, or '' when unknown: then only numbers written with +country can be read.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(raw, country or None)
    except phonenumbers.NumberParseException as error:
        return None, None, False, _PARSE_REASONS.get(error.error_type, "not_a_number")
    if not phonenumbers.is_valid_number(number):
        return None, None, False, "no_such_number"
    owner = phonenumbers.region_code_for_number(number)
    # '001' is a number of no country (satellite, toll-free): it reaches somebody but says nothing about where.
    return (
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        owner if owner and owner != "001" else None,
        True,
        None,
    )


# phonenumbers.NumberParseException's numbers in words.
_PARSE_REASONS = {
    0: "unknown_country_code",
    1: "not_a_number",
    2: "too_short_after_idd",
    3: "too_short",
    4: "too_long",
}
