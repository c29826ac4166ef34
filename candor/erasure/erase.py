"""One erasure, from whose data it is to the proof that it is gone; killed anywhere, the next call goes on with it.

```text
plan ▶ hold ▶ suppress ▶ serving ▶ raw ▶ warehouse, vault ▶ published ▶ models ▶ texts ▶ keys ▶ proof ▶ plan dropped
```

The plan (in the restricted folder, 0700) is the only place that still knows whose identifiers were whose; it goes when the proof has found nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs, warehouse
from candor.contract import load as load_contract
from candor.erasure import inventory, proof, removing, subjects, suppressed, turns
from candor.erasure.erased import erased_people
from candor.errors import CandorError, UsageError
from candor.ingest.columns import literal
from candor.policy import load as load_policy
from candor.scoring.registry import instant_text

if TYPE_CHECKING:
    import duckdb

    from candor.policy.retention import RecordClass
    from candor.settings import Settings

STEPS = ("hold", "suppress", "serving", "raw", "databases", "published", "models", "texts", "keys")
CONSTANT = "Records that the law requires to be kept may be held apart; compliance can say whether there are any."


class NotErased(CandorError):
    """Something of the person was found that nothing says is kept."""

    exit_code = 1


@dataclass(frozen=True)
class Outcome:
    """What an erasure did: the proof as anybody may read it, and where it lies."""

    erasure_id: str
    report: dict[str, Any]
    path: Path | None

    @property
    def is_proven(self) -> bool:
        return bool(self.report["proof"]["is_proven"])


def requested(settings: Settings, as_of: datetime) -> tuple[list[str], int]:
    """(identifiers of the erasure requests that have landed and are due, how many of them are of nobody we know)."""
    with warehouse.connect(settings, restricted=True) as connection:
        rows = connection.execute(
            """
            with due as (
                select * from vault.staging.stg_compliance__restrictions
                where kind = 'erasure' and status = 'open' and starts_at <= $as_of and (ends_at is null or ends_at > $as_of)
            ),
            named as (
                select 'account_id' as kind, account_id as value from due where account_id is not null
                union select 'email', email_std from due where account_id is null and email_std is not null
                union select 'wallet', wallet_std from due where account_id is null and email_std is null and wallet_std is not null
            )
            select named.kind, named.value, known.person_id is not null
            from named
            left join identity.person_identifiers as known
                on named.kind = known.identifier_kind and named.value = known.identifier
            order by all
            """,
            {"as_of": warehouse.utc(as_of)},
        ).fetchall()
    return [f"{kind}/{value}" for kind, value, is_known in rows if is_known], sum(not is_known for _, _, is_known in rows)


def erase(
    as_of: datetime,
    settings: Settings,
    *,
    persons: Sequence[str] = (),
    identifiers: Sequence[str] = (),
    dry_run: bool = False,
    skip: frozenset[str] = frozenset(),
) -> list[Outcome]:
    """Erase whoever is named, after what an earlier call left undone; one outcome per erasure, the unfinished ones first.

    With `dry_run` only what is there is counted, and nothing is written. `skip` leaves steps out, for tests of the proof. Raises UsageError for
    nobody, and while a run is going on.
    """
    with turns.alone(settings):
        outcomes = [] if dry_run else [_carry_out(settings, plan, skip) for plan in turns.plans(settings)]
        if persons or identifiers:
            plan = _plan(settings, as_of, persons, identifiers)
            if dry_run:
                try:
                    outcomes.append(_told(settings, plan))
                finally:
                    shutil.rmtree(plan)
            else:
                final = plan.with_name(plan.name.removeprefix(".new-"))
                os.rename(plan, final)
                outcomes.append(_carry_out(settings, final, skip))
    return outcomes


def _plan(settings: Settings, as_of: datetime, persons: Sequence[str], identifiers: Sequence[str]) -> Path:
    """A folder with all that the steps need, made whole or not at all; nothing else is written."""
    if not settings.warehouse_path.is_file():
        raise UsageError("there is no warehouse yet", hint="nobody can be erased before the first run")
    base = turns.folder(settings)
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in base.glob(".new-plan-*"):
        shutil.rmtree(leftover)
    held_classes = [one for one in load_policy(settings.policy_dir, settings.shop).retention if one.legal_hold]
    with opened(settings) as connection:
        subjects.seeds_of(connection, persons, identifiers)
        found = subjects.collect(connection, settings)
        connection.execute("set variable erased_pattern = ?", [subjects.pattern(connection)])
        removing.removed_sums(connection, settings)
        shared = dict(
            connection.execute("select kind, count(distinct value) from erased_shared group by kind order by kind").fetchall()
        )
        names = connection.execute("select value from erased_terms where kind = 'person' order by value").fetchall()
        erasure_id = (
            "e" + hashlib.sha256(json.dumps([instant_text(as_of), names, secrets.token_hex(8)]).encode()).hexdigest()[:16]
        )
        plan = base / f".new-plan-{erasure_id}"
        plan.mkdir(mode=0o700)
        for name in proof.TERM_TABLES:
            connection.execute(
                f"copy (select * from {name} order by all) to {literal(str(plan / f'{name}.parquet'))} (format parquet)"
            )
        before = proof.counts(connection, settings)
        held = _hold(connection, settings, plan, held_classes, as_of)
        since = removing.trained_on(connection)
    with proof.open_terms(settings, plan) as connection:
        proof.prepare(connection)
        landed = proof.landed(connection, settings)
    content = {
        "erasure_id": erasure_id,
        "as_of": instant_text(as_of),
        "found": found,
        "shared": shared,
        "before": before,
        "held": held,
        "landing_folders": landed,
        "trained_since": since.isoformat() if since else None,
        "is_dry_run": False,
    }
    runs.write_json(plan / "plan.json", content)
    return plan


@contextmanager
def opened(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse and the vault; a lock that another process has is a run that is going on."""
    import duckdb

    try:
        with warehouse.connect(settings, restricted=True) as connection:
            runs.prepare(connection)
            yield connection
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise UsageError("another process has the warehouse open", hint="try again when it has ended") from error


def _hold(
    connection: duckdb.DuckDBPyConnection, settings: Settings, plan: Path, classes: list[RecordClass], as_of: datetime
) -> list[dict[str, Any]]:
    """Copy what is on legal hold into the plan, each row with its class and until when; gives classes, rows and dates."""
    told = []
    tables = {table.full_name: table for table in load_contract().tables}
    for one in classes:
        for full_name in one.tables:
            table = tables[full_name]
            paths = subjects.segments(settings, table)
            if not paths:
                continue
            columns = {column.name for column in table.columns}
            kinds = f"and kind in ({', '.join(literal(kind) for kind in one.kinds)})" if one.kinds and "kind" in columns else ""
            rows = (
                f"select distinct on (_row_hash) * exclude (_file, _line) from {subjects.read(paths)} "
                f"where _row_hash::varchar in (select value from erased_terms where kind = 'row_hash') {kinds} order by _row_hash, _extracted_at"
            )
            since = f"timestamp '{warehouse.utc(as_of)}'" if one.begins_at_end else own_instant(columns)
            until = "null::timestamp" if one.months is None else f"{since} + interval {one.months} months"
            dated = f"select {literal(one.name)} as record_class, {until} as held_until, * from ({rows})"
            live = f"select * from ({dated}) where held_until is null or held_until > timestamp '{warehouse.utc(as_of)}'"
            count, last = connection.execute(f"select count(*), max(held_until) from ({live})").fetchall()[0]
            if count:
                (plan / "held").mkdir(exist_ok=True, mode=0o700)
                file = plan / "held" / f"{one.name}.{full_name}.parquet"
                connection.execute(f"copy ({live}) to {literal(str(file))} (format parquet, compression zstd)")
                told.append({"record_class": one.name, "table": full_name, "rows": count, "until": last.isoformat() if last else None,
                             "basis": one.basis, "owner": one.owner})  # fmt: skip
    return told


def own_instant(columns: set[str]) -> str:
    """SQL for when a landed row's own period begins."""
    known = [name for name in ("taken_at", "traded_at", "occurred_at", "recorded_at", "source_updated_at") if name in columns]
    return f"coalesce({', '.join([*known, '_extracted_at'])})"


def _told(settings: Settings, plan: Path) -> Outcome:
    """What a dry run says."""
    content = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    report = _open_report(content, {}, {}, [], {}, [], [], [])
    report["is_dry_run"] = True
    report["proof"]["is_proven"] = True
    return Outcome(content["erasure_id"], report, None)


def _carry_out(settings: Settings, plan: Path, skip: frozenset[str]) -> Outcome:
    """Every step, then the proof. All of them may be done again."""
    content = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    as_of = runs.parse_as_of(content["as_of"])
    gone: dict[str, int] = {}
    kept = 0
    models: list[dict[str, Any]] = []
    for step in STEPS:
        if step in skip:
            continue
        if step == "hold":
            _move_held(settings, plan, content["erasure_id"])
        elif step == "suppress":
            with _terms(settings, plan) as connection:
                kept = suppressed.keep(connection, settings, as_of)
        elif step == "serving":
            with proof.open_terms(settings, plan) as connection:
                gone |= removing.from_serving(connection, settings)
        elif step == "raw":
            with _terms(settings, plan) as connection:
                removing.register_removed(connection, content["erasure_id"])
                gone |= removing.from_raw(connection, settings)
        elif step == "databases":
            with _terms(settings, plan) as connection:
                gone |= removing.from_databases(connection)
            removing.rewrite_databases(settings)
        elif step == "published":
            with proof.open_terms(settings, plan) as connection:
                gone |= removing.from_published(connection, settings)
        elif step == "models":
            since = content["trained_since"]
            models = removing.mark_models(settings, datetime.fromisoformat(since) if since else None, as_of)
        elif step == "texts":
            removing.spills(settings)
            with proof.open_terms(settings, plan) as connection:
                gone |= removing.from_texts(connection, settings)
        elif step == "keys":
            settings.draw_mint_key()
            with proof.open_terms(settings, plan) as connection:
                _remember(settings, connection, content)
    with _terms(settings, plan) as connection:
        after = proof.counts(connection, settings)
        unknown = proof.unknown_places(connection, settings)
        broken = proof.raw_verified(connection, settings)
    with proof.open_terms(settings, plan) as connection:
        rests, searched = proof.search(connection, settings)
    report = _open_report(content, gone, after, rests, searched, unknown, broken, models)
    report["suppressed_contacts"] = kept
    return _finish(settings, plan, content, report, after)


@contextmanager
def _terms(settings: Settings, plan: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with opened(settings) as connection:
        proof.load_terms(connection, plan)
        yield connection


def _move_held(settings: Settings, plan: Path, erasure_id: str) -> None:
    """Put what is on legal hold into its own store."""
    if not (plan / "held").is_dir():
        return
    folder = settings.restricted_dir / "held"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in sorted((plan / "held").iterdir()):
        target = folder / f"{file.stem}.{erasure_id}.parquet"
        beside = target.with_name(f".{target.name}")
        shutil.copyfile(file, beside)
        beside.chmod(0o600)
        os.replace(beside, target)


def _remember(settings: Settings, connection: duckdb.DuckDBPyConnection, content: dict[str, Any]) -> None:
    """Note which person_ids were erased and when: nothing else about them is known any more."""
    persons = [row[0] for row in connection.execute("select value from erased_terms where kind = 'person'").fetchall()]
    known = erased_people(settings)
    runs.write_json(settings.state_dir / "erasures" / "erased.json", dict.fromkeys(persons, content["as_of"]) | known)


def _open_report(
    content: dict[str, Any],
    gone: dict[str, int],
    after: dict[str, int],
    rests: list[dict[str, Any]],
    searched: dict[str, int],
    unknown: list[str],
    broken: list[str],
    models: list[dict[str, Any]],
) -> dict[str, Any]:
    """The proof for everybody: of places that only the vault's readers may know about it says that they are clean, and no numbers."""
    places = []
    for place in sorted(content["before"]):
        store, _, name = place.partition(".")
        lines = inventory.of(store, name)
        if any(line.is_vault for line in lines) or store == "restricted_raw":
            continue
        places.append(
            {
                "store": store,
                "name": name,
                "before": content["before"][place],
                "after": after.get(place, 0),
                "does": lines[0].does if lines else "delete",
            }
        )
    left = [place for place, count in after.items() if count]
    return {
        "erasure_id": content["erasure_id"],
        "as_of": content["as_of"],
        "is_dry_run": False,
        "person_ids": content["found"].get("person", 0),
        "identifiers": {kind: content["found"][kind] for kind in subjects.IDENTIFIERS if kind in content["found"]},
        "left_because_only_likeness_joined_it": content["found"]["left_because_likeness_only"],
        "also_named_by_records_of_others": content["shared"],
        "places": places,
        "texts_cleaned": sum(count for place, count in gone.items() if place.startswith("state.")),
        "restricted": CONSTANT,
        "sources_still_have_it": f"{content['landing_folders']} delivery folders",
        "retrain_due": models,
        "kept": [
            {"store": line.store, "name": line.name, "why": line.because}
            for line in inventory.FILES
            if line.does == "keep" and line.because == inventory._LOG and line.store == "published"
        ],
        "searched": searched,
        "proof": {
            "is_proven": not (rests or unknown or broken or left),
            "rows_left": sorted(
                left
                if not any(_is_restricted(place) for place in left)
                else ["restricted" if _is_restricted(p) else p for p in left]
            ),
            "found_by_search": [rest for rest in rests if rest["store"] not in ("vault", "restricted")]
            + [{"store": "restricted"} for rest in rests if rest["store"] in ("vault", "restricted")][:1],
            "in_no_line_of_the_inventory": unknown,
            "raw_deliveries_that_differ": broken,
        },
    }


def _is_restricted(place: str) -> bool:
    return place.split(".")[0] in ("vault", "restricted", "restricted_raw")


def _finish(settings: Settings, plan: Path, content: dict[str, Any], report: dict[str, Any], after: dict[str, int]) -> Outcome:
    """Write both faces of the proof; a plan whose proof found something stays, so that the next call goes on."""
    from candor.erasure.telling import as_text

    folder = settings.state_dir / "erasures"
    erasure_id = content["erasure_id"]
    runs.write_json(folder / f"{erasure_id}.json", report)
    (folder / f"{erasure_id}.txt").write_text(as_text(report), encoding="utf-8")
    restricted = {
        "erasure_id": erasure_id,
        "as_of": content["as_of"],
        "held": content["held"],
        "places": [
            {"place": place, "before": content["before"][place], "after": after.get(place, 0)}
            for place in sorted(content["before"])
            if _is_restricted(place)
        ],
    }
    runs.write_json(turns.folder(settings) / f"{erasure_id}.json", restricted)
    (turns.folder(settings) / f"{erasure_id}.json").chmod(0o600)
    if report["proof"]["is_proven"]:
        done = plan.with_name(f".new-{plan.name}")
        os.rename(plan, done)
        shutil.rmtree(done)
    return Outcome(erasure_id, report, folder / f"{erasure_id}.json")
