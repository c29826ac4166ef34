"""The daily run as a list of stages. `candor run` and the `daily_offers` DAG both go through `run_stage`.

A stage is a transaction: kill it anywhere and call it again, and the result is the same.
"""

from __future__ import annotations

import gc
import importlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor.erasure.turns import running
from candor.errors import CandorError, NoChampion, UsageError

if TYPE_CHECKING:
    from candor.settings import Settings

log = logging.getLogger("candor")


@dataclass(frozen=True)
class Stage:
    """One step of the daily run: (`module:function`, arguments…), called with as_of and settings."""

    name: str
    does: str
    calls: tuple[tuple[str, ...], ...]


STAGES = (
    Stage("ingest", "land new deliveries, quarantine what breaks the contract, pin the run", (("candor.ingest:run",),)),
    Stage("gate_raw", "refuse an implausible batch: volume, freshness, quarantine", (("candor.gates:run", "raw"),)),
    Stage("staging", "rename, cast, standardise", (("candor.standardise:run",), ("candor.transform:build", "staging"))),
    Stage(
        "identity",
        "work out who is who, keep every person's key; measure hygiene against the runs before",
        (("candor.identity:run",), ("candor.hygiene:run", "hygiene")),
    ),
    Stage("gate_identity", "refuse a collapse or an explosion of people", (("candor.gates:run", "identity"),)),
    Stage(
        "core",
        "people and events free of duplicates, bots, tests and dead sessions",
        (("candor.agents:run",), ("candor.transform:build", "core"), ("candor.hygiene:run", "core")),
    ),
    Stage("features", "person features and training examples, point in time", (("candor.transform:build", "features"),)),
    Stage(
        "eligibility",
        "facts, rule hits, the candidates that remain",
        (
            ("candor.catalogue:run",),
            ("candor.withholding:run",),
            ("candor.erasure.suppressed:run",),
            ("candor.review:install",),
            ("candor.transform:build", "eligibility"),
            ("candor.silos:withheld",),
        ),
    ),
    Stage("gate_features", "refuse features and candidates out of range", (("candor.gates:run", "features"),)),
    Stage("champion", "find the model in use, or end the run here", (("candor.scoring:choose_champion",),)),
    Stage("score", "how likely each candidate is to help, shown and held out", (("candor.scoring:run",),)),
    Stage(
        "decide",
        "arms, arbitration, slots, reasons: what each person would see, and why",
        (("candor.decisions:run",), ("candor.explanations:run",), ("candor.decisions:stage",), ("candor.review:queue",)),
    ),
    Stage("audit", "prove every row from raw data by a second implementation", (("candor.audit:run",),)),
    Stage("gate_served", "refuse a malformed serving table", (("candor.gates:run", "served"),)),
    Stage("publish", "the serving store and the published files, whole or not at all", (("candor.publishing:run",),)),
    Stage("measure", "outcomes by arm, with intervals", (("candor.measurement:run",),)),
    Stage("report", "one page about this run", (("candor.reporting:run",),)),
)
NAMES = tuple(stage.name for stage in STAGES)
# What training needs to stand before it can read its examples.
BEFORE_TRAINING = NAMES[: NAMES.index("gate_features") + 1]


def _function(path: str) -> Callable[..., dict[str, Any]]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _settings(settings: Settings | None) -> Settings:
    if settings is not None:
        return settings
    from candor.settings import load

    return load()


def _marks(connection: Any) -> dict[str, datetime]:
    runs.prepare(connection)
    connection.execute("create table if not exists state.stage_marks (stage varchar primary key, as_of timestamp not null)")
    return dict(connection.execute("select stage, as_of from state.stage_marks").fetchall())


def _before(settings: Settings, name: str, as_of: datetime) -> None:
    """Refuse a copy for measuring, and a stage whose predecessor did not last succeed for this `as_of`; forget its own mark until it has,
    and what it and the stages after it reported before."""
    from candor import cleaning, warehouse

    with warehouse.connect(settings) as connection:
        cleaning.refuse_reduced(connection)
        _forget_mark(connection, name, as_of)
        run_id = _pinned(connection, as_of)
    _forget_reports(settings, run_id, name)


def _forget_mark(connection: Any, name: str, as_of: datetime) -> None:
    from candor import warehouse

    if name not in ("ingest", "report"):
        marks = _marks(connection)
        previous = NAMES[NAMES.index(name) - 1]
        instant = warehouse.utc(as_of)
        if marks.get(previous) != instant:
            stands = "never ran" if previous not in marks else f"last succeeded for {marks[previous].isoformat()}Z"
            raise UsageError(
                f"stage {name!r} of {instant.isoformat()}Z needs {previous!r} first, which {stands}",
                hint=f"candor run --as-of {instant.isoformat()}Z runs all stages in order",
            )
        connection.execute("delete from state.stage_marks where stage = ?", [name])


def _mark(settings: Settings, name: str, as_of: datetime) -> str:
    """Remember that the stage succeeded; gives the run's id."""
    from candor import warehouse

    with warehouse.connect(settings) as connection:
        _marks(connection)
        connection.execute("insert or replace into state.stage_marks values (?, ?)", [name, warehouse.utc(as_of)])
        return runs.get(connection, as_of).run_id


def _record(settings: Settings, run_id: str, name: str, content: dict[str, Any]) -> None:
    runs.write_json(settings.reports_dir / run_id / "stages" / f"{name}.json", content)


def run_stage(name: str, as_of: datetime | str, settings: Settings | None = None, **options: Any) -> dict[str, Any]:
    """Names and counts of what the stage did, also written to the run's report folder with its duration.

    Raises UsageError for an unknown stage or one whose predecessor has not run, and whatever the stage raises.
    """
    instant = runs.parse_as_of(as_of) if isinstance(as_of, str) else as_of.astimezone(UTC)
    if name not in NAMES:
        raise UsageError(f"no stage is called {name!r}", hint=f"stages: {', '.join(NAMES)}")
    from candor import warehouse

    stage = STAGES[NAMES.index(name)]
    settings = _settings(settings)
    # Great Expectations opens the file itself, read-only, which it could not while it is held.
    holding = nullcontext() if name.startswith("gate_") else warehouse.held(settings)
    with running(settings), holding, _collecting_seldom():
        return _run_stage(stage, instant, settings, **options)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Python looking for dead cycles of objects among what the stage made, after 50,000 of them and not 700 each time.

    dbt and Great Expectations keep some hundred thousand that live on, and looking through these was a tenth of a small shop's day.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run_stage(stage: Stage, instant: datetime, settings: Settings, **options: Any) -> dict[str, Any]:
    name = stage.name
    _before(settings, name, instant)
    started = time.monotonic()
    result: dict[str, Any] = {}
    parts: list[dict[str, Any]] = []
    try:
        for path, *arguments in stage.calls:
            begun = time.monotonic()
            result.update(_function(path)(*arguments, as_of=instant, settings=settings, **options) or {})
            parts.append({"part": " ".join([path, *arguments]), "seconds": round(time.monotonic() - begun, 2)})
    except CandorError as error:
        status = "no champion" if isinstance(error, NoChampion) else "refused" if error.exit_code == 1 else "failed"
        if run_id := _run_id(settings, instant):
            seconds = round(time.monotonic() - started, 2)
            _record(settings, run_id, name, {"stage": name, "status": status, "error": str(error), "seconds": seconds})
        raise
    run_id = _mark(settings, name, instant)
    if name == "ingest":
        _begin_report(settings, run_id, instant)
    seconds = round(time.monotonic() - started, 2)
    _record(settings, run_id, name, {"stage": name, "status": "done", "seconds": seconds, "parts": parts, "result": result})
    log.info("%s: done in %.1f s", name, seconds)
    return {"run_id": run_id, **result}


def _forget_reports(settings: Settings, run_id: str | None, name: str) -> None:
    """Drop what this stage and those after it reported before: until they have run again, it is not true any more."""
    if run_id:
        for later in NAMES[NAMES.index(name) :]:
            (settings.reports_dir / run_id / "stages" / f"{later}.json").unlink(missing_ok=True)


def _begin_report(settings: Settings, run_id: str, as_of: datetime) -> None:
    """A fresh report: what an earlier attempt at the same run said must not be read as said by this one."""
    from candor import warehouse

    folder = settings.reports_dir / run_id
    for path in (
        *folder.glob("stages/*.json"),
        *folder.glob("gates/*.json"),
        folder / "audit.json",
        folder / "incident.json",
        folder / "hygiene.json",
    ):
        path.unlink(missing_ok=True)
    runs.write_json(folder / "run.json", {"run_id": run_id, "as_of": warehouse.utc(as_of).isoformat()})


def _run_id(settings: Settings, as_of: datetime) -> str | None:
    from candor import warehouse

    with warehouse.connect(settings) as connection:
        return _pinned(connection, as_of)


def _pinned(connection: Any, as_of: datetime) -> str | None:
    """The id of the run of `as_of`; None when it was never pinned, so it has no folder yet."""
    try:
        return runs.get(connection, as_of).run_id
    except UsageError:
        return None


def run(
    as_of: datetime,
    settings: Settings | None = None,
    *,
    full_refresh: bool = False,
    until: str | None = None,
    told: Callable[[str, dict[str, Any] | None], None] = lambda name, result: None,
) -> dict[str, Any]:
    """Run all stages of `as_of` in order, up to and including `until`; `told` hears of each before and after.

    A run without a champion ends after the features gate, is reported, and counts as done.
    With `full_refresh` everything derived is dropped and every earlier run is replayed up to its identities,
    in recorded order; the key map, arms, pins and past decisions stay. Raises CandorError when the replay disagrees.
    """
    settings = _settings(settings)
    with running(settings):
        return _run(as_of, settings, full_refresh=full_refresh, until=until, told=told)


def _run(
    as_of: datetime,
    settings: Settings,
    *,
    full_refresh: bool,
    until: str | None,
    told: Callable[[str, dict[str, Any] | None], None],
) -> dict[str, Any]:
    if full_refresh:
        _replay(settings, as_of, told)
    outcome: dict[str, Any] = {"status": "done"}
    for stage in STAGES:
        if outcome["status"] == "no champion" and stage.name != "report":
            continue
        told(stage.name, None)
        try:
            result = run_stage(stage.name, as_of, settings)
        except NoChampion as error:
            result = {"status": "no champion", "why": error.message}
            outcome = {"status": "no champion"}
        except CandorError:
            if stage.name != "report" and _run_id(settings, as_of):
                _function("candor.reporting:run")(as_of=as_of, settings=settings, raise_on_failure=False)
            raise
        told(stage.name, result)
        outcome["run_id"] = result.get("run_id", outcome.get("run_id"))
        if stage.name == until:
            break
    return outcome


def _replay(settings: Settings, as_of: datetime, told: Callable[[str, dict[str, Any] | None], None]) -> None:
    from candor import warehouse

    with warehouse.connect(settings, restricted=True) as connection:
        runs.prepare(connection)
        earlier = [
            row[0].replace(tzinfo=UTC)
            for row in connection.execute(
                "select as_of from state.batches where batch_seq < "
                "(select coalesce(max(batch_seq), 0) from state.batches where as_of = ?) order by batch_seq",
                [warehouse.utc(as_of)],
            ).fetchall()
        ]
        for database, schema in connection.execute(
            "select database_name, schema_name from duckdb_schemas() where database_name in ('candor', 'vault') "
            "and not internal and schema_name not in ('main', 'state')"
        ).fetchall():
            connection.execute(f'drop schema "{database}"."{schema}" cascade')
        connection.execute("drop table if exists state.stage_marks")
        before = _key_map_hash(connection)
    for instant in earlier:
        for name in NAMES[: NAMES.index("identity") + 1]:
            told(f"replay {instant:%Y-%m-%d} {name}", None)
            run_stage(name, instant, settings)
    with warehouse.connect(settings) as connection:
        after = _key_map_hash(connection)
    if before != after:
        raise CandorError(
            f"the replay of {len(earlier)} runs gave another key map ({after}) than recorded ({before})",
            hint="nothing was published; compare state.key_map with var/published/<run_id>/key_map.parquet",
        )


def _key_map_hash(connection: Any) -> str:
    return str(
        connection.execute(
            "select count(*) || '-' || coalesce(sum(md5_number_lower(concat_ws('|', person_id, identifier_kind, identifier, "
            "batch_seq))::hugeint), 0) from state.key_map"
        ).fetchone()[0]
    )


def prepare_training(as_of: datetime | str, settings: Settings | None = None) -> dict[str, Any]:
    """Make the warehouse stand as of `as_of` up to the features gate, running only the stages that do not already."""
    from candor import warehouse

    instant = runs.parse_as_of(as_of) if isinstance(as_of, str) else as_of
    settings = _settings(settings)
    with warehouse.connect(settings) as connection:
        marks = _marks(connection)
    standing = [name for name in BEFORE_TRAINING if marks.get(name) == warehouse.utc(instant)]
    ran: list[str] = []
    for name in BEFORE_TRAINING:
        if ran or name not in standing:
            run_stage(name, instant, settings)
            ran.append(name)
    return {"stages_run": ran, "stages_standing": [name for name in standing if name not in ran]}


def train(as_of: datetime | str, settings: Settings | None = None) -> dict[str, Any]:
    """A candidate trained on what was known at `as_of`, registered; its metrics are kept in the run's report folder."""
    return _training_step("training:run", "training", as_of, settings)


def promote(as_of: datetime | str, settings: Settings | None = None) -> dict[str, Any]:
    """The verdict on the candidate of `as_of`, kept in the run's report folder."""
    return _training_step("training.promote:run", "promotion", as_of, settings)


def _training_step(path: str, name: str, as_of: datetime | str, settings: Settings | None) -> dict[str, Any]:
    from candor import cleaning, warehouse

    instant = runs.parse_as_of(as_of) if isinstance(as_of, str) else as_of
    settings = _settings(settings)
    with warehouse.connect(settings) as connection:
        cleaning.refuse_reduced(connection)
    with running(settings):
        result = _function(path)(instant, settings)
    run_id = _run_id(settings, instant)
    runs.write_json(settings.reports_dir / str(run_id) / f"{name}.json", result)
    return result


def run_stage_unless_no_champion(as_of: datetime | str, settings: Settings | None = None) -> bool:
    """Whether a champion was found for the run; False ends the run without an error."""
    try:
        run_stage("champion", as_of, settings)
    except NoChampion as error:
        log.warning("%s", error)
        return False
    return True


def resolve_training_as_of(as_of: str | None, logical_date: datetime | None, settings: Settings | None = None) -> str:
    """The instant to train for, as text: the parameter, else that of the latest run up to the logical date."""
    if as_of:
        return runs.parse_as_of(as_of).isoformat()
    return latest_as_of(settings, up_to=logical_date).isoformat()


def latest_as_of(settings: Settings | None = None, *, up_to: datetime | None = None) -> datetime:
    """The `as_of` of the latest run (up to `up_to`). Raises UsageError when there is none."""
    from candor import warehouse

    settings = _settings(settings)
    with warehouse.connect(settings) as connection:
        runs.prepare(connection)
        row = connection.execute(
            "select max(as_of) from state.batches where as_of <= coalesce(?, timestamp '9999-01-01')",
            [None if up_to is None else warehouse.utc(up_to)],
        ).fetchone()
    if row is None or row[0] is None:
        raise UsageError("no run has been ingested yet", hint="candor run --as-of 2026-11-23T15:00:00Z")
    return row[0].replace(tzinfo=UTC)
