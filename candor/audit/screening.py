"""Sanctions screening: the latest run of accounts and of wallets, what it found, and whether it may still be believed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from candor.audit.consent import normal_wallet
from candor.audit.people import of_kind

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw

MAX_AGE_HOURS = 24
TABLES = ["compliance.screening_runs", "compliance.screening_hits"]
# Every row kept by these two columns; anything else a source may write as outcome is no hit that the contract knows.
WORST = {"cleared": 0, "potential": 1, "confirmed": 2}


def facts(
    raw: Raw, identifiers: pl.DataFrame, accounts: pl.DataFrame, people: pl.LazyFrame, claimed: pl.LazyFrame
) -> pl.LazyFrame:
    """One row per person: u_sanctions_status, u_wallet_sanctioned (null = unknown), c_list_parse_complete.

    `claimed`: the wallets that the person's accounts and devices claim, whether or not identity believed it.
    """
    import polars as pl

    runs = {scope: _latest_run(raw, scope) for scope in ("accounts", "wallets")}
    hits = raw.rows(
        "compliance.screening_hits", ["screening_run_id", "account_id", "wallet_address", "chain", "outcome"]
    ).with_columns(pl.col("outcome").replace_strict(WORST, default=WORST["confirmed"], return_dtype=pl.Int8).alias("worst"))
    fresh = raw.fresh(TABLES, MAX_AGE_HOURS)
    accounts_run, wallets_run = runs["accounts"], runs["wallets"]

    def believed(run: dict | None) -> bool:
        return fresh and run is not None and raw.as_of - run["screened_at"] <= timedelta(hours=MAX_AGE_HOURS)

    owned = of_kind(identifiers, "account_id")
    on_accounts = (
        hits.filter(pl.col("screening_run_id") == (accounts_run or {}).get("screening_run_id", ""))
        .join(owned, on="account_id", how="inner")
        .group_by("person_id")
        .agg(pl.col("worst").max().alias("on_accounts"))
    )
    on_wallets = _wallet_hits(raw, identifiers, hits, wallets_run, claimed)
    screened_at = accounts_run["screened_at"] if accounts_run else raw.as_of
    unscreened = (
        accounts.lazy()
        .filter(pl.col("created_at") > screened_at)
        .select("person_id", pl.lit(True).alias("is_unscreened"))
        .unique()
    )
    with_account = owned.select("person_id", pl.lit(True).alias("has_account")).unique()
    status = pl.max_horizontal(
        pl.col("on_accounts").fill_null(0),
        # A potential wallet hit makes a potential match; a confirmed one has a rule of its own.
        pl.col("has_potential_wallet").fill_null(False).cast(pl.Int8),
    )
    account_known = pl.col("has_account").fill_null(False) & pl.col("is_unscreened").is_null()
    return (
        people.join(on_accounts, on="person_id", how="left")
        .join(on_wallets, on="person_id", how="left")
        .join(unscreened, on="person_id", how="left")
        .join(with_account, on="person_id", how="left")
        .select(
            "person_id",
            pl.when(account_known & pl.lit(believed(accounts_run)))
            .then(status.replace_strict({0: "clear", 1: "potential", 2: "confirmed"}, return_dtype=pl.String))
            .alias("u_sanctions_status"),
            (pl.col("has_confirmed_wallet").fill_null(False) if believed(wallets_run) else pl.lit(None, pl.Boolean)).alias(
                "u_wallet_sanctioned"
            ),
            pl.lit(all(run is not None and run["list_parse_complete"] for run in runs.values())).alias("c_list_parse_complete"),
        )
    )


def _latest_run(raw: Raw, scope: str) -> dict | None:
    """The last screening of that scope up to as_of; of two at one instant the one with the greater id."""
    import polars as pl

    columns = ["screening_run_id", "scope", "list_parse_complete", "screened_at"]
    found = (
        raw.rows("compliance.screening_runs", columns)
        .filter(pl.col("scope") == scope, pl.col("screened_at") <= raw.as_of)
        .collect()
        .sort("screened_at", "screening_run_id", "list_parse_complete", descending=[True, True, False])
    )
    return found.row(0, named=True) if found.height else None


def _wallet_hits(
    raw: Raw, identifiers: pl.DataFrame, hits: pl.LazyFrame, run: dict | None, claimed: pl.LazyFrame
) -> pl.LazyFrame:
    """One row per person with a hit on a wallet of theirs: has_potential_wallet, has_confirmed_wallet.

    0x addresses are one account on every EVM chain; any other address counts on its own chain, whatever name a source gives that, and on
    one that nobody named or knows.
    """
    import polars as pl

    known = pl.read_csv(raw.settings.dbt_project_dir / "seeds" / "wallet_chains.csv")
    names = dict(zip(known["chain"].to_list(), known["canonical_chain"].to_list(), strict=True))
    # Null: no chain, or one that nobody here knows.
    chain = pl.col("chain").str.strip_chars(" ").str.to_lowercase().replace_strict(names, default=None, return_dtype=pl.String)
    wallets = pl.concat(
        [
            of_kind(identifiers, "wallet"),
            claimed.select("person_id", normal_wallet("wallet_address").alias("wallet")),
        ]
    ).unique()
    chains = (
        raw.rows("wallets.wallet_links", ["wallet_address", "chain"])
        .select(normal_wallet("wallet_address").alias("wallet"), chain.alias("owned_chain"))
        .unique()
    )
    meant = hits.filter(pl.col("screening_run_id") == (run or {}).get("screening_run_id", "")).select(
        normal_wallet("wallet_address").alias("wallet"), chain.alias("hit_chain"), "worst"
    )
    same_chain = (
        pl.col("wallet").str.starts_with("0x")
        | pl.col("hit_chain").is_null()
        | pl.col("owned_chain").is_null()
        | (pl.col("hit_chain") == pl.col("owned_chain"))
    )
    return (
        meant.drop_nulls("wallet")
        .join(wallets, on="wallet", how="inner")
        .join(chains, on="wallet", how="left")
        .filter(same_chain)
        .group_by("person_id")
        .agg(
            (pl.col("worst") == WORST["potential"]).any().alias("has_potential_wallet"),
            (pl.col("worst") == WORST["confirmed"]).any().alias("has_confirmed_wallet"),
        )
    )
