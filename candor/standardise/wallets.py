"""What each wallet address is, by its checksum, each distinct text asked once: state.wallet_addresses, and for the vault one of its own.

Addresses that SQL can judge by itself (0x and hexadecimal digits of one case claim no checksum) are never asked: see wallet_format in
dbt_project/macros/standardise.sql.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor.standardise import addresses, answers

if TYPE_CHECKING:
    import duckdb

COLUMNS = {"raw": "varchar not null", "address_format": "varchar", "is_valid": "boolean not null", "reason": "varchar"}
TABLE = "state.wallet_addresses"
SOURCES = (
    "raw.wallets__wallet_links.wallet_address",
    "raw.wallets__transfers.from_address",
    "raw.wallets__transfers.to_address",
)
# A listed or restricted address tells whom compliance looks at, so the answers about these stay in the vault.
VAULT_TABLE = "vault.state.wallet_addresses"
VAULT_SOURCES = (
    "vault.raw.compliance__screening_hits.wallet_address",
    "vault.raw.compliance__restrictions.wallet_address",
)
SQL_CAN_JUDGE = "0[xX]([0-9a-f]*|[0-9A-F]*)"


def refresh(connection: duckdb.DuckDBPyConnection, *, vault: bool = False) -> int:
    """How many addresses were new; each of them now has its row. A rerun asks nothing."""
    table, sources = (VAULT_TABLE, VAULT_SOURCES) if vault else (TABLE, SOURCES)
    connection.execute(answers.table_ddl(table, COLUMNS))
    texts = " union ".join(
        f"select trim({column}) as raw from {relation} where {column} is not null and not regexp_full_match(trim({column}), '{SQL_CAN_JUDGE}')"
        for relation, _, column in (source.rpartition(".") for source in sources)
    )
    new = f"select raw from ({texts}) anti join {table} using (raw)"
    return answers.keep(connection, table, COLUMNS, new, _answer)


def _answer(asked: list[tuple[str]]) -> list[tuple[str | None, bool, str | None]]:
    return [
        (judged.address_format, judged.reason is None, judged.reason) for judged in addresses.judge([text for (text,) in asked])
    ]
