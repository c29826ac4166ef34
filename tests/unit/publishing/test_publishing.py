import hashlib
import json
import os
import stat
import subprocess
import sys
import traceback
from datetime import timedelta

import pytest

from benchmarks import fingerprint
from candor import hashing, publishing, warehouse
from candor.errors import AuditFailed, CandorError, GateFailed, UsageError
from candor.ledger.chain import chain_dir
from candor.ledger.files import CHAINED_RESTRICTED
from candor.publishing import publish, store
from tests.unit.publishing.conftest import Shop, make_settings


def files_of(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*.parquet"))
    }


def state_of(shop):
    """All that a publication leaves behind, except wall-clock stamps."""
    tables = ("offers", "person_lookup", "likely_lookup", "known_deliveries", "suppressions")
    content = {name: sorted(shop.read(f"select * from {name}"), key=repr) for name in tables}
    content["runs"] = sorted(
        shop.read("select run_id, as_of, is_current, rows, people, counts, staged_hash, has_offers from runs")
    )
    with warehouse.connect(shop.settings) as connection:
        content["decisions"] = connection.execute("select * from state.decisions order by all").fetchall()
    content["files"] = files_of(shop.settings.published_dir)
    content["restricted_files"] = files_of(shop.settings.restricted_published_dir)
    content["chain"] = {file.name: file.read_text() for file in chain_dir(shop.settings).iterdir()}
    return content


def test_published_rows_are_live_and_held_out_people_get_nothing(shop, monday):
    run_id = shop.stage()
    result = publishing.run(monday, shop.settings)
    assert result["offers"] == 8
    assert result["is_current"] is True
    assert shop.live() == {"ann": 2, "bob": 2, "cem": 2, "dan": 2}
    assert shop.read("select count(*) from offers where arm <> 'treated'") == [(0,)]
    assert shop.read("select run_id, is_current, rows, people, model_version from runs") == [(run_id, 1, 8, 4, "m1")]
    with warehouse.connect(shop.settings) as connection:
        arms = connection.execute("select arm, count(*) from state.decisions group by all order by all").fetchall()
    assert arms == [("held_out", 2), ("treated", 8)]


def test_a_copy_decided_with_less_is_never_published_whatever_audit_and_gate_say(shop, monday):
    shop.stage(extra="create table state.reduced_cleaning as select 'without crm' as told")
    with pytest.raises(UsageError, match="without crm"):
        publishing.run(monday, shop.settings)
    assert store.list_runs(shop.settings) == []
    assert not (shop.settings.state_dir / "serving").exists()
    assert not shop.settings.published_dir.exists()


def refuse_violations(shop, run):
    shop.allow(run, violations=1)


def refuse_gate(shop, run):
    shop.allow(run, passed=False)


def refuse_missing_audit(shop, run):
    (shop.settings.reports_dir / run.run_id / "audit.json").unlink()


def refuse_missing_gate(shop, run):
    (shop.settings.reports_dir / run.run_id / "gates" / "served.json").unlink()


def refuse_changed_text(shop, run):
    with warehouse.connect(shop.settings) as connection:
        connection.execute("update decisions.staged_offers set title = 'Buy!' where person_id = 'ann' and slot = 1")


def refuse_added_row(shop, run):
    with warehouse.connect(shop.settings) as connection:
        connection.execute("insert into decisions.staged_offers select * from decisions.staged_offers limit 1")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(refuse_violations, AuditFailed, id="audit_found_a_violation"),
        pytest.param(refuse_missing_audit, AuditFailed, id="audit_did_not_run"),
        pytest.param(refuse_changed_text, AuditFailed, id="a_staged_text_changed_after_the_audit"),
        pytest.param(refuse_added_row, AuditFailed, id="a_row_came_after_the_audit"),
        pytest.param(refuse_gate, GateFailed, id="gate_failed"),
        pytest.param(refuse_missing_gate, GateFailed, id="gate_did_not_run"),
    ],
)
def test_nothing_is_written_without_audit_and_gate_and_yesterday_stays_live(shop, monday, tuesday, spoil, error):
    shop.stage(monday, title="Monday")
    publishing.run(monday, shop.settings)
    run_id = shop.stage(tuesday, title="Tuesday")
    before = state_of(shop)
    with warehouse.connect(shop.settings) as connection:
        from candor import runs

        run = runs.get(connection, tuesday)
    spoil(shop, run)
    with pytest.raises(error) as raised:
        publishing.run(tuesday, shop.settings)
    assert raised.value.exit_code == 1
    assert run_id in str(raised.value)
    assert state_of(shop) == before
    assert set(shop.read("select title from live_offers")) == {("Monday",)}


def test_staged_hash_sees_every_column_and_no_order(any_shop, monday):
    any_shop.stage()
    with warehouse.connect(any_shop.settings) as connection:
        before = publishing.staged_hash(connection)
        connection.execute("create table shuffled as select * from decisions.staged_offers order by random()")
        connection.execute("drop table decisions.staged_offers")
        connection.execute("create table decisions.staged_offers as select * from shuffled")
        assert publishing.staged_hash(connection) == before
        columns = connection.execute("describe decisions.staged_offers").fetchall()
        for name, kind, *_ in columns:
            other = "'other'" if kind == "VARCHAR" else "timestamp '2001-01-01'" if kind == "TIMESTAMP" else "77"
            connection.execute("begin")
            connection.execute(f"update decisions.staged_offers set {name} = {other} where person_id = 'ann' and slot = 1")
            assert publishing.staged_hash(connection) != before, name
            connection.execute("rollback")


def test_publishing_twice_is_publishing_once_to_the_byte(shop, monday):
    shop.stage()
    publishing.run(monday, shop.settings)
    first = state_of(shop)
    assert (len(first["files"]), len(first["restricted_files"]), len(first["chain"])) == (34, 16, 1)
    publishing.run(monday, shop.settings)
    assert state_of(shop) == first


def test_parquet_bytes_do_not_depend_on_row_order_or_threads(tmp_path, any_shop, monday):
    run_id = any_shop.stage(extra="insert into state.arms select 'p' || range, 'treated', 1 from range(300000)")
    publishing.run(monday, any_shop.settings)
    folder = any_shop.settings.published_dir / run_id
    first = files_of(folder)
    with warehouse.connect(any_shop.settings) as connection:
        for table in ("decisions.staged_offers", "decisions.ledger", "state.arms", "identity.person_identifiers"):
            connection.execute(f"create or replace temp table shuffled as select * from {table} order by hash(rowid * 7)")
            connection.execute(f"delete from {table}")
            connection.execute(f"insert into {table} select * from shuffled")
    import dataclasses

    publishing.run(monday, dataclasses.replace(any_shop.settings, threads=1))
    assert files_of(folder) == first


@pytest.mark.parametrize(
    ("step", "is_done"),
    [
        ("write", False),
        ("replace_files", False),
        ("remember_decisions", False),
        ("_load_offers", False),
        ("_change_lookups", False),
        ("_remember_deliveries", False),
        ("_end_suppressions", False),
        ("_prune", False),
        ("_prune", True),  # all is written, nothing committed
    ],
)
def test_a_kill_at_any_step_shows_yesterday_and_the_rerun_gives_the_undisturbed_state(
    undisturbed, disturbed, tuesday, monkeypatch, step, is_done
):
    module = publish.export if step in ("write", "replace_files") else publish
    real = getattr(module, step)

    def dying(*arguments, **keywords):
        if is_done:
            real(*arguments, **keywords)
        raise KeyboardInterrupt(step)

    monkeypatch.setattr(module, step, dying)
    with pytest.raises(KeyboardInterrupt):
        publishing.run(tuesday, disturbed.settings)
    assert set(disturbed.read("select title from live_offers")) == {("Monday",)}
    monkeypatch.setattr(module, step, real)
    publishing.run(tuesday, disturbed.settings)
    assert state_of(disturbed) == state_of(undisturbed)
    assert set(disturbed.read("select title from live_offers")) == {("Tuesday",)}


READER = """
import json, select, sys
from benchmarks import channel
seen, reads = set(), 0
with channel.read(sys.argv[1], timeout=0) as reader:
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        seen.update(reader.rows("select title, count(*), count(distinct run_id) from live_offers group by title"))
        seen.add(("titles at once", *reader.rows("select count(distinct title) from live_offers")[0]))
        reads += 2
print(json.dumps([reads, sorted(seen)]))
"""


def test_a_reader_beside_the_writer_sees_only_whole_runs(shop, monday):
    people = [f"p{number}" for number in range(200)]
    shop.stage(monday, title="day 0", people=people)
    publishing.run(monday, shop.settings)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, shop.settings.serving_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "ready\n"
    for day in (1, 2):
        shop.stage(monday + timedelta(days=day), title=f"day {day}", people=people)
        publishing.run(monday + timedelta(days=day), shop.settings)
    reads, seen = json.loads(reader.communicate("stop\n", timeout=20)[0])
    assert reads > 20, f"only {reads} reads"
    assert {tuple(row) for row in seen} <= {("day 0", 400, 1), ("day 1", 400, 1), ("day 2", 400, 1), ("titles at once", 1)}
    assert ["day 0", 400, 1] in seen


def test_other_offers_for_a_run_that_was_published_are_refused_and_readers_keep_what_they_had(shop, monday):
    """The ledger holds what was published; another decision of the day wants a later instant."""
    people = [f"p{number}" for number in range(200)]
    shop.stage(monday, title="before", people=people)
    publishing.run(monday, shop.settings)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, shop.settings.serving_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "ready\n"
    shop.stage(monday, title="after", people=people[:150])
    with pytest.raises(CandorError, match="was published with another"):
        publishing.run(monday, shop.settings)
    _, seen = json.loads(reader.communicate("stop\n", timeout=20)[0])
    assert {tuple(row) for row in seen} <= {("before", 400, 1), ("titles at once", 1)}
    assert shop.read("select title, count(*) from offers group by title") == [("before", 400)]


def test_an_older_run_does_not_take_over_unless_asked(shop, monday, tuesday):
    old = shop.stage(monday, title="Monday")
    publishing.run(monday, shop.settings)
    new = shop.stage(tuesday, title="Tuesday")
    publishing.run(tuesday, shop.settings)
    shop.stage(monday, title="Monday")
    assert publishing.run(monday, shop.settings)["is_current"] is False
    assert shop.read("select run_id from runs where is_current = 1") == [(new,)]
    assert publishing.run(monday, shop.settings, make_current=True)["is_current"] is True
    assert shop.read("select run_id from runs where is_current = 1") == [(old,)]


def test_a_run_with_nothing_staged_publishes_honest_emptiness(shop, monday, tuesday):
    shop.stage(monday)
    publishing.run(monday, shop.settings)
    shop.stage(tuesday, people=())
    assert publishing.run(tuesday, shop.settings)["offers"] == 0
    assert shop.live() == {}
    assert shop.read("select rows from runs where is_current = 1") == [(0,)]


def test_only_the_latest_runs_keep_their_offers(shop, monday, monkeypatch):
    monkeypatch.setattr(publish, "KEPT_RUNS", 2)
    for day in range(4):
        shop.stage(monday + timedelta(days=day), people=("ann",))
        publishing.run(monday + timedelta(days=day), shop.settings)
    assert shop.read("select has_offers, count(*) from runs group by 1 order by 1") == [(0, 2), (1, 2)]
    assert shop.read("select count(distinct run_id), count(*) from offers") == [(2, 4)]


def test_lookups_hold_emails_and_phones_only_as_keyed_hashes(shop, monday):
    run_id = shop.stage()
    publishing.run(monday, shop.settings)
    found = shop.read(
        "select identifier_kind, identifier, person_id from person_lookup where valid_to_run is null order by 1, 2"
    )
    hashes = {hashing.keyed_hash(shop.settings, text) for text in ("ann@gmail.com", "a.nn@gmail.com")}
    assert {row[1] for row in found if row[0] == "email_hash"} == hashes
    assert {row[1] for row in found if row[0] == "phone_hash"} == {hashing.keyed_hash(shop.settings, "+15550001")}
    assert ("account_id", "acc_ann", "ann") in found
    everything = b"".join(file.read_bytes() for file in (shop.settings.published_dir / run_id).iterdir())
    if shop.on_sqlite:
        everything += (shop.settings.state_dir / "serving" / "offers.sqlite").read_bytes()
    everything += repr(
        [shop.read(f"select * from {table}") for table in ("offers", "runs", "person_lookup", "likely_lookup")]
    ).encode()
    for secret in (b"@gmail.com", b"@x.org", b"+15550001", shop.settings.hash_key.encode()):
        assert secret not in everything


def test_a_long_key_hashes_as_the_standard_says(tmp_path, any_shop):
    import dataclasses

    settings = dataclasses.replace(any_shop.settings, hash_key="long" * 40)
    with warehouse.scratch(settings) as connection:
        hashing.install(connection, settings)
        assert connection.execute("select keyed_hash('añb@x.org')").fetchone()[0] == hashing.keyed_hash(settings, "añb@x.org")


def test_no_channel_finds_a_person_by_what_hangs_on_a_weak_link(shop, monday, tuesday):
    likely = "insert into identity.person_identifiers values ('contact_id', 'co_ann', 'ann', 1, 10, null)"
    first = shop.stage(monday, extra=likely)
    publishing.run(monday, shop.settings)
    columns = "identifier_kind, identifier, person_id, valid_from_run, valid_to_run"
    by_likeness = f"select {columns} from likely_lookup"
    assert shop.read("select count(*) from person_lookup where identifier = 'co_ann'") == [(0,)]
    assert shop.read(by_likeness) == [("contact_id", "co_ann", "ann", first, None)]
    second = shop.stage(tuesday, extra=likely.replace("10", "5"))
    publishing.run(tuesday, shop.settings)
    assert shop.read(by_likeness) == [("contact_id", "co_ann", "ann", first, second)]
    assert shop.read("select valid_from_run, valid_to_run from person_lookup where identifier = 'co_ann'") == [(second, None)]


def test_lookups_change_by_difference(shop, monday, tuesday):
    first = shop.stage(monday)
    assert publishing.run(monday, shop.settings)["lookups_added"] == 5
    second = shop.stage(
        tuesday, extra="update identity.person_identifiers set person_id = 'cem' where identifier_kind = 'wallet'"
    )
    result = publishing.run(tuesday, shop.settings)
    assert (result["lookups_added"], result["lookups_ended"]) == (1, 1)
    wallet = "select person_id, valid_from_run, valid_to_run from person_lookup where identifier_kind = 'wallet' order by 1"
    assert shop.read(wallet) == [("bob", first, second), ("cem", second, None)]


LONG_AGO, SOON = "2020-01-01T00:00:00Z", "2098-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("suppression", "live"),
    [
        pytest.param({"person_id": "ann"}, {"bob": 2, "cem": 2, "dan": 2}, id="a_person"),
        pytest.param({"person_id": "ann", "channel": "web"}, {"bob": 2, "cem": 2, "dan": 2}, id="a_person_in_the_channel"),
        pytest.param({"person_id": "ann", "channel": "email"}, {"ann": 2, "bob": 2, "cem": 2, "dan": 2}, id="another_channel"),
        pytest.param(
            {"person_id": "ann", "offer_id": "offer1"}, {"ann": 1, "bob": 2, "cem": 2, "dan": 2}, id="an_offer_of_a_person"
        ),
        pytest.param({"offer_id": "offer1"}, {"ann": 1, "bob": 1, "cem": 1, "dan": 1}, id="an_offer"),
        pytest.param({"market": "GB"}, {}, id="a_market"),
        pytest.param({"segment": "other"}, {"ann": 2, "bob": 2, "cem": 2, "dan": 2}, id="another_segment"),
        pytest.param({"person_id": "ann", "until": LONG_AGO}, {"ann": 2, "bob": 2, "cem": 2, "dan": 2}, id="ended"),
        pytest.param({"person_id": "ann", "until": SOON}, {"bob": 2, "cem": 2, "dan": 2}, id="not_yet_ended"),
        pytest.param({"person_id": "ann", "since": SOON}, {"ann": 2, "bob": 2, "cem": 2, "dan": 2}, id="not_yet_begun"),
        pytest.param({}, {}, id="everything"),
    ],
)
def test_suppressions_win_at_read_time(shop, monday, suppression, live):
    shop.stage()
    publishing.run(monday, shop.settings)
    row = {"suppression_id": "s", "reason_kind": "preference", "since": LONG_AGO} | suppression
    shop.write(f"insert into suppressions ({', '.join(row)}) values ({', '.join('?' * len(row))})", *row.values())
    assert shop.live() == live


@pytest.mark.parametrize(
    ("times", "live"),
    [
        pytest.param({"valid_from": "timestamp '2098-01-01'"}, {}, id="not_yet_valid"),
        pytest.param({"valid_until": "timestamp '2020-01-01'"}, {}, id="no_longer_valid"),
        pytest.param({}, {"ann": 2}, id="valid"),
    ],
)
def test_only_valid_offers_are_live(shop, monday, times, live):
    sets = "; ".join(f"update decisions.staged_offers set {name} = {value}" for name, value in times.items())
    shop.stage(people=("ann",), extra=sets)
    publishing.run(monday, shop.settings)
    assert shop.live() == live


def test_a_run_ends_the_suppressions_whose_cause_it_knows_and_no_other(shop, monday, tuesday):
    shop.stage(monday)
    publishing.run(monday, shop.settings)
    known = hashing.keyed_hash(shop.settings, "crm.consents/2026-11-23T120000Z@aaaaaaaaaaaa")
    unknown = hashing.keyed_hash(shop.settings, "crm.consents/2026-11-24T120000Z@bbbbbbbbbbbb")
    for name, person, cause in (("s1", "ann", known), ("s2", "bob", unknown), ("s3", "cem", None)):
        shop.write(
            "insert into suppressions (suppression_id, person_id, reason_kind, since, cause) values (?, ?, 'preference', ?, ?)",
            *(name, person, "2026-11-23T16:00:00Z", cause),
        )
    run_id = shop.stage(tuesday)
    assert publishing.run(tuesday, shop.settings)["suppressions_ended"] == 1
    ended = shop.read("select suppression_id, until, ended_by_run from suppressions order by 1")
    assert ended == [("s1", "2026-11-24T15:00:00Z", run_id), ("s2", None, None), ("s3", None, None)]


def test_the_restricted_face_is_apart_and_closed(any_shop, monday):
    run_id = any_shop.stage()
    result = publishing.run(monday, any_shop.settings)
    assert result["files"]["restricted/user_hits"] == 1
    folder = any_shop.settings.restricted_published_dir / run_id
    published = {file.name for file in folder.iterdir()}
    assert published == {f"{name}.parquet" for name in CHAINED_RESTRICTED}
    (folder / "audit.parquet").touch()
    publishing.run(monday, any_shop.settings)
    assert {file.name for file in folder.iterdir()} == published | {"audit.parquet"}
    for closed in (any_shop.settings.restricted_dir, any_shop.settings.restricted_published_dir, folder):
        assert stat.S_IMODE(os.stat(closed).st_mode) == 0o700
    open_folder = any_shop.settings.published_dir / run_id
    for secret in (b"FC_HOLD", b"FC_EMBARGO", b"u_embargo"):
        assert not any(secret in file.read_bytes() for file in open_folder.iterdir()), secret


UNREACHABLE = "postgresql://candor:hush@127.0.0.1:1/offers"


@pytest.mark.parametrize(
    ("url", "told", "exit_code"),
    [
        pytest.param("mysql://candor:hush@host/offers", "mysql", 2, id="a_store_of_another_kind"),
        pytest.param(
            UNREACHABLE, r"candor:\*\*\*@127.0.0.1:1/offers cannot be reached: .*refused", 3, id="a_server_nobody_can_reach"
        ),
        pytest.param(f"{UNREACHABLE}?password=hush", "cannot be reached", 3, id="a_password_among_the_parameters"),
        pytest.param(
            "postgresql://candor:hu sh@127.0.0.1:1/offers", "cannot be reached", 3, id="a_password_that_libpq_would_repeat"
        ),
    ],
)
def test_other_stores_are_refused_before_anything_is_written_and_no_password_is_told(tmp_path, monday, url, told, exit_code):
    shop = Shop(make_settings(tmp_path, url))
    shop.stage()
    with pytest.raises(CandorError, match=told) as raised:
        publishing.run(monday, shop.settings)
    assert raised.value.exit_code == exit_code
    assert raised.value.hint
    assert "hush" not in "".join(traceback.format_exception(raised.value))
    assert "hu sh" not in "".join(traceback.format_exception(raised.value))
    assert not shop.settings.published_dir.exists()


def test_a_reader_is_found_by_index_and_not_by_a_scan(shop, monday):
    people = [f"p{number}" for number in range(2000)]
    shop.stage(people=[*people, "ann"])
    publishing.run(monday, shop.settings)
    explain = "explain query plan" if shop.on_sqlite else "explain"
    plan = " ".join(row[-1] for row in shop.read(f"{explain} select * from live_offers where person_id = 'ann'"))
    found, scan = (
        ("SEARCH offers USING INDEX offers_by_person", "SCAN offers")
        if shop.on_sqlite
        else ("using offers_by_person", "Seq Scan on offers")
    )
    assert found in plan.replace("Bitmap Index Scan on", "using")
    assert scan not in plan


def test_both_stores_hold_the_same_to_the_byte_after_the_same_days(tmp_path, postgres, monday, tuesday):
    """Two runs, a lookup that ended, a suppression that ended, texts beyond ASCII."""
    hashes = []
    for name, url in (("one", f"sqlite:///{tmp_path / 'one' / 'serving' / 'offers.sqlite'}"), ("two", postgres.database())):
        shop = Shop(make_settings(tmp_path / name, url))
        shop.stage(monday, title="Größe \U0001f600 'x'")
        publishing.run(monday, shop.settings)
        known = hashing.keyed_hash(shop.settings, "crm.consents/2026-11-23T120000Z@aaaaaaaaaaaa")
        for number, cause in enumerate((known, "other", None)):
            columns = "suppression_id, person_id, reason_kind, since, cause"
            shop.write(
                f"insert into suppressions ({columns}) values (?, 'ann', 'preference', '2026-11-23T16:00:00Z', ?)",
                f"s{number}",
                cause,
            )
        shop.stage(tuesday, extra="update identity.person_identifiers set person_id = 'cem' where identifier_kind = 'wallet'")
        publishing.run(tuesday, shop.settings)
        hashes.append(fingerprint.serving_store(url))
        assert shop.read("select count(*) from suppressions where until is not null") == [(1,)]
    assert len(hashes[0]) == 9
    assert hashes[0] == hashes[1]
