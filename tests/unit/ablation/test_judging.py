"""The judging on a shop small enough to read: ids are the stories."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.ablation import judging

SHOP = """
create schema identity; create schema decisions; create schema staging;
create table identity.person_identifiers (person_id varchar, identifier_kind varchar, identifier varchar);
create table decisions.staged_offers (person_id varchar, offer_id varchar, channel varchar);
create table staging.stg_crm__consents (
    contact_id varchar, account_id varchar, email varchar, channel varchar, purpose varchar, status varchar, recorded_at timestamp
);
create table staging.stg_events__events (event_id varchar, account_id varchar, anonymous_id varchar, device_id varchar);
create schema reduced_core;
create table reduced_core.events (event_id varchar, person_id varchar);
create table own (kind varchar, identifier varchar, true_person varchar);
create table responses (true_person varchar, offer_id varchar, p_shown double, p_held_out double, harmed boolean);
create table test_people (true_person varchar);
create table machines (person_id varchar);
create table testers (person_id varchar);
create table refused (true_person varchar, channel varchar);
create table permitted as
select human as true_person, 'o1' as offer_id, channel
from unnest(['ada', 'bo', 'zoe']) as humans (human) cross join unnest(['web', 'email']) as channels (channel);
create schema eligibility;
create table eligibility.candidates (person_id varchar, offer_id varchar, channel varchar);
"""


@pytest.fixture
def shop() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(SHOP)
    return connection


def person(connection, person_id: str, *members: tuple[str, str, str | None]) -> None:
    """A person of the run who holds (kind, identifier, its human)."""
    for kind, identifier, human in members:
        connection.execute("insert into identity.person_identifiers values (?, ?, ?)", [person_id, kind, identifier])
        if human is not None:
            connection.execute("insert into own values (?, ?, ?)", [kind, identifier.strip().lower(), human])


def offer(connection, person_id: str, offer_id: str = "o1", channel: str = "web") -> None:
    connection.execute("insert into decisions.staged_offers values (?, ?, ?)", [person_id, offer_id, channel])


def respond(
    connection, human: str, offer_id: str = "o1", *, shown: float = 0.2, held_out: float = 0.1, harmed: bool = False
) -> None:
    connection.execute("insert into responses values (?, ?, ?, ?, ?)", [human, offer_id, shown, held_out, harmed])


def judged(connection) -> dict[str, dict]:
    judging.whose(connection)
    return {row["human"]: row for row in judging.humans(connection).to_dicts()}


def test_a_person_is_taken_for_the_human_who_owns_most_of_it_and_the_rest_is_wrong(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"), ("device_id", "d1", "ada"), ("device_id", "d2", "bo"))
    offer(shop, "p")
    respond(shop, "ada")
    row = judged(shop)["ada"]
    assert (row["offers"], row["wrong"], row["wrong_machine"], row["wrong_record"], row["wrong_address"]) == (1, 1, 1, 0, 0)


def test_of_equals_the_human_with_the_account_is_who_is_meant(shop) -> None:
    person(shop, "p", ("account_id", "a1", "zoe"), ("contact_id", "c1", "ada"))
    offer(shop, "p")
    assert judged(shop)["zoe"]["wrong_record"] == 1


def test_a_shared_device_is_nobodys_and_makes_no_wrong_person(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"), ("device_id", "family tablet", None))
    offer(shop, "p")
    assert judged(shop)["ada"]["wrong"] == 0


def test_an_address_that_was_not_standardised_is_still_its_humans(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"), ("email", " Bo@X.Example", "bo"), ("wallet", "0xAB", "bo"))
    shop.execute(
        "insert into identity.person_identifiers values ('p', 'device_id', 'd1'); insert into own values ('device_id', 'd1', 'ada')"
    )
    shop.execute(
        "insert into identity.person_identifiers values ('p', 'device_id', 'd2'); insert into own values ('device_id', 'd2', 'ada')"
    )
    offer(shop, "p")
    row = judged(shop)["ada"]
    assert (row["wrong_address"], row["wrong_record"]) == (1, 1)


def test_what_somebody_else_did_makes_a_wrong_person_even_when_only_the_shared_device_is_theirs(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"), ("device_id", "family tablet", None))
    shop.execute("insert into own values ('anonymous_id', 'bos browser', 'bo'), ('anonymous_id', 'adas browser', 'ada')")
    offer(shop, "p")
    shop.execute("insert into reduced_core.events values ('e1', 'p')")
    # Her own log-in in his browser is hers.
    shop.execute("insert into staging.stg_events__events values ('e1', 'a1', 'bos browser', 'family tablet')")
    assert judged(shop)["ada"]["wrong"] == 0
    shop.execute("update staging.stg_events__events set account_id = null")
    assert judged(shop)["ada"]["wrong_activity"] == judged(shop)["ada"]["wrong"] == 1
    shop.execute("update staging.stg_events__events set anonymous_id = 'adas browser'")
    assert judged(shop)["ada"]["wrong"] == 0


def test_an_offer_to_nobody_is_a_hard_false_target_and_brings_nothing(shop) -> None:
    person(shop, "p", ("account_id", "hub", None))
    offer(shop, "p")
    row = judged(shop)["nobody p"]
    assert row["not_permitted"] == 1
    assert (row["hard"], row["to_nobody"], row["shown"], row["gain"], row["distinct_gain"]) == (1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("part", "planted"),
    [
        ("to_machine", "insert into machines values ('p')"),
        ("to_test", "insert into test_people values ('ada')"),
        ("to_test", "insert into testers values ('p')"),
        ("uses_anyway", "insert into responses values ('ada', 'o1', 0.6, 0.5, false)"),
        ("puts_off", "insert into responses values ('ada', 'o1', 0.1, 0.2, false)"),
        ("harms", "insert into responses values ('ada', 'o1', 0.2, 0.1, true)"),
        ("not_permitted", "delete from permitted where channel = 'email'"),
        ("said_no", "insert into refused values ('ada', 'email')"),
    ],
)
def test_each_part_of_a_hard_false_target_counts_alone_and_no_other_with_it(shop, part: str, planted: str) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    offer(shop, "p", channel="email")
    shop.execute(planted)
    row = judged(shop)["ada"]
    assert {name: row[name] for name in judging.HARD} == {name: int(name == part) for name in judging.HARD}
    assert row["hard"] == 1


def test_an_offer_that_is_hard_in_two_ways_counts_once_and_a_good_one_not_at_all(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    person(shop, "q", ("account_id", "a2", "bo"))
    for human, is_harmed in (("ada", True), ("bo", False)):
        respond(shop, human, harmed=is_harmed)
    shop.execute("insert into test_people values ('ada')")
    offer(shop, "p")
    offer(shop, "q")
    found = judged(shop)
    assert (found["ada"]["hard"], found["ada"]["to_test"], found["ada"]["harms"]) == (1, 1, 1)
    assert found["bo"]["hard"] == 0


def test_a_no_to_another_channel_is_no_no_to_this_one(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    shop.execute("insert into refused values ('ada', 'sms')")
    offer(shop, "p", channel="email")
    assert judged(shop)["ada"]["said_no"] == 0


def test_one_offer_on_two_channels_or_to_two_persons_of_one_human_gains_once(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    person(shop, "q", ("account_id", "a2", "ada"))
    respond(shop, "ada", shown=0.3, held_out=0.1)
    offer(shop, "p", channel="web")
    offer(shop, "p", channel="email")
    offer(shop, "q", channel="web")
    row = judged(shop)["ada"]
    assert (row["offers"], row["persons"]) == (3, 2)
    assert row["shown"] == pytest.approx(0.9)
    assert row["gain"] == pytest.approx(0.6)
    assert row["distinct_gain"] == pytest.approx(0.2)


def test_what_an_offer_gains_that_is_not_permitted_by_any_of_its_channels_counts_for_nothing(shop) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    respond(shop, "ada", "o1", shown=0.3, held_out=0.1)
    respond(shop, "ada", "o2", shown=0.9, held_out=0.4)
    offer(shop, "p", "o1", channel="web")
    offer(shop, "p", "o1", channel="sms")
    offer(shop, "p", "o2")
    row = judged(shop)["ada"]
    assert row["not_permitted"] == 2
    assert (row["distinct_gain"], row["any_gain"]) == pytest.approx((0.2, 0.7))


def test_the_whole_day_permits_what_its_candidates_say_to_the_human_they_are_about(shop, tmp_path: Path) -> None:
    person(shop, "p", ("account_id", "a1", "ada"))
    person(shop, "q", ("account_id", "hub", None))
    shop.execute("insert into eligibility.candidates values ('p', 'o9', 'push'), ('q', 'o9', 'web')")
    judging.whose(shop)
    judging.write_permitted(shop, tmp_path / "permitted.parquet")
    assert pl.read_parquet(tmp_path / "permitted.parquet").rows() == [("ada", "o9", "push")]


def test_the_last_word_of_each_record_counts_and_a_no_without_channel_is_about_all(shop, tmp_path: Path) -> None:
    _truth(tmp_path)
    shop.execute("insert into own values ('account_id', 'a1', 'ada'), ('contact_id', 'c1', 'ada'), ('contact_id', 'c2', 'bo')")
    shop.execute(
        """
        insert into staging.stg_crm__consents values
            (null, 'a1', null, 'email', 'marketing', 'withdrawn', '2026-01-01'), (null, 'a1', null, 'email', 'marketing', 'granted', '2026-02-01'),
            ('c1', null, null, null, 'marketing', 'denied', '2026-01-01'), ('c1', null, null, 'sms', 'profiling', 'denied', '2026-01-01'),
            ('c2', null, null, 'push', 'marketing', 'granted', '2026-01-01'), ('c2', null, null, 'push', 'marketing', 'withdrawn', '2026-01-01')
        """
    )
    for table in ("responses", "test_people", "machines", "testers", "refused"):
        shop.execute(f"drop table {table}")
    judging.facts(shop, tmp_path)
    assert shop.execute("select * from refused order by all").fetchall() == [
        ("ada", "email"), ("ada", "push"), ("ada", "sms"), ("bo", "push"),
    ]  # fmt: skip


def test_rows_beyond_the_first_of_a_key_are_repeated_and_planted_noise_is_counted_once(
    shop, tmp_path: Path, monkeypatch
) -> None:
    shop.execute(
        """
        create schema reduced_staging;
        create or replace table reduced_core.events as select unnest(['good', 'good', 'bot', 'bot', 'dead']) as event_id;
        create table reduced_staging.stg_exchange__accounts as select unnest(['a1', 'a1', 'a2']) as account_id
        """
    )
    planted = pl.DataFrame(
        [("good", "genuine"), ("good", "duplicate"), ("bot", "bot"), ("bot", "duplicate"), ("dead", "dead_session"), ("unseen", "bot")],
        schema=["event_id", "kind"], orient="row",
    )  # fmt: skip
    (tmp_path / "events_rows").mkdir()
    planted.write_parquet(tmp_path / "events_rows" / "part-0.parquet")
    names = ("reduced_core.events", "reduced_staging.stg_exchange__accounts")
    monkeypatch.setattr(judging, "USED", {name: judging.USED[name] for name in names})
    assert judging.used_rows(shop, tmp_path).rows() == [
        ("reduced_core.events", 5, 2, 2),
        ("reduced_staging.stg_exchange__accounts", 3, 1, 0),
    ]


def _truth(folder: Path) -> None:
    """A truth folder that has its tables and says nothing."""
    tables = {
        "responses": {
            "true_person": pl.String,
            "offer_id": pl.String,
            "p_shown": pl.Float32,
            "p_held_out": pl.Float32,
            "harmed": pl.Boolean,
        },
        "people": {"true_person": pl.String, "is_test": pl.Boolean},
        "bots": {"anonymous_id": pl.String},
    }
    for name, schema in tables.items():
        (folder / name).mkdir()
        pl.DataFrame(schema=schema).write_parquet(folder / name / "part-0.parquet")
