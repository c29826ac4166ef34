"""What a library must say about values before SQL can compare them: phone numbers, wallet addresses, mail domains.

Each distinct value is asked once and its answer kept in a table that the staging models join. Everything else about a value (case, tags,
placeholders, shapes) is SQL: dbt_project/macros/standardise.sql.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.standardise import answers, email_domains, phones, wallets
from candor.warehouse import connect, one_row

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Counts of values asked anew and known, for the run of `as_of`. To be called before the staging layer is built.

    Nothing from the vault is counted here: what is returned is reported openly.
    """
    settings = settings or settings_module.load()
    with connect(settings, restricted=True) as connection:
        runs.current(connection, as_of)
        asked = {
            "phone_numbers_asked": phones.refresh(connection),
            "wallet_addresses_asked": wallets.refresh(connection),
            "email_domains": email_domains.refresh(connection),
        }
        wallets.refresh(connection, vault=True)
        known = one_row(
            connection,
            f"""
            select
                (select count(*) from {phones.TABLE}), (select count(*) from {phones.TABLE} where is_valid),
                (select count(*) from {wallets.TABLE}), (select count(*) from {wallets.TABLE} where is_valid),
                (select count(*) from {email_domains.TABLE} where is_disposable)
            """,
        )
    names = (
        "phone_numbers_known",
        "phone_numbers_valid",
        "wallet_addresses_known",
        "wallet_addresses_valid",
        "email_domains_disposable",
    )
    return asked | dict(zip(names, known, strict=True))


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Every table that the staging models join, made where it is missing. The vault must be attached."""
    for table, columns in (
        (phones.TABLE, phones.COLUMNS),
        (wallets.TABLE, wallets.COLUMNS),
        (wallets.VAULT_TABLE, wallets.COLUMNS),
        (email_domains.TABLE, email_domains.COLUMNS),
    ):
        connection.execute(answers.table_ddl(table, columns))
