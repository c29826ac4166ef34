"""One dbt build per layer, in process, with what its models and tests had to say.

dbt keeps its own files (parsed project, compiled SQL, logs) under the state folder. The warehouse file is free again when a
function here returns, whatever happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.errors import BuildFailed, UsageError
from candor.warehouse import connect, detach_vault, one_row, threads_for, utc

if TYPE_CHECKING:
    from pathlib import Path

    from dbt.contracts.graph.manifest import Manifest

    from candor.settings import Settings

LAYERS = (
    "staging",
    "identity",
    "hygiene",
    "core",
    "features",
    "eligibility",
    "valuation",
    "arbitration",
    "decisions",
    "offers",
    "measurement",
)
# The only layers that open the vault.
RESTRICTED_LAYERS = frozenset({"staging", "identity", "hygiene", "eligibility"})
FAILED_ROWS_SHOWN = 5


def build(
    layer: str | tuple[str, ...],
    as_of: datetime,
    settings: Settings | None = None,
    *,
    vars: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Models and tests of one layer, or of several together, built for `as_of`: {layer, models: [{name, status, rows (None: a view),
    seconds}], tests: {passed, failed, warned}, seconds}.

    Raises BuildFailed with one line per model that did not build and, per failed test, the first rows that failed it.
    """
    settings = settings or settings_module.load()
    layers = (layer,) if isinstance(layer, str) else layer
    for name in layers:
        if name not in LAYERS:
            raise UsageError(f"there is no layer {name!r}", hint=f"layers: {', '.join(LAYERS)}")
    layer = " and ".join(layers)
    started = time.monotonic()
    restricted = not RESTRICTED_LAYERS.isdisjoint(layers)
    with connect(settings, restricted=restricted) as connection:
        run = runs.current(connection, as_of)
    given = _variables(settings, run, with_rules="eligibility" in layers) | (vars or {})

    select = [*(f"path:models/{name}" for name in layers), *(["resource_type:seed"] if "staging" in layers else [])]
    results = _dbt(
        ["build", "--select", *select, "--exclude-resource-type", "unit_test"],
        settings,
        target=_target(restricted),
        variables=given,
        layers=layers,
    )
    outcome = _outcome(layer, results, settings, restricted=restricted)
    for line in outcome.pop("lines"):
        print(line)
    problems = outcome.pop("problems")
    outcome["seconds"] = round(time.monotonic() - started, 3)
    if problems:
        raise BuildFailed(
            f"layer {layer} of the run of {given['as_of']}Z failed\n" + "\n".join(problems),
            hint=f"dbt's log: {settings.dbt_dir / 'logs' / 'dbt.log'}; nothing was published, yesterday's offers stay live",
        )
    return outcome


def build_models(
    selected: tuple[str, ...], as_of: datetime, settings: Settings, *, target: str, with_rules: bool = False
) -> int:
    """How many of the models that `selected` names were built for `as_of`, without their tests, under a target of profiles.yml.

    For reduced days (candor.cleaning), whose rows are meant to break the tests. Raises BuildFailed with one line per model that did not build.
    """
    with connect(settings, restricted=target != "open") as connection:
        run = runs.current(connection, as_of)
    built = _dbt(
        ["run", "--select", *selected], settings, target=target, variables=_variables(settings, run, with_rules=with_rules)
    )
    broken = [f"{each.node.name}: {_first_lines(each.message)}" for each in built.results if str(each.status) != "success"]
    if broken:
        raise BuildFailed(f"models of {', '.join(selected)} do not build under target {target}\n" + "\n".join(broken))
    return len(built.results)


def _variables(settings: Settings, run: runs.Run, *, with_rules: bool) -> dict[str, Any]:
    """What models may know about the run; those of eligibility are compiled with its rules too."""
    given = {"as_of": str(utc(run.as_of)), "run_id": run.run_id, "batch_seq": run.batch_seq}
    if not with_rules:
        return given
    from candor import policy

    return given | policy.dbt_vars(settings, run)


def build_for_unit_tests(settings: Settings, *, layers: tuple[str, ...] = LAYERS, variables: dict[str, Any]) -> None:
    """Build every model of `layers` on the warehouse of `settings`, which should hold typed, empty sources and nothing of value.

    dbt takes the columns of a unit test's fixture from the relation it stands for, so the relations must exist.
    Raises BuildFailed with one line per model that does not build on nothing.
    """
    selected = [*(f"path:models/{layer}" for layer in layers), "resource_type:seed"]
    arguments = ["build", "--select", *selected, "--exclude-resource-type", "unit_test", "test"]
    built = _dbt(arguments, settings, target=_target(True), variables=variables)
    broken = [f"{each.node.name}: {_first_lines(each.message)}" for each in built.results if str(each.status) != "success"]
    if broken:
        raise BuildFailed("these models do not build on empty sources\n" + "\n".join(broken))


def unit_test(settings: Settings, *, layers: tuple[str, ...] = LAYERS, variables: dict[str, Any]) -> dict[str, Any]:
    """What the unit tests of `layers` say, after `build_for_unit_tests`: {passed, failed: [text of each failure]}."""
    # A unit test is where its YAML file is, so a path selects it.
    selected = [f"path:models/{layer},test_type:unit" for layer in layers]
    tested = _dbt(["test", "--select", *selected], settings, target=_target(True), variables=variables)
    failed = [f"{each.node.name}: {each.message}" for each in tested.results if str(each.status) not in ("pass", "success")]
    return {"passed": sum(str(each.status) == "pass" for each in tested.results), "failed": failed}


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """What profiles.yml reads, set for the length of one dbt call.

    The names do not start with CANDOR_: those are the settings' own, and an unknown one among them is an error.
    """
    values = {
        "DBT_CANDOR_WAREHOUSE": str(settings.warehouse_path),
        "DBT_CANDOR_VAULT": str(settings.vault_path),
        "DBT_CANDOR_TMP": str(settings.tmp_dir),
        "DBT_CANDOR_THREADS": str(threads_for(settings)),
        "DBT_CANDOR_MEMORY_LIMIT": settings.memory_limit,
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _target(restricted: bool) -> str:
    """The target of profiles.yml that a layer is built under."""
    return "restricted" if restricted else "open"


def _dbt(
    arguments: list[str], settings: Settings, *, target: str, variables: dict[str, Any], layers: tuple[str, ...] | None = None
) -> Any:
    """The results of one dbt command. Raises BuildFailed when dbt could not even start on the models.

    With `layers` dbt is shown only what matters to these.
    """
    import json

    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    for path in (settings.dbt_dir, settings.tmp_dir):
        path.mkdir(parents=True, exist_ok=True)
    project = str(settings.dbt_project_dir)
    flags = [
        *("--project-dir", project),
        *("--profiles-dir", project),
        *("--log-path", str(settings.dbt_dir / "logs")),
        *("--log-level", "none", "--log-level-file", "info"),
        # What a build did is told by `_outcome`; manifest and run results, some megabytes a layer, nobody reads.
        "--no-write-json",
    ]
    try:
        with _environment(settings):
            parsed = _parsed(flags, settings, target)
            flags += _under(target, settings)
            # A copy, since dbt writes into it.
            manifest = (_around(parsed, layers) if layers else parsed).deepcopy()
            given = ["--vars", json.dumps(variables, sort_keys=True, default=str)]
            # What exists is asked of the schemas that are built; of another when a model asks (macros/run.sql, has_relation).
            return _invoked([*arguments, *flags, *given, "--cache-selected-only"], settings, manifest)
    finally:
        DuckDBConnectionManager.close_all_connections()
        detach_vault(settings)


def _under(target: str, settings: Settings) -> list[str]:
    """dbt's flags for a target. Each has its own folder: dbt would otherwise parse everything anew whenever the target changes."""
    return ["--target", target, "--target-path", str(settings.dbt_dir / target)]


def _invoked(arguments: list[str], settings: Settings, manifest: Manifest | None = None) -> Any:
    """What dbt answers. Raises BuildFailed when it ends with an exception."""
    from dbt.cli.main import dbtRunner

    with _without_debug_events():
        answer = dbtRunner(manifest=manifest).invoke(arguments)
    if answer.exception is not None:
        raise BuildFailed(
            f"dbt {arguments[0]} could not run: {answer.exception}", hint=f"dbt's log: {settings.dbt_dir / 'logs' / 'dbt.log'}"
        ) from answer.exception
    return answer.result


@contextmanager
def _without_debug_events() -> Iterator[None]:
    """dbt, not filling in the thousands of messages for debugging that its log of level `info` then leaves out."""
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.event_manager_client import ctx_set_event_manager, get_event_manager

    class WithoutDebug(EventManager):
        def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *others: Any, **named: Any) -> None:
            if (level or e.level_tag()) is not EventLevel.DEBUG:
                super().fire_event(e, level, *others, **named)

    before = get_event_manager()
    ctx_set_event_manager(WithoutDebug())
    try:
        yield
    finally:
        ctx_set_event_manager(before)


# The parsed project by folder and target, as it was when its files were these: of this process only.
_PARSED: dict[tuple[Path, str], tuple[tuple[tuple[str, int, int], ...], Manifest]] = {}


def _parsed(flags: list[str], settings: Settings, target: str) -> Manifest:
    """The parsed project, parsed without variables.

    Models read their variables when they are compiled, none when it is parsed. dbt parses everything anew when a variable is another, and the instant
    of the run always is: what it keeps (partial_parse.msgpack) is only ever used again when it was parsed without any.
    `open` is shown what `restricted` was parsed as: no model that it builds is of the vault, and parsing twice takes twice as long.
    """
    target = "restricted" if target == "open" else target
    project = settings.dbt_project_dir
    files = sorted(path for path in project.rglob("*") if path.is_file())
    state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    known, manifest = _PARSED.get((project, target), (None, None))
    if manifest is None or known != state:
        manifest = _invoked(["parse", *flags, *_under(target, settings)], settings)
        _PARSED[project, target] = (state, manifest)
    return manifest


def _around(manifest: Manifest, layers: tuple[str, ...]) -> Manifest:
    """The parsed project without what a build of `layers` cannot touch: later models, and tests of other layers' models.

    Every command that dbt runs orders all it is shown, several times: for a layer of three models as long as for the whole project.
    """
    from dataclasses import replace

    nodes = manifest.nodes
    folders = tuple(f"models/{layer}/" for layer in layers)
    # As `build` selects them: what lies in the layers' folders, some tests of other layers' models among it, and the seeds. And what dbt does
    # before it builds anything: the functions that models call are made there.
    built = {
        name
        for name, node in nodes.items()
        if node.original_file_path.startswith(folders)
        or (str(node.resource_type) == "seed" and "staging" in layers)
        or str(node.resource_type) == "operation"
    }
    tests = {
        name for name, node in nodes.items() if str(node.resource_type) == "test" and built.intersection(node.depends_on_nodes)
    }
    # A test of several models needs the others too.
    shown: set[str] = set()
    pending = [*built, *tests]
    while pending:
        name = pending.pop()
        if name in nodes and name not in shown:
            shown.add(name)
            pending.extend(nodes[name].depends_on_nodes)
    # What stands in the project's files is for parsing them.
    return replace(
        manifest, nodes={name: node for name, node in nodes.items() if name in shown}, unit_tests={}, files={}, docs={}
    )


def _outcome(layer: str, results: Any, settings: Settings, *, restricted: bool) -> dict[str, Any]:
    """The returned dict of `build`, and beside it the lines to print and the problems to raise."""
    models: list[dict[str, Any]] = []
    tests = {"passed": 0, "failed": 0, "warned": 0}
    lines: list[str] = []
    problems: list[str] = []
    skipped: list[str] = []  # after the problems that caused them
    ordered = sorted(results.results, key=lambda result: (result.node.resource_type != "seed", result.node.name))
    with connect(settings, restricted=restricted) as connection:
        for result in ordered:
            node, status = result.node, str(result.status)
            if node.resource_type in ("model", "seed"):
                built = status == "success"
                # To count the rows of a view is to make them all, for a number that nothing rests on.
                is_counted = built and node.config.materialized != "view"
                rows = one_row(connection, f"select count(*) from {node.relation_name}")[0] if is_counted else None
                seconds = round(result.execution_time, 2)
                models.append({"name": node.name, "status": status, "rows": rows, "seconds": seconds})
                counted = f"{'-':>12}" if rows is None else f"{rows:>12,}"
                lines.append(f"{layer:<12} {node.name:<44} {status:<8} {counted} rows {seconds:>8.2f} s")
                if status == "skipped":
                    skipped.append(f"{node.resource_type} {node.name}: skipped, because a model or test it needs failed")
                elif not built:
                    problems.append(f"{node.resource_type} {node.name}: {status}: {_first_lines(result.message)}")
            elif node.resource_type == "operation":  # a hook of dbt_project.yml
                if status != "success":
                    problems.append(f"hook {node.name}: {status}: {_first_lines(result.message)}")
            elif status == "pass":
                tests["passed"] += 1
            elif status == "skipped":
                skipped.append(f"test {node.name}: skipped, because a model it needs failed")
            else:
                warned = status == "warn"
                tests["warned" if warned else "failed"] += 1
                text = _failed_test(connection, result)
                (lines if warned else problems).append(text)
    lines.append(
        f"{layer:<12} {len(models)} models; tests: {tests['passed']} passed, {tests['failed']} failed, {tests['warned']} warned"
    )
    return {"layer": layer, "models": models, "tests": tests, "lines": lines, "problems": [*problems, *skipped]}


def _failed_test(connection: Any, result: Any) -> str:
    """What a test that did not pass found: its message and the first rows of its own SQL."""
    import duckdb

    node = result.node
    text = f"test {node.name}: {result.status}: {_first_lines(result.message)}"
    if str(result.status) == "error" or not node.compiled_code:
        return text
    try:
        found = connection.execute(f"select * from ({node.compiled_code}\n) as failed limit {FAILED_ROWS_SHOWN}")
        names = [column[0] for column in found.description]
        rows = found.fetchall()
    except duckdb.Error as error:
        return f"{text}\n    its rows cannot be shown: {error}"
    shown = ["    " + ", ".join(f"{name}={_short(value)}" for name, value in zip(names, row, strict=True)) for row in rows]
    return "\n".join([text, *shown])


def _first_lines(message: str | None, count: int = 6) -> str:
    return "\n    ".join((message or "no message").strip().splitlines()[:count])


def _short(value: Any, length: int = 60) -> str:
    text = str(value)
    return text if len(text) <= length else text[: length - 1] + "…"
