"""Runs of millions of offers published over one another while a channel polls, on SQLite and on PostgreSQL.

    python -m benchmarks.publishing --rows 3000000 --folder FOLDER

Per store: seconds of a bare ADBC load of the same rows into a table without key or index; of every publication, and its ratio to that; the
reads of one channel (200 a second, each all live offers of one person) beside them and in quiet: counted, torn, p50, p99 and the longest;
counts of the whole store beside them; and from a withdrawal landing to its person without offers, in quiet and beside a publication.
The rows are made up, as wide as real ones. Exit code 1 when a read was torn or failed.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks import channel, faults, postgres
from candor import revocations, warehouse
from candor.contract import load as load_contract
from candor.hashing import install
from candor.publishing import publish, store
from candor.runs import Run
from candor.settings import Settings, load

FIRST_DAY = datetime(2025, 11, 20, 15, tzinfo=UTC)
READS_PER_SECOND = 200
QUIET_SECONDS = 5.0
COUNT_EVERY_S = 10.0  # it reads everything
SLOTS = 3
WITHDRAWALS = 9  # one after the other beside a publication
KEPT = 2  # so that the third run prunes the first

WAREHOUSE = """
create schema staging; create schema identity; create schema decisions; create schema state;
create table staging.stg_exchange__accounts (account_id varchar, email varchar, email_std varchar);
create table staging.stg_crm__contacts (contact_id varchar, email varchar, email_std varchar);
create table identity.evidence_classes as select 10 as evidence_rank, true as is_weak;
create table decisions.ledger as select 'offer_' || range as offer_id, 'spot' as product_line, true as is_promotion from range(24);
create table state.pins (as_of timestamp, delivery_id varchar);
create table state.deliveries (delivery_id varchar, source varchar, table_name varchar, delivery varchar, landed_seq bigint);
create table identity.person_identifiers as
    select 'account_id' as identifier_kind, 'acc_' || range as identifier, 'person_' || range as person_id, 0 as evidence_rank
    from range($people)
    union all select 'email', 'person_' || range || '@example.org', 'person_' || range, 0 from range($people);
"""

# One in a hundred people has another e-mail address every day; the offers' texts are the day's.
A_DAY = """
update identity.person_identifiers set identifier = person_id || '@day' || $day || '.example.org'
where identifier_kind = 'email' and replace(person_id, 'person_', '')::bigint % 100 = $day;
create or replace table decisions.staged_offers as
select
    md5($run_id || people.range || '-' || slots.range) as decision_id, $run_id as run_id, 'person_' || people.range as person_id,
    'web' as channel, 'GB' as market, 'active' as segment, slots.range + 1 as slot, slots.range + 1 as rank,
    'offer_' || (people.range % 24) as offer_id, 1 as offer_version, 'creative_1' as creative_id, 'en-GB' as locale,
    'Day ' || $day as title, 'Buy ether in the amount you choose, whenever you like' as body, 'You looked at this last week' as reason_text,
    '["risk_warning_gb", "risk_summary_gb"]' as disclosures, 'treated' as arm, timestamp '2000-01-01' as valid_from,
    timestamp '2099-01-01' as valid_until, null::timestamp as send_after, null::timestamp as send_before, 'm1' as model_version,
    'p1' as policy_version
from range($people) as people cross join range($slots) as slots
"""


@dataclass
class Reads:
    """What one channel saw: when each read began, how long it took, and what was wrong."""

    began: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def between(self, start: float, end: float) -> np.ndarray:
        """Milliseconds of the reads that began in the span."""
        began = np.array(self.began)
        return np.array(self.seconds)[(began >= start) & (began < end)] * 1000


def _poll(url: str, people: int, stop: Event, ready: Event, results: Any) -> None:
    """A channel: all live offers of one person after the other, at READS_PER_SECOND; late reads are not skipped but follow at once."""
    reads, chance = Reads(), np.random.default_rng(7)
    with channel.read(url) as reader:
        next_read = time.time()
        ready.set()
        while not stop.is_set():
            person = f"person_{chance.integers(WITHDRAWALS + 1, people)}"  # the first will withdraw
            begin = time.time()
            try:
                found = reader.rows("select run_id, title, slot from live_offers where person_id = ? order by slot", person)
            except channel.Errors as error:
                reads.wrong.append(f"{person}: {error}")
            else:
                reads.began.append(begin)
                reads.seconds.append(time.time() - begin)
                if len({row[:2] for row in found}) != 1 or [row[2] for row in found] != list(range(1, SLOTS + 1)):
                    reads.wrong.append(f"{person}: {found}")
            next_read += 1 / READS_PER_SECOND
            time.sleep(max(0.0, next_read - time.time()))
    results.put(reads)


def _count(url: str, stop: Event, ready: Event, results: Any) -> None:
    """Somebody who counts the whole current run again and again, each time in one transaction."""
    seen = faults.Seen()
    with channel.read(url) as reader:
        ready.set()
        while not stop.is_set():
            try:
                faults.read_once(reader, seen)
            except channel.Errors as error:
                seen.errors[str(error)] += 1
            stop.wait(COUNT_EVERY_S)
    results.put(seen)


@contextmanager
def _beside(target: Callable[..., None], *arguments: Any) -> Iterator[list[Any]]:
    """A process of `target` until the block ends; then the list has what it saw."""
    context = multiprocessing.get_context("spawn")
    stop, ready, results = context.Event(), context.Event(), context.Queue()
    process = context.Process(target=target, args=(*arguments, stop, ready, results), daemon=True)
    process.start()
    seen: list[Any] = []
    try:
        if not ready.wait(60):
            raise RuntimeError(f"{target.__name__} did not start")
        yield seen
    finally:
        stop.set()
        seen.append(results.get(timeout=120))
        process.join()


def _stage(connection: duckdb.DuckDBPyConnection, people: int, day: int) -> Run:
    run = Run(FIRST_DAY + timedelta(days=day), f"r{day:016d}", day, "p1", "m1")
    values = {"day": day, "people": people, "slots": SLOTS, "run_id": run.run_id}
    for statement in A_DAY.split(";"):
        connection.execute(statement, {name: value for name, value in values.items() if f"${name}" in statement})
    return run


def _publish(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> tuple[float, float]:
    """When it began and ended."""
    began = time.time()
    publish.publish_to_store(connection, settings, run, {"staged_hash": run.run_id}, {})
    ended = time.time()
    print(f"  run {run.batch_seq} published in {ended - began:.1f} s", flush=True)
    return began, ended


def _bare(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> float:
    """Seconds to load the same rows, by the same calls, into a table without key, index or anything else."""
    store.prepare(settings)
    with store.transaction(settings) as serving:
        serving.execute("drop index offers_by_person")
        serving.execute("drop index offers_by_run")
    began = time.time()
    with store.transaction(settings) as serving:
        serving.load("offers", publish._staged_rows(connection))
    return time.time() - began


def _land_withdrawal(settings: Settings, as_of: datetime, account: str) -> None:
    """A consent of the account withdrawn, as the CRM delivers it: whole at once."""
    table = load_contract().table("crm.consents")
    row = {
        "consent_id": f"c_{account}", "account_id": account, "purpose": "marketing", "status": "withdrawn",
        "recorded_at": f"{as_of - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
    beside = settings.landing_dir / f".{account}"
    beside.mkdir(parents=True)
    with open(beside / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [column.name for column in table.columns])
        writer.writeheader()
        writer.writerow(row)
    target = settings.landing_dir / "crm" / "consents" / f"{as_of:%Y-%m-%dT%H%M%SZ}"
    target.parent.mkdir(parents=True, exist_ok=True)
    beside.rename(target)


def _revoke(settings: Settings, as_of: datetime, person: int) -> tuple[float, float, int]:
    """When a withdrawal landed, seconds from then to the end of `revocations.run`, and the offers its person still has; in a process of its own."""
    _land_withdrawal(settings, as_of, f"acc_{person}")
    began = time.time()
    revocations.run(as_of, settings)
    seconds = time.time() - began
    with store.reading(settings) as reader:
        return began, seconds, reader.rows("select count(*) from live_offers where person_id = ?", (f"person_{person}",))[0][0]


def _told(milliseconds: np.ndarray) -> str:
    if not len(milliseconds):
        return ""
    p50, p99, longest = np.percentile(milliseconds, [50, 99, 100])
    return f"{len(milliseconds):6,} reads  p50 {p50:.2f}  p99 {p99:.2f}  longest {longest:.1f} ms"


def measure(
    name: str, settings: Settings, bare: Settings, connection: duckdb.DuckDBPyConnection, people: int, days: int
) -> bool:
    """Print one store's lines; whether nothing was torn and nobody failed."""
    run = _stage(connection, people, 1)
    bare_seconds = _bare(connection, bare, run)
    print(f"{name}: bare load of {people * SLOTS:,} rows {bare_seconds:.1f} s", flush=True)
    spans = [("first run, nobody reads", *_publish(connection, settings, run))]
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        _beside(_count, settings.serving_url) as counts,
        _beside(_poll, settings.serving_url, people) as polls,
    ):
        began = time.time()
        time.sleep(QUIET_SECONDS)
        spans.append(("quiet", began, time.time()))
        quiet = pool.submit(_revoke, settings, run.as_of + timedelta(hours=1), 0).result()
        for day in range(2, days + 1):
            run = _stage(connection, people, day)
            spans.append((f"run {day} in place of run {day - 1}", *_publish(connection, settings, run)))
        run = _stage(connection, people, days + 1)
        waiting = pool.submit(_land_while_publishing, settings, run.as_of + timedelta(hours=1))
        spans.append((f"run {days + 1}, a withdrawal lands beside it", *_publish(connection, settings, run)))
        beside = waiting.result()
    reads, seen = polls[0], counts[0]
    for what, began, ended in spans:
        times = reads.between(began, ended)
        seconds = "" if what == "quiet" else f"{ended - began:7.1f} s  {(ended - began) / bare_seconds:4.1f} x bare"
        print(f"  {what:<42} {seconds:<24} {_told(times)}")
    print(f"  all reads {len(reads.began):,}, torn or failed {len(reads.wrong)}")
    runs = ", ".join(f"{count} of run {int(run_id[1:])}" for run_id, count in sorted(seen.whole.items()))
    print(f"  counts of the whole store {seen.reads} ({runs}), torn {len(seen.torn)}, errors {seen.errors.total()}")
    times = np.array([seconds for began, seconds, _ in beside if began < spans[-1][2]])
    told = f"{np.median(times):.2f} s, longest {times.max():.2f} s, of {len(times)} that landed beside a publication"
    print(f"  withdrawal landed to suppressed {quiet[1]:.2f} s in quiet; {told}", flush=True)
    for wrong in [*reads.wrong[:5], *seen.torn[:5]]:
        print(f"  WRONG {wrong}")
    return not (reads.wrong or seen.torn or seen.errors or quiet[2] or any(still for _, _, still in beside))


def _land_while_publishing(settings: Settings, as_of: datetime) -> list[tuple[float, float, int]]:
    """One person after the other withdraws, each as soon as the one before is suppressed."""
    time.sleep(0.5)
    return [_revoke(settings, as_of + timedelta(minutes=number), number) for number in range(1, WITHDRAWALS + 1)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--days", type=int, default=2, help="runs before the last one")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where everything is made; must not exist, is removed in the end"
    )
    arguments = parser.parse_args()
    people = arguments.rows // SLOTS
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True)
    publish.KEPT_RUNS = KEPT
    sound = True
    try:
        with postgres.server(durable=True) as server:
            for name in ("SQLite", "PostgreSQL"):
                settings, bare = (
                    load(
                        {
                            "CANDOR_STATE_DIR": str(folder / name / part),
                            "CANDOR_SERVING_URL": server.database() if name == "PostgreSQL" else "",
                            "CANDOR_MEMORY_LIMIT": "4GB",
                        }
                    )
                    for part in ("store", "bare")
                )
                with warehouse.scratch(settings) as connection:
                    install(connection, settings)
                    for statement in WAREHOUSE.strip().rstrip(";").split(";"):
                        connection.execute(statement, {"people": people} if "$people" in statement else {})
                    sound &= measure(name, settings, bare, connection, people, arguments.days)
    finally:
        shutil.rmtree(folder)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
