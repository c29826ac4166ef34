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

def rows_then_stand(self, table, data):
    table_of = data.read_all() if isinstance(data, pa.RecordBatchReader) else data
    def batches():
        yield from table_of.slice(0, table_of.num_rows // 2).to_batches()
        stand()
    real_load(self, table, pa.RecordBatchReader.from_batches(table_of.schema, batches()))

def long_statement(serving):
    print("standing", flush=True)
    serving.rows(sys.argv[3])

point = sys.argv[1]
if point == "half_of_the_rows_sent":
    real_load, store.Store.load = store.Store.load, rows_then_stand
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


@pytest.mark.parametrize("point", ["half_of_the_rows_sent", "_load_offers", "_prune", "in_a_long_statement"])
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
    assert set(disturbed.read("select title from live_offers")) == {("Monday",)}
    # A server of PostgreSQL that went on working for the dead would hold the lock for ten minutes.
    monkeypatch.setattr(dialects, "LOCK_TIMEOUT_MS", 20_000)
    publishing.run(tuesday, disturbed.settings)
    assert fingerprint.serving_store(url) == fingerprint.serving_store(undisturbed.settings.serving_url)
    assert set(disturbed.read("select title from live_offers")) == {("Tuesday",)}


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
