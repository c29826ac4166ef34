"""What the truth folder says beyond who is who: the identifiers that records really carry, versions of rows, kinds of machines.

Nothing here draws a random number: whatever is kept about the shop changes no byte of what is landed.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from simulation import addresses

# The entity tables and the key of an entity: a row that is not the newest of its key is a superseded version.
VERSION_KEYS = {
    "exchange.accounts": "account_id",
    "crm.contacts": "contact_id",
    "crm.messages": "message_id",
    "wallets.wallet_links": "link_id",
    "compliance.kyc_records": "kyc_id",
    "compliance.restrictions": "restriction_id",
}


def claims(crowd: pl.DataFrame, accounts: pl.DataFrame, contacts: pl.DataFrame) -> pl.DataFrame:
    """One row per account or contact and e-mail or phone it carries, in its standard form: true_person, record_kind, record_id, kind, identifier.

    What a record carries only in a form that is no address or number (planted malformed) is not here: it joins nobody.
    """
    owners = pl.concat(
        [
            crowd.select("true_person", "phone", record_id="account_id"),
            crowd.filter(pl.col("second_account_id").is_not_null()).select(
                "true_person", "phone", record_id="second_account_id"
            ),
            crowd.select("true_person", "phone", record_id="contact_id"),
        ]
    ).rename({"phone": "own_phone"})
    # Accounts carry whole numbers, some of them another's; contacts their owner's, in ways of their own or cut to seven characters.
    rows = pl.concat(
        [
            accounts.select(
                record_kind=pl.lit("account_id"), record_id="account_id", email="email", phone="phone", is_whole=pl.lit(True)
            ),
            contacts.select(
                record_kind=pl.lit("contact_id"),
                record_id="contact_id",
                email="email",
                phone="phone",
                is_whole=pl.lit(False),
            ),
        ]
    ).join(owners, on="record_id", how="inner")
    email = pl.col("email").str.strip_chars().str.to_lowercase()
    phone = pl.when("is_whole").then("phone").when(pl.col("phone") != pl.col("own_phone").str.slice(0, 7)).then("own_phone")
    kept = ["true_person", "record_kind", "record_id"]
    return (
        pl.concat(
            [
                rows.filter(email.str.contains("@", literal=True)).select(*kept, kind=pl.lit("email"), identifier=email),
                rows.select(*kept, kind=pl.lit("phone"), identifier=phone).filter(pl.col("identifier").is_not_null()),
            ]
        )
        .unique()
        .sort("record_kind", "record_id", "kind", "identifier")
    )


def wallet_claims(crowd: pl.DataFrame, links: pl.DataFrame, hot_wallet: str) -> pl.DataFrame:
    """One row per account or device and wallet that it claims rightly, columns as of `claims`; 0x addresses in lower case.

    The false claims of the exchange's hot wallet are not here, nor addresses whose capitals are no checksum: mistyped, they are nobody's.
    """
    owners = pl.concat(
        [
            crowd.select("true_person", record_kind=pl.lit("account_id"), record_id="account_id"),
            crowd.select("true_person", record_kind=pl.lit("device_id"), record_id="device_id"),
        ]
    )
    is_evm = pl.col("wallet_address").str.starts_with("0x")
    rows = links.select(
        record_kind=pl.when(pl.col("account_id").is_not_null()).then(pl.lit("account_id")).otherwise(pl.lit("device_id")),
        record_id=pl.coalesce("account_id", "device_id"),
        typed="wallet_address",
        identifier=pl.when(is_evm).then(pl.col("wallet_address").str.to_lowercase()).otherwise("wallet_address"),
    ).filter(pl.col("identifier") != hot_wallet)
    letters = pl.col("typed").str.slice(2)
    mixed = (
        pl.col("typed").str.starts_with("0x")
        & (letters != letters.str.to_lowercase())
        & (letters != letters.str.to_uppercase())
    )
    written = rows.filter(mixed)
    right = addresses.checksummed(written["identifier"], np.zeros(len(written), dtype=bool))
    wrong = written.filter(pl.Series(written["typed"] != right)) if len(written) else written
    return (
        rows.join(wrong.select("record_id", "typed"), on=["record_id", "typed"], how="anti")
        .join(owners, on=["record_kind", "record_id"], how="inner")
        .select("true_person", "record_kind", "record_id", kind=pl.lit("wallet"), identifier="identifier")
        .unique()
        .sort("record_kind", "record_id", "identifier")
    )


def versions(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per version of an entity: table, key, known_at (microseconds)."""
    return pl.concat(
        [
            frame.select(table=pl.lit(table), key=pl.col(VERSION_KEYS[table]), known_at=pl.col("_known").cast(pl.Int64))
            for table, frame in frames.items()
        ]
    )
