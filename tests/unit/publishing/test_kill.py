"""`kill -9` of a publisher's process, at points where all but the commit may have been done; yesterday stays live, whole, and the rerun succeeds."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from benchmarks import channel, faults, fingerprint
from candor import publishing, settings
from candor.errors import CandorError
from candor.publishing import dialects, publish, store

# The process says where it stands, and stays there until it is killed.
PUBLISHER = """
import sys, time
from datetime import datetime
import pyarrow as pa
from candor import publishing
from candor.publishing import publish, store

def stand(*_):
    print("standing", flush=True)
    time.sleep(600)

def then_stand(module, name):
    real = getattr(module, name)
    setattr(module, name, lambda *arguments: (real(*arguments), stand()))

def rows_then_stand(self, table, data, **keywords):
    def batches():
        yield from data.slice(0, data.num_rows // 2).to_batches()
        stand()
    real_load(self, table, pa.RecordBatchReader.from_batches(data.schema, batches()))

def second_chunk_then_stand(self, table, data, **keywords):
    real_load(self, table, data, **keywords)
    chunks.append(data.num_rows)
    if len(chunks) == 2:
        stand()

def long_statement(serving):
    print("standing", flush=True)
    serving.rows(sys.argv[3])

point, real_rows = sys.argv[1], publish._staged_rows
chunks = []
real_load = store.Store.load
if point == "half_of_the_rows_sent":
    store.Store.load = rows_then_stand
elif point == "in_the_second_of_many_chunks":
    publish._staged_rows = lambda connection: real_rows(connection).read_all().to_batches(max_chunksize=2)
    store.Store.load = second_chunk_then_stand
elif point == "in_a_long_statement":
    publish._prune = long_statement
else:
    then_stand(publish, point)
publishing.run(datetime.fromisoformat(sys.argv[2]))
"""


FOREVER = {
    True: "with recursive numbers(n) as (select 1 union all select n + 1 from numbers) select count(*) from numbers",
    False: "select pg_sleep(600)::text",
}


def kill_while_publishing(shop, as_of, point) -> None:
    variables = {**os.environ, **settings.as_variables(shop.settings)}
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, point, as_of.isoformat(), FOREVER[shop.on_sqlite]],
        stdout=subprocess.PIPE,
        text=True,
        env=variables,
    )
    try:
        assert process.stdout.readline() == "standing\n"
        if point == "in_a_long_statement" and not shop.on_sqlite:
            at_work = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()"
            while shop.read(at_work) == [(0,)]:  # until the server has the statement
                assert process.poll() is None
                time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    "point",
    [
        "half_of_the_rows_sent",
        "in_the_second_of_many_chunks",
        "_load_offers",
        "_lookup_changes",
        "_prune",
        "in_a_long_statement",
    ],
)
def test_a_publisher_killed_leaves_yesterday_live_and_whole_and_lets_the_next_one_in(
    disturbed, undisturbed, tuesday, monkeypatch, point
):
    url = disturbed.settings.serving_url
    before = fingerprint.serving_store(url)
    kill_while_publishing(disturbed, tuesday, point)
    seen = faults.Seen()
    with channel.read(url) as reader:
        faults.read_once(reader, seen)
    assert (seen.reads, seen.torn) == (1, [])
    assert fingerprint.serving_store(url) == before
    left = disturbed.read("select count(*) from offers where run_id not in (select run_id from runs)")[0][0]
    assert left == {"in_the_second_of_many_chunks": 2, "half_of_the_rows_sent": 0}.get(point, 6)
    assert set(disturbed.read("select title from live_offers")) == {("Monday",)}
    # A server of PostgreSQL that went on working for the dead would hold the lock for ten minutes.
    monkeypatch.setattr(dialects, "LOCK_TIMEOUT_MS", 20_000)
    publishing.run(tuesday, disturbed.settings)
    assert fingerprint.serving_store(url) == fingerprint.serving_store(undisturbed.settings.serving_url)
    assert set(disturbed.read("select title from live_offers")) == {("Tuesday",)}
    assert disturbed.read("select count(*) from offers where run_id not in (select run_id from runs)") == [(0,)]


def test_rows_are_dropped_some_at_a_time_and_what_a_kill_left_is_dropped_by_the_next(
    disturbed, undisturbed, tuesday, monkeypatch
):
    """Killed while it drops what an earlier kill left; the run that is live is not touched."""
    kill_while_publishing(disturbed, tuesday, "_load_offers")
    monkeypatch.setattr(publish, "CHUNK_ROWS", 2)
    orphans = "select count(*) from offers where run_id not in (select run_id from runs)"
    steps = []

    def dying():
        steps.append(ask(disturbed, orphans))
        if len(steps) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "let_others_in", dying)
    with pytest.raises(KeyboardInterrupt):
        publishing.run(tuesday, disturbed.settings)
    assert steps == [[(4,)], [(2,)]]
    assert ask(disturbed, "select title, count(*) from live_offers group by title") == [("Monday", 8)]
    monkeypatch.undo()
    publishing.run(tuesday, disturbed.settings)
    assert state_of_store(disturbed) == state_of_store(undisturbed)


def ask(shop, sql):
    """By ADBC, as this process holds the file by ADBC."""
    with store.reading(shop.settings) as reader:
        return reader.rows(sql)


def state_of_store(shop):
    return sorted(ask(shop, "select * from offers")), ask(shop, "select run_id, is_current, has_offers from runs order by 1")


def test_a_writer_gets_in_between_two_chunks_and_while_rows_are_dropped(disturbed, tuesday, monkeypatch):
    """What a withdrawal does meanwhile is effective at once, and holds for the run that goes live after it."""
    monkeypatch.setattr(publish, "CHUNK_ROWS", 2)
    monkeypatch.setattr(publish, "KEPT_RUNS", 1)
    monkeypatch.setattr(dialects, "LOCK_TIMEOUT_MS", 2_000)
    real, people = publish._staged_rows, iter(["ann", "bob", "cem", "dan", "new", "eve"])
    monkeypatch.setattr(publish, "_staged_rows", lambda connection: real(connection).read_all().to_batches(max_chunksize=2))
    seen = []

    def withdrawing():
        person = next(people)
        with store.transaction(disturbed.settings) as serving:
            serving.execute(
                "insert into suppressions (suppression_id, person_id, reason_kind, since) values (?, ?, 'preference', '2020')",
                (person, person),
            )
        seen.append(ask(disturbed, "select title, count(*) from live_offers group by title"))

    monkeypatch.setattr(store, "let_others_in", withdrawing)
    with pytest.raises(StopIteration):  # three chunks of Tuesday's, then three of Monday's four
        publishing.run(tuesday, disturbed.settings)
    assert seen == [[("Monday", 6)], [("Monday", 4)], [("Monday", 2)], [("Tuesday", 2)], [], []]


def test_a_second_publisher_waits_for_the_first_and_readers_for_neither(disturbed, tuesday, monkeypatch):
    """The second writer finds what the first committed, although it began before."""
    order, inside, waiting = [], threading.Event(), threading.Event()

    def second():
        inside.wait(30)
        waiting.set()
        with store.transaction(disturbed.settings) as serving:
            order.append(("second", serving.rows("select count(*) from runs")[0][0]))

    thread = threading.Thread(target=second)
    thread.start()
    real = publish._prune

    def slow(serving):
        inside.set()
        assert waiting.wait(30)
        thread.join(0.5)  # long enough to overtake, if nothing held it
        # this process has ADBC's SQLite open on the file: the reader is ADBC's as well
        with store.reading(disturbed.settings) as reader:
            assert reader.rows("select distinct title from live_offers") == [("Monday",)]
        assert [run["is_current"] for run in store.list_runs(disturbed.settings)] == [1]
        order.append(("first", serving.rows("select count(*) from runs")[0][0]))
        real(serving)

    monkeypatch.setattr(publish, "_prune", slow)
    publishing.run(tuesday, disturbed.settings)
    thread.join(30)
    assert order == [("first", 2), ("second", 2)]


def test_a_writer_that_waited_too_long_is_told_so_and_writes_nothing(disturbed, monkeypatch):
    monkeypatch.setattr(dialects, "LOCK_TIMEOUT_MS", 200)
    with store.transaction(disturbed.settings) as first:
        first.execute("update runs set rows = 0")
        with contextlib.ExitStack() as stack, pytest.raises(CandorError, match=r"held the lock .* 0\.2 seconds"):
            stack.enter_context(store.transaction(disturbed.settings))
    assert disturbed.read("select distinct rows from runs") == [(0,)]
