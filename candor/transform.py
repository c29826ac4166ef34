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
from candor.warehouse import connect, one_row, utc

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
    layer: str,
    as_of: datetime,
    settings: Settings | None = None,
    *,
    vars: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Models and tests of one layer built for `as_of`: {layer, models: [{name, status, rows, seconds}],
    tests: {passed, failed, warned}, seconds}.

    Raises BuildFailed with one line per model that did not build and, per failed test, the first rows that failed it.
    """
    settings = settings or settings_module.load()
    if layer not in LAYERS:
        raise UsageError(f"there is no layer {layer!r}", hint=f"layers: {', '.join(LAYERS)}")
    started = time.monotonic()
    restricted = layer in RESTRICTED_LAYERS
    with connect(settings, restricted=restricted) as connection:
        run = runs.current(connection, as_of)
    given = _variables(settings, run, with_rules=layer == "eligibility") | (vars or {})

    select = [f"path:models/{layer}"] + (["resource_type:seed"] if layer == "staging" else [])
    results = _dbt(
        ["build", "--select", *select, "--exclude-resource-type", "unit_test"],
        settings,
        target=_target(restricted),
        variables=given,
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
        "DBT_CANDOR_THREADS": str(settings.threads),
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


def _dbt(arguments: list[str], settings: Settings, *, target: str, variables: dict[str, Any]) -> Any:
    """The results of one dbt command. Raises BuildFailed when dbt could not even start on the models."""
    import json

    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    for path in (settings.dbt_dir, settings.tmp_dir):
        path.mkdir(parents=True, exist_ok=True)
    project = str(settings.dbt_project_dir)
    flags = [
        *("--project-dir", project),
        *("--profiles-dir", project),
        *("--target", target),
        # Each target has its own folder: dbt would otherwise parse everything anew whenever the target changes.
        *("--target-path", str(settings.dbt_dir / target)),
        *("--log-path", str(settings.dbt_dir / "logs")),
        *("--log-level", "none", "--log-level-file", "info"),
        # What a build did is told by `_outcome`; manifest and run results, some megabytes a layer, nobody reads.
        "--no-write-json",
    ]
    try:
        with _environment(settings):
            manifest = _parsed(flags, settings, target)
            return _invoked(
                [*arguments, *flags, "--vars", json.dumps(variables, sort_keys=True, default=str)], settings, manifest
            )
    finally:
        DuckDBConnectionManager.close_all_connections()


def _invoked(arguments: list[str], settings: Settings, manifest: Manifest | None = None) -> Any:
    """What dbt answers. Raises BuildFailed when it ends with an exception."""
    from dbt.cli.main import dbtRunner

    answer = dbtRunner(manifest=manifest).invoke(arguments)
    if answer.exception is not None:
        raise BuildFailed(
            f"dbt {arguments[0]} could not run: {answer.exception}", hint=f"dbt's log: {settings.dbt_dir / 'logs' / 'dbt.log'}"
        ) from answer.exception
    return answer.result


# The parsed project by folder and target, as it was when its files were these: of this process only. Used as a copy, since dbt writes into it.
_PARSED: dict[tuple[Path, str], tuple[tuple[tuple[str, int, int], ...], Manifest]] = {}


def _parsed(flags: list[str], settings: Settings, target: str) -> Manifest:
    """The parsed project, parsed without variables.

    Models read their variables when they are compiled, none when it is parsed. dbt parses everything anew when a variable is another, and the instant
    of the run always is: what it keeps (partial_parse.msgpack) is only ever used again when it was parsed without any.
    """
    project = settings.dbt_project_dir
    files = sorted(path for path in project.rglob("*") if path.is_file())
    state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    known, manifest = _PARSED.get((project, target), (None, None))
    if manifest is None or known != state:
        manifest = _invoked(["parse", *flags], settings)
        _PARSED[project, target] = (state, manifest)
    return manifest.deepcopy()


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
                rows = one_row(connection, f"select count(*) from {node.relation_name}")[0] if built else None
                seconds = round(result.execution_time, 2)
                models.append({"name": node.name, "status": status, "rows": rows, "seconds": seconds})
                counted = f"{rows:>12,}" if built else f"{'-':>12}"
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
