"""Landed facts become suppressions in a serving store that was filled by hand; there is no warehouse anywhere near."""

import csv
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from benchmarks import channel
from candor import policy, revocations, warehouse, withholding
from candor.contract import load as load_contract
from candor.publishing import keyed_hash, store
from candor.settings import PROJECT_ROOT, Settings

PUBLISHED = "2025-11-23T15:00:00Z"
AS_OF = datetime(2025, 11, 23, 16, tzinfo=UTC)
LANDED = "2025-11-23T154500Z"
WALLET = "0x" + "ab" * 20

# identifier -> person, as the current run published them.
LOOKUPS = [
    ("account_id", "acc_ann", "ann"),
    ("contact_id", "con_ann", "ann"),
    ("account_id", "acc_bob", "bob"),
    ("wallet", WALLET, "bob"),
]
CHANNELS = ("web", "email", "sms", "push", "chatbot")
ALL = {(person, channel) for person in ("ann", "bob") for channel in CHANNELS}


def of(person, *channels):
    return {(person, channel) for channel in channels or CHANNELS}


@pytest.fixture
def settings(tmp_path, make_store) -> Settings:
    settings = Settings(
        state_dir=tmp_path,
        landing_dir=tmp_path / "landing",
        policy_dir=PROJECT_ROOT / "policy",
        serving_url=make_store(tmp_path),
        mlflow_tracking_uri="",
        hash_key="k" * 64,
        threads=1,
        memory_limit="1GB",
        shop="crypto",
    )
    store.prepare(settings)
    return settings


@pytest.fixture
def live(settings):
    """Publishes run r1 by hand; gives a function that tells what is live."""
    lookups = [*LOOKUPS, ("email_hash", keyed_hash(settings, "ann@x.org"), "ann")]
    with store.transaction(settings) as serving:
        serving.execute(f"insert into runs values ('r1', '{PUBLISHED}', '{PUBLISHED}', 1, 0, 0, '', '', '', 1, '', '', null)")
        for kind, identifier, person in lookups:
            serving.execute("insert into person_lookup values (?, ?, ?, 'r1', null)", (kind, identifier, person))
        for person, channel in sorted(ALL):
            serving.execute(
                "insert into offers values (?, 'r1', ?, ?, 'GB', 's', 1, 1, 'o', 1, 'cr', 'en', 't', 'b', 'r', '[]', 'treated', "
                "'2000-01-01T00:00:00Z', '2099-01-01T00:00:00Z', null, null, 'm', 'p')",
                (f"{person}{channel}", person, channel),
            )
    return lambda: set(ask(settings, "select person_id, channel from live_offers"))


def ask(settings, sql):
    with store.transaction(settings) as serving:
        return serving.rows(sql)


def everything_in(settings) -> bytes:
    """The bytes of SQLite's files, pages once used among them; of PostgreSQL, whose files are its own, all rows of all tables."""
    folder = settings.state_dir / "serving"
    if folder.exists():
        return b"".join(file.read_bytes() for file in folder.iterdir())
    with channel.read(settings.serving_url) as reader:
        return repr([(table, reader.rows(f"select * from {table}")) for table in reader.tables()]).encode()


def land(settings, table, *rows, name=LANDED):
    """One delivery as CSV, with the contract's columns; what a row does not give is empty or a harmless default."""
    defaults = {
        "consents": {"consent_id": "c", "purpose": "marketing", "status": "withdrawn", "recorded_at": "2025-11-23T15:30:00Z"},
        "preferences": {"preference_id": "p", "recorded_at": "2025-11-23T15:30:00Z"},
        "restrictions": {
            "restriction_id": "r",
            "kind": "fincrime_hold",
            "status": "open",
            "starts_at": "2025-11-23T15:30:00Z",
            "source_updated_at": "2025-11-23T15:30:00Z",
        },
        "screening_runs": {"list_version": "v", "list_parse_complete": "true"},
        "screening_hits": {"hit_id": "h", "screening_run_id": "s1"},
        "kyc_records": {"kyc_id": "k", "tier": "1", "status": "verified", "source_updated_at": "2025-11-23T15:30:00Z"},
    }[table.split(".")[1]]
    columns = [column.name for column in load_contract().table(table).columns]
    folder = settings.landing_dir / table.replace(".", "/") / name
    folder.mkdir(parents=True)
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for number, row in enumerate(rows):
            key = columns[0]
            writer.writerow({**defaults, key: f"{defaults.get(key, key)}{number}", **row})


@pytest.mark.parametrize(
    ("table", "rows", "gone"),
    [
        pytest.param(
            "crm.consents", [{"contact_id": "con_ann", "channel": "email"}], of("ann", "email"), id="withdrawn_email_consent"
        ),
        pytest.param("crm.consents", [{"account_id": "acc_ann", "status": "denied"}], of("ann"), id="denied_for_all_channels"),
        pytest.param(
            "crm.consents", [{"email": " Ann@X.org ", "channel": "chat"}], of("ann", "chatbot"), id="by_mail_typed_otherwise"
        ),
        pytest.param("crm.consents", [{"contact_id": "con_ann", "status": "granted"}], set(), id="a_grant_suppresses_nothing"),
        pytest.param(
            "crm.consents",
            [
                {"contact_id": "con_ann", "channel": "sms", "recorded_at": "2025-11-01T00:00:00Z"},
                {"contact_id": "con_ann", "channel": "sms", "status": "granted"},
            ],
            set(),
            id="only_the_latest_row_of_a_subject_counts",
        ),
        pytest.param(
            "crm.consents",
            [{"contact_id": "con_ann", "channel": "sms"}, {"contact_id": "con_ann", "channel": "sms", "status": "granted"}],
            of("ann", "sms"),
            id="of_two_at_once_the_stricter",
        ),
        pytest.param(
            "crm.consents", [{"contact_id": "con_ann", "purpose": "gpc"}], set(), id="sharing_with_others_is_not_seeing"
        ),
        pytest.param(
            "crm.consents", [{"contact_id": "con_ann", "purpose": "profiling", "channel": "sms"}], of("ann"), id="profiling"
        ),
        pytest.param("crm.consents", [{"contact_id": "con_ann", "purpose": "new_one"}], of("ann"), id="unknown_purpose"),
        pytest.param("crm.consents", [{"contact_id": "nobody"}], set(), id="nobody_we_know"),
        pytest.param(
            "crm.preferences", [{"account_id": "acc_bob", "personalisation_off": "true"}], of("bob"), id="personalisation_off"
        ),
        pytest.param(
            "crm.preferences", [{"account_id": "acc_bob", "channel": "push", "max_per_week": "0"}], of("bob", "push"), id="zero"
        ),
        pytest.param(
            "crm.preferences", [{"account_id": "acc_bob", "channel": "push", "max_per_week": "2"}], set(), id="two_a_week"
        ),
        pytest.param("compliance.restrictions", [{"account_id": "acc_bob"}], of("bob"), id="hold"),
        pytest.param(
            "compliance.restrictions", [{"email": "ANN@x.org", "kind": "objection"}], of("ann"), id="objection_by_mail"
        ),
        pytest.param("compliance.restrictions", [{"wallet_address": WALLET.upper().replace("X", "x")}], of("bob"), id="wallet"),
        pytest.param("compliance.restrictions", [{"account_id": "acc_bob", "status": "resolved"}], set(), id="resolved"),
        pytest.param(
            "compliance.restrictions", [{"account_id": "acc_bob", "ends_at": "2025-11-23T16:00:00Z"}], set(), id="ended_now"
        ),
        pytest.param(
            "compliance.restrictions", [{"account_id": "acc_bob", "starts_at": "2025-11-23T16:00:01Z"}], set(), id="not_begun"
        ),
        pytest.param(
            "compliance.screening_hits", [{"account_id": "acc_bob", "outcome": "potential"}], of("bob"), id="potential_hit"
        ),
        pytest.param("compliance.screening_hits", [{"account_id": "acc_bob", "outcome": "cleared"}], set(), id="cleared_hit"),
        pytest.param("compliance.kyc_records", [{"account_id": "acc_bob"}], set(), id="verified"),
        pytest.param("compliance.kyc_records", [{"account_id": "acc_bob", "status": "rejected"}], of("bob"), id="rejected"),
        pytest.param(
            "compliance.kyc_records", [{"account_id": "acc_bob", "expires_at": "2025-11-23T16:00:00Z"}], of("bob"), id="expired"
        ),
        pytest.param("compliance.kyc_records", [{"account_id": "acc_bob", "tier": "0"}], of("bob"), id="tier_0"),
    ],
)
def test_only_adverse_facts_take_offers_away_and_at_once(settings, live, table, rows, gone):
    assert live() == ALL
    land(settings, table, *rows)
    result = revocations.run(AS_OF, settings)
    assert live() == ALL - gone
    assert result["deliveries_read"] == 1
    assert result["rows_read"] == len(rows)
    assert result["rows_quarantined"] == 0


def test_a_withdrawal_reaches_whom_only_likeness_ties_to_it(settings, live):
    with store.transaction(settings) as serving:
        serving.execute("insert into likely_lookup values ('contact_id', 'con_bob', 'bob', 'r1', null)")
        serving.execute("insert into likely_lookup values ('contact_id', 'con_once', 'ann', 'r0', 'r1')")
    land(settings, "crm.consents", {"contact_id": "con_bob", "channel": "email"}, {"contact_id": "con_once"})
    revocations.run(AS_OF, settings)
    assert live() == ALL - of("bob", "email")


def test_hits_of_a_replaced_screening_do_not_count(settings, live):
    runs = [
        {"screening_run_id": name, "scope": "accounts", "screened_at": f"2025-11-23T15:{minute}:00Z"}
        for name, minute in (("s1", 10), ("s2", 20))
    ]
    land(settings, "compliance.screening_runs", *runs)
    hits = [{"account_id": "acc_ann", "screening_run_id": "s1"}, {"account_id": "acc_bob", "screening_run_id": "s2"}]
    land(settings, "compliance.screening_hits", *[hit | {"outcome": "confirmed"} for hit in hits])
    revocations.run(AS_OF, settings)
    assert live() == ALL - of("bob")


def test_a_second_call_adds_nothing_and_later_deliveries_are_found(settings, live):
    land(settings, "crm.consents", {"contact_id": "con_ann", "channel": "email"})
    assert revocations.run(AS_OF, settings)["suppressions_added"] == 1
    first = ask(settings, "select * from suppressions")
    again = revocations.run(AS_OF, settings)
    assert (again["deliveries_read"], again["suppressions_added"]) == (0, 0)
    assert ask(settings, "select * from suppressions") == first
    land(settings, "crm.consents", {"contact_id": "con_ann", "channel": "sms"}, name="2025-11-23T155000Z")
    land(settings, "crm.consents", {"contact_id": "con_ann", "channel": "web"}, name="2025-11-23T160100Z")
    assert revocations.run(AS_OF, settings)["suppressions_added"] == 1
    assert live() == ALL - of("ann", "email", "sms")


def test_what_the_current_run_knew_is_not_read_and_what_landed_late_is(settings, live):
    land(settings, "crm.consents", {"contact_id": "con_ann", "channel": "email"}, name="2025-11-23T140000Z")
    land(settings, "crm.consents", {"contact_id": "con_ann", "channel": "sms"}, name="2025-11-23T143000Z")
    with store.transaction(settings) as serving:
        folder = keyed_hash(settings, "crm.consents/2025-11-23T140000Z")
        serving.execute("insert into known_deliveries values ('r1', ?, 'cause')", (folder,))
    assert revocations.run(AS_OF, settings)["deliveries_read"] == 1
    assert live() == ALL - of("ann", "sms")


def test_after_a_new_run_unknown_deliveries_are_looked_up_again(settings, live):
    land(settings, "crm.consents", {"contact_id": "con_new"})
    assert revocations.run(AS_OF, settings)["subjects_without_person"] == 1
    with store.transaction(settings) as serving:
        serving.execute("update runs set is_current = 0")
        serving.execute("update offers set run_id = 'r2'")
        serving.execute(f"insert into runs values ('r2', '{PUBLISHED}', '{PUBLISHED}', 1, 0, 0, '', '', '', 1, '', '', null)")
        serving.execute("insert into person_lookup values ('contact_id', 'con_new', 'bob', 'r2', null)")
    revocations.run(AS_OF, settings)
    assert live() == ALL - of("bob")


def test_the_store_tells_nobody_why(settings, live):
    land(settings, "compliance.screening_hits", {"account_id": "acc_bob", "outcome": "confirmed"})
    land(settings, "compliance.restrictions", {"account_id": "acc_ann"})
    revocations.run(AS_OF, settings)
    assert set(ask(settings, "select reason_kind from suppressions")) == {("eligibility",)}
    content = everything_in(settings)
    for word in (b"compliance", b"screening", b"fincrime", b"restriction"):
        assert word not in content, word


def test_without_a_published_run_nothing_is_read(settings):
    land(settings, "crm.consents", {"contact_id": "con_ann"})
    assert revocations.run(AS_OF, settings) == {"run_id": None, "deliveries_read": 0, "suppressions_added": 0}


def test_a_kill_before_the_commit_leaves_nothing_and_the_next_call_does_it_all(settings, live, monkeypatch):
    land(settings, "crm.consents", {"contact_id": "con_ann"})
    real = revocations._mark_read

    def dying(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(revocations, "_mark_read", dying)
    with pytest.raises(KeyboardInterrupt):
        revocations.run(AS_OF, settings)
    assert live() == ALL
    monkeypatch.setattr(revocations, "_mark_read", real)
    assert revocations.run(AS_OF, settings)["suppressions_added"] == 1
    assert live() == ALL - of("ann")


def test_a_run_published_meanwhile_is_revoked_from_as_well(settings, live, monkeypatch):
    land(settings, "crm.consents", {"contact_id": "con_moved"})
    real, calls = revocations._read, []

    def publishing_meanwhile(*arguments):
        if not calls:
            with store.transaction(settings) as serving:
                serving.execute("update runs set run_id = 'r2'")
                serving.execute("update offers set run_id = 'r2'")
                serving.execute("insert into person_lookup values ('contact_id', 'con_moved', 'bob', 'r2', null)")
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(revocations, "_read", publishing_meanwhile)
    assert revocations.run(AS_OF, settings)["run_id"] == "r2"
    assert len(calls) == 2
    assert live() == ALL - of("bob")


HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("holding", flush=True)
sys.stdin.read()
"""


def test_it_works_while_another_process_holds_the_warehouse(settings, live):
    settings.warehouse_path.parent.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(settings.warehouse_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "holding\n"
        land(settings, "crm.consents", {"contact_id": "con_ann"})
        revocations.run(AS_OF, settings)
        assert live() == ALL - of("ann")
    finally:
        holder.communicate()
    assert not settings.vault_path.exists()


# What the rules say of each kind of restriction: all rules that read the fact speak against promotions alone, or some do not.
FACTS = {
    "embargo": "u_embargo", "fincrime_hold": "u_fincrime_hold", "adverse_media": "u_adverse_media", "minor_signal": "u_minor_signal",
    "vulnerable": "u_vuln_flag", "harm_signal": "u_harm_signal", "self_exclusion": "u_self_excluded", "erasure": "u_erasure",
    "objection": "u_dm_objection", "do_not_contact": "u_dm_objection", "profiling_objection": "u_profiling_objection",
}  # fmt: skip


def test_a_restriction_hides_lessons_exactly_when_a_rule_holds_it_against_every_message():
    rules = policy.load(PROJECT_ROOT / "policy", "crypto").rules
    hides = {
        kind
        for kind, fact in FACTS.items()
        if any(fact in check.require and not rule.scope.promotion_only for rule in rules for check in rule.checks)
    }
    # An objection to profiling is held against lessons that were chosen by it as well, until the next run chooses without.
    assert set(revocations.ALL_MESSAGES) == hides | {"profiling_objection"}


def draw(monkeypatch, *people):
    """These people are drawn to get no promotions, from 15:30 on."""
    when = "timestamp '2025-11-23 15:30:00'"
    monkeypatch.setattr(
        withholding,
        "DUE",
        withholding.DUE.replace(
            withholding.DRAWN,
            "select person_id, $quarter as quarter, " + when + " as starts_at, timestamp '2026-02-23' as ends_at "
            f"from shown where person_id in {(*people, '')} and $quarter = '2025-Q4' and $salt is not null and $buckets > 0 "
            "and $first < $next and $next < $after",
        ),
    )


def teach(settings):
    """Beside offer `o` everybody has a lesson by web."""
    with store.transaction(settings) as serving:
        serving.execute("insert into lessons values ('lesson')")
        for person in ("ann", "bob"):
            serving.execute(
                "insert into offers values (?, 'r1', ?, 'web', 'GB', 's', 2, 2, 'lesson', 1, 'cl', 'en', 't', 'b', 'r', '[]', 'treated', "
                "'2000-01-01T00:00:00Z', '2099-01-01T00:00:00Z', null, null, 'm', 'p')",
                (f"{person}lesson", person),
            )


def test_whoever_is_held_from_now_on_and_whoever_is_drawn_see_the_same_and_the_store_says_the_same(settings, live, monkeypatch):
    teach(settings)
    draw(monkeypatch, "ann")
    land(settings, "compliance.restrictions", {"account_id": "acc_bob"})
    revocations.run(AS_OF, settings)
    assert live() == {("ann", "web"), ("bob", "web")}  # the lessons
    seen = ask(settings, "select person_id, offer_id, channel, title, body, reason_text from live_offers order by 1")
    assert [row[1:] for row in seen if row[0] == "ann"] == [row[1:] for row in seen if row[0] == "bob"] != []
    columns = "offer_id, channel, market, segment, reason_kind, since, until, cause, ended_by_run, replace(suppression_id, person_id, '')"
    told = {
        person: ask(settings, f"select {columns} from suppressions where person_id = '{person}' order by 1")
        for person in ("ann", "bob")
    }
    assert told["ann"] == told["bob"] != []


@pytest.mark.parametrize("kind", ["adverse_media", "harm_signal", "vulnerable", "a kind that nobody knows"])
def test_whatever_is_held_against_promotions_alone_leaves_lessons(settings, live, kind):
    teach(settings)
    land(settings, "compliance.restrictions", {"account_id": "acc_bob", "kind": kind})
    revocations.run(AS_OF, settings)
    assert live() == of("ann") | {("bob", "web")}


def test_an_embargo_takes_lessons_too(settings, live):
    teach(settings)
    land(settings, "compliance.restrictions", {"account_id": "acc_bob", "kind": "embargo"})
    revocations.run(AS_OF, settings)
    assert live() == of("ann")


def test_a_draw_takes_effect_only_when_something_is_read_that_could_begin_a_hold(settings, live, monkeypatch):
    teach(settings)
    draw(monkeypatch, "ann")
    revocations.run(AS_OF, settings)
    land(settings, "crm.consents", {"contact_id": "con_bob"})
    revocations.run(AS_OF, settings)
    assert live() == ALL, "nobody could have been held at this instant"
    land(settings, "compliance.restrictions", {"account_id": "nobody"}, name="2025-11-23T152500Z")
    revocations.run(AS_OF, settings)
    assert live() == ALL, "the delivery is of before the draw's instant"
    land(settings, "compliance.restrictions", {"account_id": "nobody"}, name="2025-11-23T155500Z")
    revocations.run(AS_OF, settings)
    assert live() == of("bob") | {("ann", "web")}


def test_a_draw_that_the_current_run_knew_is_its_own_business(settings, live, monkeypatch):
    draw(monkeypatch, "ann")
    with store.transaction(settings) as serving:
        serving.execute("update runs set as_of = '2025-11-23T15:30:00Z'")
    land(settings, "compliance.restrictions", {"account_id": "nobody"})
    assert revocations.run(AS_OF, settings)["suppressions_added"] == 0
    assert live() == ALL


@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_quarter_of_days_promotions_of_the_drawn_go_at_the_instants_of_holds_and_as_many_are_without_as_ever(
    settings, seed
):
    """3,000 people, deliveries at random instants of working days: every withheld person's promotions go when a delivery is read."""
    of_seed = random.Random(seed)
    first = datetime(2025, 10, 1, tzinfo=UTC)
    deliveries = sorted(first + timedelta(days=day, hours=of_seed.uniform(8, 18)) for day in range(92) for _ in range(3))
    with warehouse.scratch(settings) as connection:
        connection.execute("create table shown as select 'p' || range as person_id from range(3000)")
        connection.execute("create table restriction_deliveries (extracted_at timestamp, cause varchar)")
        gone: dict[str, datetime] = {}
        since = first
        for at in deliveries:
            connection.execute("delete from restriction_deliveries")
            connection.execute("insert into restriction_deliveries values (?, 'c')", [warehouse.utc(at)])
            for person in withholding.due(connection, since=since, until=at, salt=f"s{seed}", share=0.05)[
                "person_id"
            ].to_pylist():
                assert person not in gone, "nobody begins twice in a quarter"
                gone[person] = at
            since = at
        assert set(gone.values()) <= set(deliveries)
        by_third = [sum(at < first + timedelta(days=92 * (part + 1) / 3) for at in gone.values()) for part in range(3)]
        assert 100 < len(gone) < 200
        assert 0.2 * len(gone) < by_third[0] < 0.5 * len(gone), "they begin all over the quarter, not with it"
        # At any instant the share holds: those whose quarter ends make room for those who begin.
        for day in (0, 30, 60, 91):
            now = first + timedelta(days=day)
            counted = sum(
                connection.execute(
                    f"select count(*) from ({withholding.DRAWN.format(people='shown')}) where starts_at <= $now and $now < ends_at",
                    {**quarter, "now": warehouse.utc(now), "salt": f"s{seed}", "buckets": 500},
                ).fetchone()[0]
                for quarter in withholding.quarters(now)
            )
            assert 100 < counted < 200, day


def reviewed(settings, **changes):
    """A verdict on what ann is shown, of when the run was live already."""
    from candor.review import verdicts

    said = {
        "item_id": "i1", "kind": "random", "verdict": "uphold", "reviewer": "jane", "role": "compliance", "reason": "seen",
        "at": AS_OF - timedelta(minutes=5), "opened_at": None, "saw_score": False, "expires": None, "rule_id": None, "v": None,
        "person_id": "ann", "facts": None, "fact_hash": None, "creatives": (verdicts.Creative("cr", "o", 1, "h", 2),),
    }  # fmt: skip
    verdicts.append(settings, verdicts.Verdict(**{**said, **changes}))


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ({}, of("ann")),
        ({"kind": "near_miss", "person_id": "bob"}, of("bob")),
        ({"kind": "high_risk_segment", "person_id": None, "segment": "s"}, ALL),
        ({"kind": "high_risk_segment", "person_id": None, "segment": "t"}, set()),
        ({"kind": "new_offer", "person_id": None}, ALL),
        ({"verdict": "release"}, set()),
        ({"at": AS_OF + timedelta(seconds=1)}, set()),
    ],
    ids=["random", "near_miss", "segment", "another_segment", "creative", "released", "said_later"],
)
def test_what_a_reviewer_said_must_not_be_shown_is_gone_at_once(settings, live, said, gone):
    reviewed(settings, **said)
    revocations.run(AS_OF, settings)
    assert ALL - live() == gone
    assert revocations.run(AS_OF, settings)["review_suppressions_changed"] == 0


def test_what_was_drawn_before_its_person_was_merged_away_is_gone_from_whoever_they_are_now(settings, live):
    folder = settings.published_dir / "r1"
    folder.mkdir(parents=True)
    duckdb.sql(
        "select * from (values ('anna', 'ann'), ('annie', 'ann'), ('rob', 'bob')) as t (person_id, surviving_person_id)"
    ).write_parquet(str(folder / "aliases.parquet"))
    reviewed(settings, person_id="annie")
    assert revocations.run(AS_OF, settings)["review_suppressions_changed"] == len(of("ann"))
    assert ALL - live() == of("ann")
    assert revocations.run(AS_OF, settings)["review_suppressions_changed"] == 0
    reviewed(settings, person_id="annie", verdict="release", at=AS_OF)
    revocations.run(AS_OF, settings)
    assert live() == ALL


def test_another_version_of_the_offer_is_not_what_was_reviewed(settings, live):
    with store.transaction(settings) as serving:
        serving.execute("update offers set offer_version = 2 where channel = 'web'")
    reviewed(settings)
    revocations.run(AS_OF, settings)
    assert ALL - live() == of("ann", "email", "sms", "push", "chatbot")


def test_who_changes_their_mind_lets_it_be_shown_again(settings, live):
    reviewed(settings)
    revocations.run(AS_OF, settings)
    reviewed(settings, verdict="release", at=AS_OF)
    assert revocations.run(AS_OF, settings)["review_suppressions_changed"] == 5
    assert live() == ALL
    reviewed(settings, at=AS_OF + timedelta(minutes=1))
    revocations.run(AS_OF + timedelta(minutes=1), settings)
    assert ALL - live() == of("ann")


def test_a_run_that_was_told_leaves_it_out_itself_and_an_older_one_that_comes_back_is_suppressed_again(settings, live):
    reviewed(settings)
    revocations.run(AS_OF, settings)
    for as_of, gone in ((f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}", set()), (PUBLISHED, of("ann"))):
        with store.transaction(settings) as serving:
            serving.execute("update runs set as_of = ? where run_id = 'r1'", (as_of,))
        revocations.run(AS_OF, settings)
        assert ALL - live() == gone


def test_the_store_does_not_tell_that_somebody_was_reviewed(settings, live):
    reviewed(settings)
    revocations.run(AS_OF, settings)
    assert b"review" not in everything_in(settings).lower()
