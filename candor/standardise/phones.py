"""Phone numbers as E.164, each (number, country) asked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor.standardise import answers

if TYPE_CHECKING:
    import duckdb

TABLE = "state.phone_numbers"
COLUMNS = {
    "raw": "varchar not null",
    "country": "varchar not null",
    "phone_std": "varchar",
    "phone_country": "varchar",
    "is_valid": "boolean not null",
    "reason": "varchar",
}
# Every table with a phone; the country of the row tells how a number without +country is read ('' = the row has none).
SOURCES = ("raw.exchange__accounts", "raw.crm__contacts")


def refresh(connection: duckdb.DuckDBPyConnection) -> int:
    """How many (phone, country) pairs were new; each of them now has its row in state.phone_numbers.

    All versions of rows are asked, also outdated ones: an answer depends on nothing but the pair. A rerun asks nothing.
    """
    connection.execute(answers.table_ddl(TABLE, COLUMNS))
    pairs = " union ".join(
        f"select phone as raw, coalesce(country_code, '') as country from {table} where phone is not null" for table in SOURCES
    )
    new = f"select raw, country from ({pairs}) anti join {TABLE} using (raw, country)"
    return answers.keep(connection, TABLE, COLUMNS, new, lambda asked: [phone(raw, country) for raw, country in asked])


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
