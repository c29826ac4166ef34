"""Weeks of a living shop, every day run, answered and judged: `python -m benchmarks.replay --people 5000 --days 60 --folder var/replay`.

Each day: `candor run`; what the store shows is judged row by row by somebody who knows the truth (`benchmarks.replay_judge`); people take words
back, move, are found to be one person or two, and `candor revoke` reads it while offers are live, judged again after each; a channel reads the
store and shows what it finds; people answer by the planted probabilities, and their answers land as the next day's deliveries. Markets crash
and recover on the way. Some runs are killed and begun again. Every week a candidate is trained and promoted if it is better.

`--resume` goes on where a killed replay stopped. `--leak all` plants leaks in a copy of the last day and says who caught each.
Exits with 1 when a row was live that the truth forbids, the audit found a violation, or a planted leak went unseen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import fingerprint
from benchmarks.replay_judge import SHOWN as JUDGED
from benchmarks.replay_judge import Judge, read_store
from benchmarks.replay_shop import VISITS, Shop, is_crash_known, market_after
from candor import pipeline, revocations, runs
from candor.errors import CandorError
from candor.settings import PROJECT_ROOT, Settings, load
from simulation import generate, respond
from simulation.shop import ENDS_AT

HISTORY_DAYS = 60
KILLED_EVERY_DAYS = 5
TRAINED_EVERY_DAYS = 7
PUSHED = ("email", "sms", "push")
SHOWN = ("decision_id", "person_id", "channel", "offer_id", "arm", "valid_from", "valid_until", "send_after")
CANDOR = "from candor.cli import main; main()"
COLUMNS = (
    ("day", 4), ("date", 11), ("markets", 10), ("people", 7), ("live", 7), ("served", 7), ("promoted", 9), ("taught", 7), ("revoked", 8),
    ("hidden in", 10), ("moves", 6), ("merged", 7), ("parted", 7), ("kills", 6), ("audit", 6), ("judged", 8), ("judge", 6), ("passed over", 12),
    ("seconds", 8),
)  # fmt: skip


class Replay:
    """A replay in a folder of its own; what is done stands in `replay.json`, and is never done again."""

    def __init__(
        self,
        folder: Path,
        *,
        people: int,
        days: int,
        seed: int,
        comes_by: float = 1.0,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.comes_by = comes_by
        self.folder, self.people, self.days, self.seed, self.told = folder.resolve(), people, days, seed, told
        self._journal_path = self.folder / "replay.json"
        self._done: dict[str, Any] = {}
        asked: dict[str, float] = {"people": people, "days": days, "seed": seed}
        if comes_by != 1:
            asked["comes_by"] = comes_by
        if self._journal_path.exists():
            self._done = json.loads(self._journal_path.read_text(encoding="utf-8"))
            if self._done["asked"] != asked:
                raise CandorError(
                    f"{folder} holds a replay of {self._done['asked']}, not of {asked}", hint="give another --folder"
                )
        self._done["asked"] = asked

    @cached_property
    def settings(self) -> Settings:
        """Of the replay's own state and policy."""
        return load(
            {
                "CANDOR_STATE_DIR": str(self.folder / "state"),
                "CANDOR_POLICY_DIR": str(self.folder / "policy"),
                "CANDOR_HASH_KEY": "5" * 64,
            }
        )

    @cached_property
    def shop(self) -> Shop:
        """The made-up shop."""
        return Shop(self.settings.landing_dir, self.folder / "truth", self.seed, ENDS_AT)

    @cached_property
    def judge(self) -> Judge:
        """Who knows the truth."""
        return Judge(self.settings.landing_dir, self.folder / "truth", PROJECT_ROOT / "policy")

    @property
    def store(self) -> Path:
        """The file that channels read."""
        return self.settings.state_dir / "serving" / "offers.sqlite"

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` gave when it was first called for this key, now or before a kill."""
        if key not in self._done:
            began = time.monotonic()
            self._done[key] = {"gave": make(), "seconds": round(time.monotonic() - began, 2)}
            runs.write_json(self._journal_path, self._done)
        return self._done[key]["gave"]

    def seconds(self, prefix: str) -> float:
        """How long everything of that prefix took."""
        return sum(value["seconds"] for key, value in self._done.items() if key.startswith(prefix))

    # --- the days ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the shop, live its history, train the first champion."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.once("shop", self._make_shop)
        self.once("champion", self._first_champion)

    def _make_shop(self) -> int:
        for made in ("state", "truth", "policy"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        shutil.copytree(PROJECT_ROOT / "policy", self.folder / "policy")
        self.told(f"making {self.people:,} people with a past of {HISTORY_DAYS} days, seed {self.seed}")
        truth = self.folder / "truth"
        generate(
            people=self.people,
            days=HISTORY_DAYS,
            seed=self.seed,
            landing=self.settings.landing_dir,
            truth=truth,
            ends_at=ENDS_AT,
        )
        return self.people

    def _first_champion(self) -> str:
        self.told("the day before, and one training")
        before = ENDS_AT - timedelta(days=1)
        pipeline.prepare_training(before, self.settings)
        pipeline.train(before, self.settings)
        promoted = pipeline.promote(before, self.settings)
        if not promoted["promoted"]:
            raise CandorError(f"no model was promoted: {promoted['message']}", hint="give more --people, or another --seed")
        return str(promoted["message"])

    def day(self, day: int) -> dict[str, Any]:
        """The row of the table of one day, after living it."""
        key, as_of = f"{day:03}", self.shop.as_of(day)
        operators = self.shop.write_overrides(self.folder / "policy", day)
        ran = self.once(f"{key} run", lambda: self._run(day, as_of))
        verdicts = [self.once(f"{key} judged 0", lambda: self._judge(day, as_of + timedelta(minutes=1), "0"))]
        landed: list[dict[str, int]] = []
        revoked: list[dict[str, Any]] = []
        for visit in range(len(VISITS)):
            at = self.shop.visit_at(day, visit)
            landed.append(self.once(f"{key} landed {visit}", lambda visit=visit: self.shop.land(day, visit)))
            revoked.append(self.once(f"{key} revoked {visit}", lambda at=at: self._revoke(at + timedelta(minutes=1))))
            verdicts.append(
                self.once(
                    f"{key} judged {visit + 1}",
                    lambda at=at, visit=visit: self._judge(day, at + timedelta(minutes=2), str(visit + 1)),
                )
            )
        if day % TRAINED_EVERY_DAYS == TRAINED_EVERY_DAYS - 1 and ran["status"] == "done":
            self.once(f"{key} trained", lambda: self._train(as_of))
        served = self.once(f"{key} answered", lambda: self._answer(day, as_of))
        last = as_of + timedelta(days=1) - timedelta(minutes=2)
        revoked.append(self.once(f"{key} revoked last", lambda: self._revoke(last)))
        verdicts.append(self.once(f"{key} judged last", lambda: self._judge(day, last + timedelta(minutes=1), "last")))
        total = {name: sum(one.get(name, 0) for one in landed) for name in ("moves", "late identifications")}
        return {
            "day": day, "date": f"{as_of:%Y-%m-%d}", "markets": ran["markets"], "people": verdicts[0]["people"], "live": verdicts[0]["rows"],
            "served": served["served"], "promoted": served["promotions"], "taught": served["served"] - served["promotions"],
            "revoked": sum(one["suppressions"] for one in revoked), "hidden in": f"{max(one['seconds'] for one in revoked):.1f} s",
            "moves": total["moves"], "merged": total["late identifications"] + operators["tied"], "parted": operators["parted"],
            "kills": ran["kills"], "audit": ran["audit"], "judged": sum(one["rows"] for one in verdicts),
            "judge": sum(one["violations"] for one in verdicts), "passed over": sum(one["passed_over"] for one in verdicts),
            "seconds": round(self.seconds(f"{key} ")), "refused": ran["refused"],
        }  # fmt: skip

    def _run(self, day: int, as_of: datetime) -> dict[str, Any]:
        """The day's run; on some days killed first, at an instant drawn for the day. A run that is refused leaves the day before live."""
        kills = self._kill(day, as_of) if day % KILLED_EVERY_DAYS == KILLED_EVERY_DAYS - 1 else 0
        refused = None
        try:
            outcome = pipeline.run(as_of, self.settings)
        except CandorError as error:
            outcome, refused = {"status": "refused"}, str(error)
        folder = self._reports(as_of)
        audit = folder / "audit.json"
        said = json.loads(audit.read_text(encoding="utf-8")) if audit.exists() else {}
        return {
            "status": outcome["status"], "refused": refused, "kills": kills, "audit": said.get("violations"),
            "audited": said.get("rows_audited", 0), "markets": self._market_state(),
        }  # fmt: skip

    def _reports(self, as_of: datetime) -> Path:
        from candor import warehouse

        with warehouse.connect(self.settings) as connection:
            return self.settings.reports_dir / runs.get(connection, as_of).run_id

    def _market_state(self) -> str:
        from candor import warehouse

        with warehouse.connect(self.settings) as connection:
            found = connection.execute("select c_vol_rank from eligibility.market_state").fetchall()
        rank = found[0][0] if found else None
        return "unknown" if rank is None else ("calm", "elevated", "stressed")[rank]

    def _kill(self, day: int, as_of: datetime) -> int:
        """SIGKILL to a run of the day that had begun; 1 when it was still at work."""
        env = {
            **os.environ,
            "CANDOR_STATE_DIR": str(self.settings.state_dir),
            "CANDOR_POLICY_DIR": str(self.settings.policy_dir),
            "CANDOR_HASH_KEY": self.settings.hash_key,
        }
        with (self.folder / "killed.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", CANDOR, "run", "--as-of", as_of.isoformat()],
                cwd=PROJECT_ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(timeout=random.Random(f"{self.seed}-{day}").uniform(5, 50))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return 1
        return 0

    def _standing(self) -> datetime:
        """The as_of of the run whose offers are live."""
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as reader:
            return datetime.fromisoformat(reader.execute("select as_of from runs where is_current = 1").fetchone()[0])

    def _links(self, standing: datetime) -> list:
        return [link for _, link in self.shop.mistakes((standing - ENDS_AT).days)]

    def _judge(self, day: int, at: datetime, reading: str) -> dict[str, Any]:
        """What the judge says of every live row at `at`, as a channel found them then; what was found is kept, and judged again from there."""
        folder = self.folder / "read" / f"{day:03}"
        kept = folder / f"{reading}.parquet"
        if not kept.exists():
            if not self.store.exists():
                return {"rows": 0, "people": 0, "violations": 0, "passed_over": 0, "reasons": {}}
            folder.mkdir(parents=True, exist_ok=True)
            live, lookups = read_store(self.store, at)
            lookups.write_parquet(folder / "person_lookup.parquet")
            live.with_columns(read_at=pl.lit(at), standing=pl.lit(self._standing())).write_parquet(kept)
        live = pl.read_parquet(kept)
        standing = live["standing"][0] if live.height else self._standing()
        found = self._found(live, pl.read_parquet(folder / "person_lookup.parquet"), standing, at)
        violations = self.folder / "violations" / f"{day:03}-{reading}.parquet"
        violations.unlink(missing_ok=True)
        if not found["is_passed_over"].all():
            violations.parent.mkdir(parents=True, exist_ok=True)
            found.filter(~pl.col("is_passed_over")).write_parquet(violations)
        return self._counted(live, found)

    def judge_again(self) -> None:
        """Forget what the judge said of the readings that are kept, so that it says it anew."""
        for key in [key for key in self._done if " judged " in key]:
            day, _, reading = key.split()
            if (self.folder / "read" / day / f"{reading}.parquet").exists():
                del self._done[key]

    def verdict_of(self, live: pl.DataFrame, lookups: pl.DataFrame, at: datetime) -> dict[str, Any]:
        """Counts of what the judge says of these rows at `at`, under the run that stands."""
        return self._counted(live, self._found(live, lookups, self._standing(), at))

    def _found(self, live: pl.DataFrame, lookups: pl.DataFrame, standing: datetime, at: datetime) -> pl.DataFrame:
        return self.judge.violations(
            live.select(JUDGED), lookups, run=standing, at=at, links=self._links(standing),
            is_crash=is_crash_known((standing - ENDS_AT).days, self.days),
        )  # fmt: skip

    def _counted(self, live: pl.DataFrame, found: pl.DataFrame) -> dict[str, Any]:
        broken = found.filter(~pl.col("is_passed_over"))
        reasons = broken.group_by("why").len().sort("len", "why", descending=[True, False])
        return {
            "rows": live.height, "people": live["person_id"].n_unique(), "violations": broken["decision_id"].n_unique(),
            "passed_over": found.filter("is_passed_over")["decision_id"].n_unique(), "reasons": dict(reasons.iter_rows()),
        }  # fmt: skip

    def _revoke(self, at: datetime) -> dict[str, Any]:
        """What `candor revoke` does at `at`, and the seconds from its start until what it took away is gone from the store."""
        began = time.monotonic()
        said = revocations.run(at, self.settings)
        return {
            "suppressions": said["suppressions_added"], "deliveries": said["deliveries_read"],
            "seconds": round(time.monotonic() - began, 2),
        }  # fmt: skip

    def _train(self, as_of: datetime) -> dict[str, Any]:
        pipeline.prepare_training(as_of, self.settings)
        trained = pipeline.train(as_of, self.settings)
        promoted = pipeline.promote(as_of, self.settings)
        return {"model_version": str(trained["model_version"]), "promoted": promoted["promoted"]}

    def _answer(self, day: int, as_of: datetime) -> dict[str, int]:
        """Show what the channels read that day, and land everybody's answers as the next day's deliveries."""
        folder = self.folder / "read" / f"{day:03}"
        served = self.served(folder)
        published = None
        if served is not None:
            served.write_parquet(folder / "offers.parquet")
            published = folder
        respond(
            published=published, landing=self.settings.landing_dir, truth=self.folder / "truth", as_of=as_of, seed=self.seed + day,
            market=market_after(day, self.days),
        )  # fmt: skip
        if served is None:
            return {"served": 0, "promotions": 0}
        from simulation.catalogue import OFFERS

        education = [offer["offer_id"] for offer in OFFERS if not offer["is_promotion"]]
        return {"served": served.height, "promotions": served.filter(~pl.col("offer_id").is_in(education)).height}

    def served(self, folder: Path) -> pl.DataFrame | None:
        """What channels took from the store that day: messages at the first reading inside their window, the rest when its reader came by.

        Every row is one that was live at the very moment it was read; `valid_from` is that moment. None when nothing was read.
        """
        readings = sorted(folder.glob("[0-9].parquet"))
        if not readings:
            return None
        rows = pl.concat(pl.read_parquet(path).with_columns(reading=pl.lit(int(path.stem))) for path in readings)
        at = pl.col("read_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        comes_by = pl.col("decision_id").hash(self.seed) % len(readings) == pl.col("reading")
        # Who comes by at all that day: drawn anew each day for each person.
        comes_by &= pl.concat_str("person_id", pl.lit(folder.name)).hash(self.seed) % 1000 < 1000 * self.comes_by
        is_open = (pl.col("send_after").fill_null("") <= at) & (pl.col("send_before").fill_null("9") > at)
        taken = rows.filter(pl.when(pl.col("channel").is_in(PUSHED)).then(is_open).otherwise(comes_by))
        taken = taken.sort("reading").unique("decision_id", keep="first", maintain_order=True)
        return taken.with_columns(valid_from=at).select(SHOWN).sort("decision_id")

    # --- what stands at the end --------------------------------------------------------------------------------------

    def digest(self) -> str:
        """One hash over `bytes`: the same for the same people, days and seed."""
        return hashlib.sha256(json.dumps(self.bytes(), sort_keys=True).encode()).hexdigest()

    def bytes(self) -> dict[str, str]:
        """Hashes of everything published, of the serving store's tables and of every file landed."""
        whole = fingerprint.published_files(self.settings.published_dir) | fingerprint.serving_store(self.store)
        del whole["revocation_reads"]  # names files by when they were written
        for path in sorted(self.settings.landing_dir.rglob("*")):
            if path.is_file():
                whole[f"landing/{path.relative_to(self.settings.landing_dir)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        return whole

    def reasons(self) -> dict[str, int]:
        """Why rows were not permitted, over all readings."""
        total: dict[str, int] = {}
        for key, value in self._done.items():
            if " judged " in key:
                for why, count in value["gave"]["reasons"].items():
                    total[why] = total.get(why, 0) + count
        return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    return "".join(
        f"{row[name]:>{width},}" if isinstance(row[name], int) else f"{row[name]!s:>{width}}" for name, width in COLUMNS
    )


def bar(done: int, of: int, seconds: list[float]) -> str:
    """How far the replay is, and how long it may still take by the days lived so far."""
    whole = round(20 * done / of)
    left = sum(seconds) / len(seconds) * (of - done) / 60
    return f"[{'#' * whole}{'.' * (20 - whole)}] {done} of {of} days, {sum(seconds) / 60:.1f} min, about {left:.0f} min to go"


def main(argv: list[str] | None = None) -> int:
    """Replay, judge, tell; 0 when nothing was live that the truth forbids and nothing planted went unseen."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--days", type=int, default=60, help="days of the whole replay; the crash lies by it")
    parser.add_argument("--stop-after", type=int, help="live no more than so many days now (default: all)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--folder", type=Path, default=PROJECT_ROOT / "var" / "replay", help="of the replay: state, truth, what was read"
    )
    parser.add_argument(
        "--comes-by",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="of the people who come by on a day, drawn anew each day (default 0.25)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the replay in the folder")
    parser.add_argument(
        "--judge-again", action="store_true", help="let the judge, which may have been changed, judge anew what was read"
    )
    parser.add_argument("--leak", action="append", help="a kind of leak to plant in a copy of the last day lived, or all")
    given = parser.parse_args(argv)
    if given.folder.exists() and any(given.folder.iterdir()) and not given.resume:
        parser.error(f"{given.folder} is not empty: give --resume to go on, or another --folder")

    def told(text: str) -> None:
        print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    replay = Replay(given.folder, people=given.people, days=given.days, seed=given.seed, comes_by=given.comes_by, told=told)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.judge_again:
        replay.judge_again()
    bad = 0
    until = min(given.days, given.stop_after or given.days)
    with (given.folder / "log.txt").open("a", encoding="utf-8") as log:
        with redirect_stdout(log):
            replay.prepare()
        print("".join(f"{name:>{width}}" for name, width in COLUMNS), flush=True)
        for day in range(until):
            with redirect_stdout(log):
                row = replay.day(day)
            print(line(row), flush=True)
            if row["refused"]:
                print(f"     refused: {row['refused'].splitlines()[0]}", flush=True)
            bad += row["judge"] + (row["audit"] or 0)
            told(bar(day + 1, until, [replay.seconds(f"{lived:03} ") for lived in range(day + 1)]))
        for why, count in replay.reasons().items():
            print(f"  judge: {count:,} x {why}")
        print(f"{until} of {given.days} days, {given.people:,} people, seed {given.seed}; digest {replay.digest()}")
        unseen = 0
        if given.leak:
            from benchmarks.replay_leaks import plant

            unseen = plant(replay, given.leak, until - 1, log)
    print("no row was live that the truth forbids" if not bad else f"VIOLATED: {bad:,} rows", flush=True)
    return 1 if bad or unseen else 0


if __name__ == "__main__":
    sys.exit(main())
