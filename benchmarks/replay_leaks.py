"""Leaks planted on the last day of a replay, each in a copy of its own: which of audit and judge catches it.

The leaks of the store are what happens behind the audit's back: after it has passed. They are planted in a copy of the serving store as it stands
after the day's second reading of revocations, and the judge reads it at that instant. The leak of a rule is planted in the SQL that the policy
compiles to, in a copy of the whole state, and everything from eligibility to the audit runs again.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TextIO

from benchmarks.replay_judge import read_store, text
from benchmarks.replay_shop import VISITS
from candor import pipeline
from candor.errors import AuditFailed, CandorError
from candor.policy import compiling, load
from candor.policy.grains import ALL_GRAINS

if TYPE_CHECKING:
    from benchmarks.replay import Replay
    from candor.policy import Policy

HAND = 20  # rows put in by hand, profiles tied by mistake
SLIP_HOURS = 9


def _stale_view(store: sqlite3.Connection, at: datetime) -> str:
    """The view as it was before suppressions were thought of: whoever took a word back sees the offer until the next run."""
    (sql,) = store.execute("select sql from sqlite_master where name = 'live_offers'").fetchone()
    without = re.sub(r"\s+and not exists \(.*", "", sql, flags=re.DOTALL)
    store.execute("drop view live_offers")
    store.execute(without)
    return "the view without its suppressions"


def _fallback(store: sqlite3.Connection, at: datetime) -> str:
    """The run before made current again by hand, without what was taken back since."""
    before = store.execute(
        "select run_id from runs where is_current = 0 and has_offers = 1 order by as_of desc limit 1"
    ).fetchone()
    if before is None:
        raise CandorError("the store keeps no earlier run with offers to fall back to", hint="replay more than one day")
    store.execute("update runs set is_current = 0 where is_current = 1")
    store.execute("update runs set is_current = 1 where run_id = ?", before)
    store.execute("update offers set valid_until = ? where run_id = ?", (text(at + timedelta(days=1)), *before))
    store.execute("delete from suppressions where since < (select max(as_of) from runs)")
    return "yesterday's offers shown as today's"


# People known by an account who have no offer today, in an order of their own; and somebody's offers to give them.
_NOBODYS = """
    select distinct person_id from person_lookup
    where valid_to_run is null and identifier_kind = 'account_id' and person_id not in (select person_id from live_offers)
    order by substr(person_id, 9) limit ?
"""


def _by_hand(store: sqlite3.Connection, at: datetime) -> str:
    """One person's offers inserted for people who have none."""
    people = [row[0] for row in store.execute(_NOBODYS, (HAND,))]
    names = [row[1] for row in store.execute("pragma table_info(offers)")]
    (given,) = store.execute(
        "select person_id from live_offers where offer_id not like 'edu%' and channel = 'web' order by decision_id limit 1"
    ).fetchone()
    for place, person in enumerate(people):
        made = {"decision_id": f"'by-hand-{place}-' || decision_id", "person_id": f"'{person}'"}
        columns = ", ".join(made.get(name, name) for name in names)
        store.execute(f"insert into offers select {columns} from live_offers where person_id = ?", (given,))
    return f"{len(people)} people's rows put in by hand"


def _wrong_merge(store: sqlite3.Connection, at: datetime) -> str:
    """The look-ups of people who have no offer lead to people who have."""
    people = [row[0] for row in store.execute(_NOBODYS, (HAND,))]
    served = [row[0] for row in store.execute("select distinct person_id from live_offers order by person_id limit ?", (HAND,))]
    store.executemany("update person_lookup set person_id = ? where person_id = ?", list(zip(served, people, strict=False)))
    return f"{len(people)} people taken for others in the look-ups"


def _time_zone(store: sqlite3.Connection, at: datetime) -> str:
    """Sending windows taken for local time where they are UTC."""
    for column in ("send_after", "send_before"):
        store.execute(
            f"update offers set {column} = strftime('%Y-%m-%dT%H:%M:%SZ', {column}, '+{SLIP_HOURS} hours') where {column} is not null"
        )
    return f"sending windows slipped by {SLIP_HOURS} hours"


OF_THE_STORE: dict[str, Callable[[sqlite3.Connection, datetime], str]] = {
    "stale-view": _stale_view, "fallback": _fallback, "manual-insert": _by_hand, "wrong-merge": _wrong_merge, "time-zone": _time_zone,
}  # fmt: skip
OF_RULES = {"rule-consent": "PRV-001", "rule-kyc": "KYC-001", "rule-residence": "JUR-003"}
KINDS = (*OF_THE_STORE, *OF_RULES)


def plant(replay: Replay, wanted: list[str], day: int, log: TextIO) -> int:
    """How many of the leaks nobody caught, after printing who caught each."""
    kinds = KINDS if "all" in wanted else tuple(wanted)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise CandorError(f"no leak is called {', '.join(unknown)}", hint=f"leaks: {', '.join(KINDS)}, all")
    unseen = 0
    for kind in kinds:
        if kind in OF_THE_STORE:
            what, by, how = _in_the_store(replay, kind, day)
        else:
            with redirect_stdout(log):
                what, by, how = _in_the_rules(replay, kind, day)
        unseen += by == "NOBODY"
        print(f"  leak {kind:<16}{what:<48}caught by {by}: {how}", flush=True)
    return unseen


def _in_the_store(replay: Replay, kind: str, day: int) -> tuple[str, str, str]:
    """(what was planted, who caught it, how) of a leak behind the audit's back."""
    at = replay.shop.visit_at(day, len(VISITS) - 1) + timedelta(minutes=3)
    copied = replay.folder / "leak.sqlite"
    copied.unlink(missing_ok=True)
    with closing(sqlite3.connect(f"file:{replay.store}?mode=ro", uri=True)) as store, closing(sqlite3.connect(copied)) as copy:
        store.backup(copy)
        # The view tells the time by the wall clock; the leak is planted at the instant of the replay.
        with closing(sqlite3.connect(":memory:")) as clock:
            copy.create_function("strftime", -1, _clock(clock, at))
            what = OF_THE_STORE[kind](copy, at)
            copy.commit()
    before = replay.verdict_of(*read_store(replay.store, at), at)
    live, lookups = read_store(copied, at)
    after = replay.verdict_of(live, lookups, at)
    copied.unlink()
    caught = after["violations"] - before["violations"]
    reasons = ", ".join(f"{count:,} x {why}" for why, count in list(after["reasons"].items())[:3])
    return what, "judge" if caught > 0 else "NOBODY", f"{caught:,} of {live.height:,} live rows ({reasons or 'nothing found'})"


def _clock(clock: sqlite3.Connection, at: datetime) -> Callable[..., str]:
    def strftime(form: str, moment: str, *changes: str) -> str:
        marks = ", ?" * len(changes)
        return clock.execute(
            f"select strftime(?, ?{marks})", (form, text(at) if moment == "now" else moment, *changes)
        ).fetchone()[0]

    return strftime


def _compiled(policy: Policy) -> list[str]:
    return [compiling.daily_sql(policy, grain) for grain in ALL_GRAINS]


def _in_the_rules(replay: Replay, kind: str, day: int) -> tuple[str, str, str]:
    """(what was planted, who caught it, how) of a rule that the compiled SQL has lost."""
    rule = OF_RULES[kind]
    state = replay.folder / "leak"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(
        replay.settings.state_dir, state, ignore=shutil.ignore_patterns("landing", "mlflow", "published", "reports")
    )
    store = f"sqlite:///{state / 'serving' / 'offers.sqlite'}"
    settings = dataclasses.replace(replay.settings, state_dir=state, landing_dir=replay.settings.landing_dir, serving_url=store)
    rules_of = compiling.rules_of
    policy = load(settings.policy_dir, settings.shop)
    whole = _compiled(policy)
    try:
        compiling.rules_of = lambda policy, grain: [own for own in rules_of(policy, grain) if own.rule_id != rule]
        if _compiled(policy) == whole:
            raise CandorError(f"{rule} is in none of the SQL that the policy compiles to, so nothing was planted")
        for name in ("eligibility", "score", "decide", "audit"):
            pipeline.run_stage(name, replay.shop.as_of(day), settings)
    except AuditFailed as error:
        return f"{rule} gone from the SQL", "audit", str(error).splitlines()[0]
    finally:
        compiling.rules_of = rules_of
        shutil.rmtree(state, ignore_errors=True)
    return f"{rule} gone from the SQL", "NOBODY", "the audit passed"
