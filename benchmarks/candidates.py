"""Facts, rules, arbitration, ledger and audit over every person x offer x channel: `python -m benchmarks.candidates --people 1000000`.

Makes up a shop, lands copies of its offers under other names until 30 are on offer in six channels, and takes one day through every stage,
each in a process of its own. Counted is where candidates are weighed: eligibility (facts, rules and what remains), of decide what comes before
sentences are looked for (arms, arbitration, the ledger's table), audit, and the ledger's files: of what publishing writes, all that the chain
vouches for, written and hashed by the same queries. The rest of decide (explanations, the rows to publish, the review queue) is added
in a second sum; the gate before publishing and publishing itself, which writes other files too and loads the serving store, are
printed alone. Beside all of it stands the least that anything could cost which looks at
every pair: one bare cross join with one predicate, in the same database. A state that already stands up to `features` is used as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.stages import DAY, StageFailed, measured
from candor import hashing, runs, warehouse
from candor.ledger import chain
from candor.ledger import files as ledger
from candor.pipeline import NAMES
from candor.publishing import export
from candor.settings import Settings, load
from candor.warehouse import sql_timestamp

LEDGER = "ledger_files"
COUNTED = ("eligibility", "decide", "audit", LEDGER)
WEIGHING = "candor.decisions:run"  # of decide
CHANNELS = 6


def land_more_offers(landing: Path, offers: int, day: datetime) -> int:
    """Deliver copies of the offers on offer at `day`, with their creatives and approvals, until `offers` are; gives how many were added.

    A copy differs in its names alone. Raises SystemExit when the shop has more offers than that already.
    """
    now = sql_timestamp(day)
    connection = duckdb.connect()
    tables = {name: f"read_parquet('{landing}/catalogue/{name}/*/*.parquet')" for name in ("offers", "creatives", "approvals")}
    standing = connection.execute(
        f"select offer_id, max(version) from {tables['offers']} where starts_at <= {now} and coalesce(ends_at > {now}, true) "
        "group by offer_id order by offer_id"
    ).fetchall()
    missing = offers - len(standing)
    if missing < 0:
        raise SystemExit(f"the shop has {len(standing)} offers, more than {offers}")
    copies = [
        (f"{standing[n % len(standing)][0]}_{n // len(standing) + 2}", *standing[n % len(standing)]) for n in range(missing)
    ]
    if not copies:
        return 0
    connection.execute("create table copies (name varchar, offer_id varchar, version bigint)")
    connection.executemany("insert into copies values (?, ?, ?)", copies)
    renamed = {
        "offers": "* replace (copies.name as offer_id)",
        "creatives": "* replace (copies.name as offer_id, creative_id || substr(copies.name, length(rows.offer_id) + 1) as creative_id)",
        "approvals": "* replace (copies.name as offer_id, approval_id || substr(copies.name, length(rows.offer_id) + 1) as approval_id, "
        "creative_id || substr(copies.name, length(rows.offer_id) + 1) as creative_id)",
    }
    for name, columns in renamed.items():
        last = max(folder for folder in (landing / "catalogue" / name).iterdir() if folder.name < f"{day:%Y-%m-%dT%H%M%SZ}")
        covered = json.loads((last / "_manifest.json").read_text(encoding="utf-8"))["covers_to"]
        at = day - timedelta(minutes=1)
        folder = landing / "catalogue" / name / f"{at:%Y-%m-%dT%H%M%SZ}"
        folder.mkdir()
        version = "version" if name == "offers" else "offer_version"
        columns = columns.replace("*", "rows.*", 1)
        (rows,) = connection.execute(
            f"copy (select {columns} from {tables[name]} as rows inner join copies on rows.offer_id = copies.offer_id "
            f"and rows.{version} = copies.version) to '{folder / 'part-0.parquet'}' (format parquet)"
        ).fetchone() or (0,)
        told = {"complete": True, "covers_from": covered, "covers_to": f"{at:%Y-%m-%dT%H:%M:%SZ}", "rows": rows}
        (folder / "_manifest.json").write_text(json.dumps(told), encoding="utf-8")
    return missing


def bare_join(settings: Settings) -> tuple[int, int, float]:
    """Pairs, how many of them one predicate lets through, and processor seconds of the cross join that counts them."""
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = '{settings.memory_limit}'; set threads = 2")
    connection.execute(
        f"attach '{settings.warehouse_path}' as candor (read_only); attach '{settings.vault_path}' as vault (read_only)"
    )
    connection.execute(
        "create table people as select person_id, u_kyc_tier from vault.eligibility.person_facts; "
        "create table pairs as select distinct offer_id, channel, m_min_kyc from candor.eligibility.offer_facts "
        f"where o_starts_at <= {sql_timestamp(DAY)} and coalesce(ends_at > {sql_timestamp(DAY)}, true)"
    )
    started = time.process_time()
    ((pairs, passed),) = connection.execute(
        "select count(*), count(*) filter (where u_kyc_tier >= m_min_kyc) from people cross join pairs"
    ).fetchall()
    return int(pairs), int(passed), time.process_time() - started


def write_ledger(settings: Settings, folder: Path) -> int:
    """Bytes of the day's files that the chain vouches for, written to `folder` and hashed as publishing does it."""
    written = 0
    with warehouse.connect(settings, restricted=True) as connection:
        run = runs.current(connection, DAY)
        hashing.install(connection, settings)
        ledger.prepare(connection)
        faces = {"restricted": ledger.restricted_files(connection), "published": export.OPEN_FILES}
        for face, name in chain.chained_names():
            file = folder / face / f"{name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            export.to_parquet(connection, *faces[face][name], file, run)
            chain.file_hash(file)
            written += file.stat().st_size
    return written


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.candidates", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--offers", type=int, default=30)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base", type=Path, default=Path("var/bench-candidates"))
    parser.add_argument("--memory-limit", default="10GB", help="DuckDB's; the processes take more than that")
    parser.add_argument(
        "--champion-of", type=Path, required=True, metavar="STATE", help="a state folder whose registry has a champion"
    )
    parser.add_argument("--from", dest="first", choices=NAMES, default=NAMES[0], help="the state stands up to the stage before")
    parser.add_argument(
        "--ledger-to", type=Path, metavar="FOLDER", help="only write the ledger's files of a state (CANDOR_STATE_DIR) there"
    )
    chosen = parser.parse_args()
    if chosen.ledger_to:
        print(f"{write_ledger(load(), chosen.ledger_to):,} bytes")
        return
    state = chosen.base.resolve() / str(chosen.people)
    env = {
        **os.environ,
        "CANDOR_STATE_DIR": str(state),
        "CANDOR_HASH_KEY": "0" * 64,
        "CANDOR_MEMORY_LIMIT": chosen.memory_limit,
        "CANDOR_MLFLOW_URI": f"sqlite:///{chosen.champion_of.resolve() / 'mlflow' / 'mlflow.db'}",
    }
    candor = [sys.executable, "-c", "from candor.cli import main; main()"]
    found: dict[str, dict[str, float]] = {}

    def step(name: str, *arguments: str, command: list[str] = candor) -> None:
        found[name] = measured([*command, *arguments], env, state / "bench-logs" / f"{name}.log")
        told = found[name]
        print(
            f"  {name:<16}{told['seconds']:>9.1f} s{told['cpu_seconds']:>9.1f} s of processor{told['peak_gib']:>7.2f} GiB",
            flush=True,
        )

    state.mkdir(parents=True, exist_ok=True)
    try:
        if not (state / "landing").is_dir():
            step("simulate", "simulate", "--people", str(chosen.people), "--days", str(chosen.days), "--seed", str(chosen.seed),
                 "--landing", str(state / "landing"), "--truth", str(chosen.base.resolve() / f"{chosen.people}-truth"))  # fmt: skip
        if chosen.first == NAMES[0]:
            print(f"  {land_more_offers(state / 'landing', chosen.offers, DAY)} more offers")
        for name in NAMES[NAMES.index(chosen.first) : NAMES.index("publish") + 1]:
            if name == "publish":
                files = state / LEDGER
                step(
                    LEDGER,
                    "--champion-of",
                    str(chosen.champion_of),
                    "--ledger-to",
                    str(files),
                    command=[sys.executable, "-m", "benchmarks.candidates"],
                )
                shutil.rmtree(files)
            step(name, name.replace("_", "-"), "--as-of", DAY.isoformat())
            if name == "decide":
                parts = _parts(state, name)
                print("".join(f"    {part:<28}{seconds:>7.1f} s\n" for part, seconds in parts.items()), end="", flush=True)
                found[name]["other_seconds"] = sum(seconds for part, seconds in parts.items() if part != WEIGHING)
    except StageFailed as failure:
        raise SystemExit(str(failure)) from failure
    print(report({name: found[name] for name in COUNTED if name in found}, load(env)))


def _parts(state: Path, stage: str) -> dict[str, float]:
    """Seconds of each part of a stage, as its report has them."""
    (told,) = (state / "reports").glob(f"*/stages/{stage}.json")
    return {part["part"]: part["seconds"] for part in json.loads(told.read_text(encoding="utf-8"))["parts"]}


def report(found: dict[str, dict[str, float]], settings: Settings) -> str:
    """What the counted stages took together, candidates a second, the largest peak, and the ratio to the bare join."""
    pairs, passed, bare = bare_join(settings)
    peak = max(each["peak_gib"] for each in found.values())
    seconds, cpu, others = (
        sum(each.get(what, 0.0) for each in found.values()) for what in ("seconds", "cpu_seconds", "other_seconds")
    )
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        ((eligible,),) = connection.execute("select count(*) from eligibility.candidates").fetchall()
        ((staged,),) = connection.execute("select count(*) from decisions.staged_offers").fetchall()
    return "\n".join(
        [
            f"{pairs:,} candidates (person x offer x channel), {eligible:,} eligible, {staged:,} rows to publish",
            f"facts, rules, arbitration, audit and ledger: {seconds - others:.0f} s (aim 600), peak {peak:.1f} GiB (aim 12)",
            f"with sentences, rows to publish and review queue: {seconds:.0f} s, {cpu:.0f} s of processor",
            f"{pairs / (seconds - others):,.0f} candidates a second",
            f"a bare cross join with one predicate ({passed:,} pass): {bare:.1f} s of processor; all of the above is {cpu / bare:,.0f} times that",
        ]
    )


if __name__ == "__main__":
    main()
