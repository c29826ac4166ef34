"""The measures against planted truth, on a shop of five people that is small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from benchmarks import identity_truth, partitions, planted, planted_noise
from candor.errors import UsageError

# ann and bob share a tablet and are merged by it; cat has a contact nobody could link; dan's cookie was never linked though he logged in.
PERSON_IDENTIFIERS = [
    ("account_id", "ac-ann", "p1"), ("anonymous_id", "an-ann", "p1"), ("email", "ann@x.example", "p1"), ("device_id", "dv-tablet", "p1"),
    ("anonymous_id", "an-bob", "p1"),
    ("account_id", "ac-cat", "p2"), ("contact_id", "ct-cat", "p3"),
    ("account_id", "ac-dan", "p4"), ("anonymous_id", "an-dan", "p5"), ("wallet", "0xdd", "p4"),
    ("anonymous_id", "an-robot", "p6"), ("anonymous_id", "an-quiet", "p7"),
]  # fmt: skip
EDGES = [
    ("account_id", "ac-ann", "anonymous_id", "an-ann", "login"), ("account_id", "ac-ann", "email", "ann@x.example", "email"),
    ("account_id", "ac-ann", "device_id", "dv-tablet", "login"), ("device_id", "dv-tablet", "anonymous_id", "an-bob", "probabilistic"),
    ("account_id", "ac-dan", "wallet", "0xdd", "signed_nonce"),
]  # fmt: skip
EVENTS = [  # event, account, cookie, device, removed for
    ("e1", "ac-ann", "an-ann", "dv-tablet", None), ("e2", None, "an-bob", "dv-tablet", None), ("e3", "ac-dan", "an-dan", None, None),
    ("e4", "ac-cat", None, None, "test_account"), ("r1", None, "an-robot", None, "bot_rate"), ("r2", None, "an-robot", None, "bot_actor"),
    ("r3", None, "an-robot", None, None), ("q1", None, "an-quiet", None, None), ("q2", None, "an-quiet", None, "dead_session"),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("run")
    state, truth = folder / "state", folder / "truth"
    _truth(truth)
    (state / "warehouse").mkdir(parents=True)
    (state / "restricted" / "warehouse").mkdir(parents=True)
    with duckdb.connect(str(state / "warehouse" / "candor.duckdb")) as connection:
        for schema in ("raw", "state", "staging", "identity", "core"):
            connection.execute(f"create schema {schema}")
        connection.execute(
            """
            create table state.stage_marks as select 'core' as stage, timestamp '2026-11-23' as as_of;
            create table identity.person_identifiers (identifier_kind varchar, identifier varchar, person_id varchar);
            create table identity.edges (identifier_kind varchar, identifier varchar, other_kind varchar, other_identifier varchar, evidence varchar);
            create table raw.events__events (event_id varchar, account_id varchar, anonymous_id varchar, device_id varchar, _extracted_at timestamp);
            create table raw.exchange__accounts as select unnest(['ac-ann', 'ac-cat', 'ac-dan']) as account_id;
            create table raw.crm__contacts as select 'ct-cat' as contact_id;
            create table raw.wallets__wallet_links (wallet_address varchar, account_id varchar, device_id varchar);
            insert into raw.wallets__wallet_links values ('0xDD', 'ac-dan', null);
            create table core.removed_events (event_id varchar, reasons varchar[]);
            create table core.int_test_accounts as select 'ac-cat' as account_id;
            """
        )
        connection.executemany("insert into identity.person_identifiers values (?, ?, ?)", PERSON_IDENTIFIERS)
        connection.executemany("insert into identity.edges values (?, ?, ?, ?, ?)", EDGES)
        for event, account, cookie, device, reason in EVENTS:
            connection.execute(
                "insert into raw.events__events values (?, ?, ?, ?, '2026-11-23')", [event, account, cookie, device]
            )
            if reason:
                connection.execute("insert into core.removed_events values (?, ?)", [event, [reason]])
        connection.execute("create table staging.stg_events__events as select * from raw.events__events")
    with duckdb.connect(str(state / "restricted" / "warehouse" / "compliance.duckdb")) as vault:
        vault.execute("create schema raw")
        vault.execute(
            """
            create table raw.compliance__kyc_records (kyc_id varchar, account_id varchar, full_name varchar, birth_date date, status varchar,
                source_updated_at timestamp, _extracted_at timestamp, _row_hash varchar, _is_superseded boolean);
            insert into raw.compliance__kyc_records values
                ('k1', 'ac-ann', 'Ann A', '1990-01-01', 'verified', '2026-01-01', '2026-01-01', 'a', false),
                ('k2', 'ac-ann', 'ANN A ', '1990-01-01', 'verified', '2026-01-01', '2026-01-01', 'b', false),
                ('k3', 'ac-cat', 'Cat C', '1990-01-01', 'verified', '2026-01-01', '2026-01-01', 'c', false),
                ('k4', 'ac-cat', 'Cat C', '1991-01-01', 'verified', '2026-01-01', '2026-01-01', 'd', false),
                ('k5', 'ac-dan', 'Dan D', '1990-01-01', 'verified', '2026-01-01', '2026-01-01', 'e', false),
                ('k6', 'ac-dan', 'Don D', '1990-01-01', 'verified', '2026-01-01', '2026-01-01', 'f', false),
                ('k7', 'ac-ann', 'Nan A', '1980-01-01', 'rejected', '2026-01-01', '2026-01-01', 'g', false)
            """
        )
    return state, truth


def _truth(folder: Path) -> None:
    def keep(name: str, frame: pl.DataFrame) -> None:
        (folder / name).mkdir(parents=True)
        frame.write_parquet(folder / name / "part-0.parquet")

    text = pl.String
    keep("people", pl.DataFrame(
        [("ann", "an-ann", None, "dv-ann", "ac-ann", None, False), ("bob", "an-bob", None, "dv-bob", None, None, False),
         ("cat", "an-cat", None, "dv-cat", "ac-cat", None, True), ("dan", "an-dan", None, "dv-dan", "ac-dan", None, False)],
        schema={"true_person": text, "anonymous_id": text, "second_anonymous_id": text, "device_id": text, "account_id": text,
                "second_account_id": text, "is_test": pl.Boolean}, orient="row"))  # fmt: skip
    keep("person_identifiers", pl.DataFrame(
        [("ann", "account_id", "ac-ann"), ("cat", "account_id", "ac-cat"), ("cat", "contact_id", "ct-cat"), ("dan", "account_id", "ac-dan"),
         ("dan", "contact_id", "ct-never-landed")],
        schema={"true_person": text, "kind": text, "identifier": text}, orient="row"))  # fmt: skip
    keep("record_claims", pl.DataFrame(
        [("ann", "account_id", "ac-ann", "email", "ann@x.example"), ("dan", "account_id", "ac-dan", "wallet", "0xdd"),
         ("dan", "account_id", "ac-dan", "wallet", "0xnever-landed")],
        schema={"true_person": text, "record_kind": text, "record_id": text, "kind": text, "identifier": text}, orient="row"))  # fmt: skip
    keep("bots", pl.DataFrame({"anonymous_id": ["an-robot", "an-quiet"], "kind": ["fast", "slow"]}))
    kinds = [("e1", "genuine"), ("e2", "genuine"), ("e3", "genuine"), ("e4", "test"), ("r1", "bot"), ("r2", "bot"), ("r3", "bot"),
             ("q1", "bot"), ("q2", "dead_session"), ("e1", "duplicate"), ("waits", "test")]  # fmt: skip
    known = [0] * (len(kinds) - 1) + [2_000_000_000_000_000]
    keep(
        "events_rows",
        pl.DataFrame({"event_id": [event for event, _ in kinds], "kind": [kind for _, kind in kinds], "known_at": known}),
    )


@pytest.fixture(scope="module")
def connection(run: tuple[Path, Path]):
    opened = planted.open_run(run[0], restricted=True)
    yield opened
    opened.close()


def test_items_are_what_landed_and_belongs_to_one_person(connection, run) -> None:
    labels = planted.labels(connection, run[1])
    items = dict(connection.execute("select identifier, item from items").fetchall())
    assert set(items) == {"ac-ann", "an-ann", "ann@x.example", "an-bob", "ac-cat", "ct-cat", "ac-dan", "an-dan", "0xdd"}
    assert labels.person[items["ac-ann"]] == labels.person[items["ann@x.example"]] != labels.person[items["an-bob"]]


def test_a_chain_joins_what_a_landed_row_carries_together_and_nothing_else(connection, run) -> None:
    labels = planted.labels(connection, run[1])
    items = dict(connection.execute("select identifier, item from items").fetchall())

    def joined(one: str, other: str) -> bool:
        return labels.chain[items[one]] == labels.chain[items[other]]

    assert joined("an-ann", "ann@x.example")
    assert joined("an-dan", "0xdd"), "the login and the wallet link meet at the account"
    assert not joined("ac-cat", "ct-cat"), "no row carries both"
    assert not joined("an-ann", "an-bob"), "the tablet is no item: two people had it"


def test_likeness_joins_overall_and_not_deterministically(connection, run) -> None:
    labels = planted.labels(connection, run[1])
    assert partitions.pairwise(labels.deterministic, labels.person) == partitions.Pairs(predicted=4, true=7, common=4)
    assert partitions.pairwise(labels.overall, labels.person) == partitions.Pairs(predicted=7, true=7, common=4)
    assert partitions.pairwise(labels.deterministic, labels.chain) == partitions.Pairs(predicted=4, true=6, common=4)
    assert planted.largest(connection) == (5, 3)


def test_kyc_records_that_disagree_are_counted_by_birth_date_or_name_and_only_verified_ones(connection, run) -> None:
    assert planted.kyc_disagreements(connection) == (2, 3)


def test_a_machine_counts_as_removed_when_half_of_its_events_are_removed_as_a_machines(connection, run) -> None:
    found = {row.kind: row for row in planted_noise.machines(connection, run[1])}
    assert found["fast"] == planted_noise.Machines("fast", actors=1, actors_removed=1, events=3, events_removed=2)
    assert found["slow"] == planted_noise.Machines("slow", actors=1, actors_removed=0, events=2, events_removed=0)
    assert found["human"] == planted_noise.Machines("human", actors=3, actors_removed=0, events=3, events_removed=0)


def test_rows_that_wait_for_a_later_delivery_are_not_missed(connection, run) -> None:
    found = planted_noise._found(connection, run[1], "events", "event_id", "kind = 'test'", "kind = 'test'", ("test_account",))
    assert found == planted_noise.Found(planted=1, found=1, wrong=0)


def test_a_target_is_missed_below_its_least_and_above_its_most_and_met_at_it() -> None:
    at_least = [identity_truth.Measure("m", value, least=0.95).is_missed for value in (0.9499, 0.95, 0.96)]
    at_most = [identity_truth.Measure("m", value, most=0.005).is_missed for value in (0.0051, 0.005, 0.0)]
    assert at_least == at_most == [True, False, False]
    assert not identity_truth.Measure("only told", 0.0).is_missed
    assert "MISSED" in identity_truth.table([identity_truth.Measure("m", 0.9, least=0.95)])


def test_a_folder_without_a_run_or_truth_is_refused_and_named(run: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    with pytest.raises(UsageError, match="there is no warehouse"):
        planted.open_run(tmp_path)
    with pytest.raises(UsageError, match="has no bots"):
        planted.part_files(tmp_path, "bots")
    assert identity_truth.main(["--state", str(run[0])]) == 2
    assert "--truth must be the truth folder" in capsys.readouterr().err
    assert identity_truth.main([]) == 2


def test_silos_know_every_kind_of_identifier() -> None:
    assert planted.silos(np.array(["account_id", "wallet", "phone"])).tolist() == ["exchange", "wallets", "addresses"]
