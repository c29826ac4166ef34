"""What a run removed as noise, and what it called duplicated or outdated, beside what the simulator planted.

Everything is counted in the warehouse; only tables with a row per kind or source come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.planted import part_files

BOT_REASONS = "list_filter(reasons, lambda reason: starts_with(reason, 'bot_'))"
# Activity: a further row of a key is a duplicate. The truth folder's rows of each, and the key.
ACTIVITY = {
    "events.events": ("events_rows", "event_id"),
    "exchange.trades": ("trades_rows", "trade_id"),
    "exchange.ledger_entries": ("ledger_entries_rows", "entry_id"),
    "wallets.transfers": ("transfers_rows", "tx_hash"),
}


@dataclass(frozen=True)
class Found:
    """How many were planted, how many of those were found, and how many others were called so too."""

    planted: int
    found: int
    wrong: int

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else 1.0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0


@dataclass(frozen=True)
class Machines:
    """Planted machines of one kind (`human` = all other actors), and those of whose events half or more were removed as a machine's."""

    kind: str
    actors: int
    actors_removed: int
    events: int
    events_removed: int


def machines(connection: duckdb.DuckDBPyConnection, truth: Path) -> list[Machines]:
    """One row per kind of machine and one for humans, at the level of actors (browser, else device) and of events.

    An event counts as removed when a reason that starts with `bot_` speaks against it; other reasons say nothing about machines.
    """
    rows = connection.execute(
        f"""
        with called as (
            select event_id from core.removed_events where len({BOT_REASONS}) > 0
        ), actors as (
            select
                coalesce(events.anonymous_id, events.device_id) as actor,
                count(*) as events,
                count(called.event_id) as removed
            from staging.stg_events__events as events left join called on events.event_id = called.event_id
            where coalesce(events.anonymous_id, events.device_id) is not null
            group by actor
        ), bots as (
            -- A machine that ever declares itself is declared.
            select anonymous_id, min(kind) as kind from read_parquet('{part_files(truth, "bots")}') group by anonymous_id
        )
        select
            coalesce(bots.kind, 'human') as kind, count(*), count(*) filter (where removed * 2 >= events),
            sum(events)::bigint, sum(removed)::bigint
        from actors left join bots on actors.actor = bots.anonymous_id
        group by all order by kind
        """
    ).fetchall()
    return [Machines(*row) for row in rows]


def rows_by_reason(connection: duckdb.DuckDBPyConnection, truth: Path) -> dict[str, Found]:
    """For each kind of planted noise but machines: rows planted, found with its reasons, and others found with them."""
    dead_or_test = "('dead_session', 'test')"
    return {
        # A dead session of a test account is planted as a dead session, so either reason is right for either kind.
        "dead and endless sessions, events": _found(
            connection, truth, "events", "event_id", "kind = 'dead_session'", "kind in ('dead_session', 'bot')", ("dead_session",)
        ),
        "test accounts and QA, events": _found(
            connection, truth, "events", "event_id", "kind = 'test'", f"kind in {dead_or_test}", ("test_account", "hub_account")
        ),
        "test accounts, trades": _found(
            connection, truth, "trades", "trade_id", "kind = 'test'", "kind in ('test', 'wash')", ("test_account",)
        ),
        "test accounts, ledger entries": _found(
            connection, truth, "ledger_entries", "entry_id", "kind = 'test'", "kind = 'test'", ("test_account",)
        ),
        "wash trades": _found(
            connection, truth, "trades", "trade_id", "kind = 'wash'", "kind = 'wash'", ("wash_trade",)
        ),
        "test accounts": _test_accounts(connection, truth),
    }  # fmt: skip


def _found(
    connection: duckdb.DuckDBPyConnection, truth: Path, table: str, key: str, planted: str, right: str, reasons: tuple[str, ...]
) -> Found:
    """Rows for which the condition `planted` holds, those removed for a reason, and those removed though `right` does not hold."""
    given = ", ".join(f"'{reason}'" for reason in reasons)
    row = connection.execute(
        f"""
        with kept as (
            select {key}, kind::varchar as kind from read_parquet('{part_files(truth, f"{table}_rows")}')
            where kind <> 'duplicate' and known_at <= {_landed_until(connection, table)}
        ), called as (
            select {key} from core.removed_{table} where list_has_any(reasons, [{given}])
        )
        select
            count(*) filter (where {planted}),
            count(*) filter (where {planted} and called.{key} is not null),
            count(*) filter (where not ({right}) and called.{key} is not null)
        from kept left join called on kept.{key} = called.{key}
        """
    ).fetchall()[0]
    return Found(*row)


def _test_accounts(connection: duckdb.DuckDBPyConnection, truth: Path) -> Found:
    row = connection.execute(
        f"""
        with people as (select * from read_parquet('{part_files(truth, "people")}')), planted as (
            select account_id from people where is_test
            union select second_account_id from people where is_test and second_account_id is not null
        ), landed as (select distinct account_id from raw.exchange__accounts)
        select
            (select count(*) from planted semi join landed using (account_id)),
            (select count(*) from core.int_test_accounts semi join planted using (account_id)),
            (select count(*) from core.int_test_accounts anti join planted using (account_id))
        """
    ).fetchall()[0]
    return Found(*row)


def _landed_until(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Microseconds of the last extraction of a table of activity: the truth also knows rows that wait for a later delivery."""
    view = {"events": "events__events", "transfers": "wallets__transfers"}.get(table, f"exchange__{table}")
    return int(connection.execute(f"select coalesce(epoch_us(max(_extracted_at)), 0) from raw.{view}").fetchall()[0][0])


@dataclass(frozen=True)
class Rows:
    """Rows of one table: all, and those that repeat or are a superseded version, as planted and as found."""

    source: str
    table: str
    rows: int
    planted: int
    found: int


def duplicated_or_outdated(connection: duckdb.DuckDBPyConnection, truth: Path) -> list[Rows]:
    """One row per source and table the run has rows of."""
    planted = _planted_rows(connection, truth)
    found = _found_rows(connection)
    return [
        Rows(*name.split("."), rows=rows, planted=planted.get(name, 0), found=repeated)
        for name, (rows, repeated) in sorted(found.items())
    ]  # fmt: skip


def _planted_rows(connection: duckdb.DuckDBPyConnection, truth: Path) -> dict[str, int]:
    planted = {}
    for name, (folder, _) in ACTIVITY.items():
        planted[name] = connection.execute(
            f"""
            select count(*) from read_parquet('{part_files(truth, folder)}')
            where kind = 'duplicate' and known_at <= {_landed_until(connection, name.split(".")[1])}
            """
        ).fetchall()[0][0]
    # A version counts when it was extracted, and is superseded when a later one of its key was too.
    views = connection.execute(
        f"select distinct \"table\" from read_parquet('{part_files(truth, 'versions')}') order by all"
    ).fetchall()
    for (name,) in views:
        view = ("vault." if name.startswith("compliance.") else "") + "raw." + name.replace(".", "__")
        planted[name] = connection.execute(
            f"""
            select count(*) - count(distinct key) from read_parquet('{part_files(truth, "versions")}')
            where "table" = '{name}' and known_at <= (select epoch_us(max(_extracted_at)) from {view})
            """
        ).fetchall()[0][0]
    return planted


def _found_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """By source.table: rows loaded, and how many of them the run calls duplicated or superseded (core.hygiene_counts).

    The restricted source is not in the warehouse: there, rows that staging does not call current are counted in the vault.
    """
    found = {
        f"{source}.{name}": (int(rows), int(repeated))
        for source, name, rows, repeated in connection.execute(
            """
            select
                source, table_name,
                sum(rows) filter (where kind = 'rows'),
                coalesce(sum(rows) filter (where starts_with(kind, 'duplicate_') or kind = 'superseded'), 0)
            from core.hygiene_counts group by all order by all
            """
        ).fetchall()
    }
    restricted = connection.execute("select table_name from raw.feeds where source = 'compliance' order by all").fetchall()
    for (name,) in restricted:
        rows, current = connection.execute(
            f"select (select count(*) from vault.raw.compliance__{name}), (select count(*) from vault.staging.stg_compliance__{name})"
        ).fetchall()[0]
        found[f"compliance.{name}"] = (rows, rows - current)
    return {name: counts for name, counts in found.items() if counts[0]}
