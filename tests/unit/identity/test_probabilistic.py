"""Links by likeness in a run: who is looked at, what is remembered from batch to batch, and what better grounds refuse."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from benchmarks.identity import functions, keyed
from candor.identity import probabilistic
from candor.identity.resolution import linking
from candor.settings import PROJECT_ROOT, Settings

KNOWN, APART = 300, 60
FIRST = ["ada", "ben", "clara", "dev", "elsa", "femi", "gita", "hugo", "ines", "jonas", "karim", "lena"]
LAST = ["abbot", "bauer", "castro", "dubois", "eriksen", "farah", "gupta", "huber", "ivanov", "jensen"]

TABLES = """
create schema staging; create schema identity;
create table staging.stg_exchange__accounts (
    account_id varchar, full_name varchar, name_valid boolean, postal_code_std varchar, region_code varchar, country_code varchar, email_std varchar,
    phone_std varchar, birth_date_std date, is_test boolean, known_at timestamp, source_updated_at timestamp default timestamp '2026-11-01',
    row_hash varchar default 'h'
);
create table staging.stg_crm__contacts (
    contact_id varchar, full_name varchar, name_valid boolean, postal_code_std varchar, region_code varchar, country_code varchar,
    email_std varchar, phone_std varchar, known_at timestamp, source_updated_at timestamp default timestamp '2026-11-01', row_hash varchar default 'h'
);
create table identity.identifier_kinds as
    select * from (values ('account_id', 1), ('contact_id', 2), ('email', 6), ('phone', 7)) as kinds (identifier_kind, anchor_priority);
create table identity.identifiers (identifier_kind varchar, identifier varchar, is_hub boolean, is_blocked boolean);
create table identity.edges (
    identifier_kind varchar, identifier varchar, other_kind varchar, other_identifier varchar, evidence varchar, evidence_rank integer,
    first_known_at timestamp
);
create table identity.dropped_edges as select *, '' as reason from identity.edges;
create table identity.evidence_classes as
    select * from (values ('email', 5), ('probabilistic', 10)) as classes (evidence, evidence_rank);
"""


class Shop:
    """KNOWN people whose account and contact give one address, APART people whose do not; numbers from KNOWN on are apart."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection = duckdb.connect(":memory:", config={"threads": 1})
        self.connection.execute(functions())
        self.connection.execute(TABLES)
        rng = np.random.default_rng(7)
        for person in range(KNOWN + APART):
            name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
            postal = str(rng.integers(10_000, 40_000))
            mails = [f"m{person}@x.example", f"m{person}@x.example" if person < KNOWN else f"o{person}@x.example"]
            self.connection.execute(
                "insert into staging.stg_exchange__accounts values (?, ?, true, ?, null, 'GB', ?, null, null, false, '2026-11-01', default, default)",
                [f"a{person}", name, postal, mails[0]],
            )
            self.connection.execute(
                "insert into staging.stg_crm__contacts values (?, ?, true, ?, null, 'GB', ?, null, '2026-11-02', default, default)",
                [f"c{person}", name, postal, mails[1]],
            )
            for kind, record, mail in (("account_id", f"a{person}", mails[0]), ("contact_id", f"c{person}", mails[1])):
                self.connection.execute(
                    "insert into identity.edges values (?, ?, 'email', ?, 'email', 5, '2026-11-01')", [kind, record, mail]
                )
        self.connection.execute(
            """
            insert into identity.identifiers
            select distinct kind, identifier, false, false from (
                select identifier_kind as kind, identifier from identity.edges union select other_kind, other_identifier from identity.edges
            )
            """
        )
        self.connection.execute(f"create or replace table identity.edges as {keyed('edges', 'select * from identity.edges')}")
        self.connection.execute("create table as_built as select * from identity.edges")

    def link(self, batch_seq: int) -> set[tuple[str, str]]:
        """The pairs of accounts and contacts that are edges of class probabilistic after batch `batch_seq`."""
        self.connection.execute("create or replace table identity.edges as select * from as_built")
        probabilistic.link(self.connection, self.settings, batch_seq=batch_seq)
        keyed_anew = keyed("edges", "select * exclude (identifier_key, other_key, row_key) from identity.edges")
        assert self.connection.execute(f"select * from identity.edges except {keyed_anew}").fetchall() == []
        return set(
            self.connection.execute(
                "select identifier, other_identifier from identity.edges where evidence = 'probabilistic'"
            ).fetchall()
        )


@pytest.fixture
def shop(tmp_path) -> Shop:
    return Shop(
        Settings(
            state_dir=tmp_path,
            landing_dir=tmp_path,
            policy_dir=PROJECT_ROOT / "policy",
            serving_url="",
            mlflow_tracking_uri="",
            hash_key="k" * 64,
            threads=1,
            memory_limit="1GB",
            shop="crypto",
        )
    )


@pytest.fixture
def likeness(monkeypatch):
    """Say what the model finds, {(account, contact): probability}, and see who was looked at."""
    state: dict = {"found": {}}

    def link(accounts, contacts, known, *, threshold, **_):
        state["accounts"] = {row["record_id"] for row in accounts.to_pylist() if row["is_wanted"]}
        state["contacts"] = {row["record_id"] for row in contacts.to_pylist() if row["is_wanted"]}
        kept = {pair: chance for pair, chance in state["found"].items() if chance >= threshold}
        table = pa.table(
            {
                "left_id": pa.array([pair[0] for pair in kept], pa.string()),
                "right_id": pa.array([pair[1] for pair in kept], pa.string()),
                "probability": pa.array(list(kept.values()), pa.float64()),
            }
        )
        return linking.Links(table, [], None, 0)

    monkeypatch.setattr(linking, "link", link)
    return state


def test_records_that_nothing_joins_meet_by_name_and_place_and_the_link_says_since_when(shop):
    found = shop.link(1)
    right = {(f"a{person}", f"c{person}") for person in range(KNOWN, KNOWN + APART)}
    assert len(found & right) >= 0.9 * APART
    assert found <= right
    known_at = shop.connection.execute("select distinct first_known_at::varchar from identity.edges where evidence_rank = 10")
    assert known_at.fetchall() == [("2026-11-02 00:00:00",)]


def test_of_a_record_that_stands_in_several_versions_the_last_speaks_and_it_is_linked_once(shop):
    whole = shop.link(1)
    shop.connection.execute(
        "insert into staging.stg_exchange__accounts select * replace ('nobody else' as full_name, '99999' as postal_code_std, "
        "known_at - interval 1 day as known_at) from staging.stg_exchange__accounts"
    )
    shop.connection.execute("insert into staging.stg_crm__contacts select * from staging.stg_crm__contacts")
    shop.connection.execute("delete from state.probabilistic_links")
    assert shop.link(1) == whole
    counted = "select count(*), count(distinct identifier) from identity.edges where evidence = 'probabilistic'"
    assert shop.connection.execute(counted).fetchone() == (len(whole), len(whole))


def test_the_same_batch_again_gives_the_same_links_and_the_same_memory(shop):
    memory = "select * from state.probabilistic_links order by all"
    first = shop.link(1), shop.connection.execute(memory).fetchall()
    assert (shop.link(1), shop.connection.execute(memory).fetchall()) == first
    assert shop.link(2) == first[0]
    assert shop.connection.execute(memory).fetchall() == first[1], "nothing changed, so nothing is written"


def test_only_records_that_deterministic_evidence_leaves_alone_are_looked_at(shop, likeness):
    shop.connection.execute("update staging.stg_exchange__accounts set is_test = true where account_id = 'a300'")
    shop.connection.execute("update staging.stg_crm__contacts set name_valid = false where contact_id = 'c301'")
    shop.link(1)
    apart = set(range(KNOWN, KNOWN + APART))
    assert likeness["accounts"] == {f"a{person}" for person in apart - {300}}
    assert likeness["contacts"] == {f"c{person}" for person in apart - {301}}


def test_a_link_once_made_stays_until_it_is_clearly_no_longer_likely(shop, likeness):
    pair = ("a310", "c310")
    for batch, chance, linked in ((1, 0.95, False), (2, 0.99, True), (3, 0.91, True), (4, 0.89, False), (5, 0.95, False)):
        likeness["found"] = {pair: chance}
        assert (pair in shop.link(batch)) is linked, f"batch {batch}"
    log = shop.connection.execute("select batch_seq, is_linked from state.probabilistic_links order by 1").fetchall()
    assert log == [(2, True), (4, False)]
    likeness["found"] = {pair: 0.95}
    assert pair not in shop.link(1), "an earlier batch does not see later ones"
    assert pair in shop.link(3)


def test_what_was_refused_on_better_grounds_is_not_joined_by_likeness(shop, likeness):
    pair = ("a310", "c310")
    likeness["found"] = {pair: 0.999}
    shop.connection.execute(
        "insert into identity.dropped_edges values ('account_id', 'a310', 'contact_id', 'c310', 'declared', 8, '2026-11-01', 'conflict_name')"
    )
    assert shop.link(1) == set()


def test_a_shop_without_one_of_the_two_silos_links_nothing(shop):
    shop.connection.execute("delete from as_built where identifier_kind = 'contact_id'")
    shop.connection.execute("delete from identity.identifiers where identifier_kind = 'contact_id'")
    shop.connection.execute("delete from staging.stg_crm__contacts")
    assert shop.link(1) == set()
