"""Keyed hashes of e-mail addresses and phone numbers: the only form in which they leave the warehouse.

The hash is HMAC-SHA256 (RFC 2104), in hex, of the UTF-8 text under CANDOR_HASH_KEY, so that any language can ask for one. An e-mail is hashed
in lower case without surrounding blanks; a phone number in the form +15551234567.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

BLOCK_BYTES = 64
HASHED_KINDS = {"email": "email_hash", "phone": "phone_hash"}


def keyed_hash(settings: Settings, value: str) -> str:
    """The hash under which an e-mail or phone, already in the form above, is looked up."""
    return hmac.new(settings.hash_key.encode(), value.encode(), hashlib.sha256).hexdigest()


def install(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Give the connection the SQL function `keyed_hash(text)`: the same as `keyed_hash`, for whole columns.

    The padded keys stay in variables of the connection; they are in no statement and no catalogue.
    """
    key = settings.hash_key.encode()
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(BLOCK_BYTES, b"\0")
    connection.execute("set variable hash_key_inner = ?::blob", [bytes(byte ^ 0x36 for byte in key)])
    connection.execute("set variable hash_key_outer = ?::blob", [bytes(byte ^ 0x5C for byte in key)])
    connection.execute(
        """
        create or replace temp macro keyed_hash(value) as sha256(
            getvariable('hash_key_outer') || unhex(sha256(getvariable('hash_key_inner') || encode(value)))
        )
        """
    )


def hashed(kind: str, value: str) -> str:
    """SQL for the identifier of a lookup: hashed where its kind asks for it."""
    kinds = ", ".join(f"'{name}'" for name in HASHED_KINDS)
    return f"case when {kind} in ({kinds}) then keyed_hash({value}) else {value} end"


def hashed_kind(kind: str) -> str:
    """SQL for the kind of a lookup."""
    cases = " ".join(f"when '{name}' then '{hashed_name}'" for name, hashed_name in HASHED_KINDS.items())
    return f"case {kind} {cases} else {kind} end"
