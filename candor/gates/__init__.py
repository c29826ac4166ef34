"""Gates: suites of expectations that can stop a run before a bad batch goes further.

`run(gate, as_of)` checks, writes the gate's JSON and Data Docs into the run's report folder, and raises GateFailed when a
critical expectation failed or any expectation could not be evaluated. Warnings are recorded and shown. What is expected, and
why, is in `expectations/`: one module per gate.
"""

from __future__ import annotations

import html
import importlib
import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.errors import GateFailed, UsageError
from candor.gates.checks import CRITICAL, Inputs
from candor.warehouse import connect, sql_timestamp, utc

if TYPE_CHECKING:
    from candor.settings import Settings

log = logging.getLogger("candor")

GATES = ("raw", "identity", "features", "served")
# The raw gate judges the restricted tables too. It shows their row hashes and deliveries, never their contents.
RESTRICTED_GATES = frozenset({"raw"})


def run(gate: str, as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """{gate, passed, critical_failed, warnings, checks: how many, report} of a gate that let the run pass.

    Raises GateFailed with the first failing rows of every critical failure; UsageError for a gate that does not exist.
    """
    if gate not in GATES:
        raise UsageError(f"there is no gate {gate!r}", hint=f"gates: {', '.join(GATES)}")
    settings = settings or settings_module.load()
    restricted = gate in RESTRICTED_GATES
    with connect(settings, restricted=restricted) as connection:
        pinned = runs.current(connection, as_of)
        columns = connection.execute(
            "select case when table_catalog = 'vault' then 'vault.' else '' end || table_schema || '.' || table_name, "
            "column_name, data_type from information_schema.columns order by all"
        ).fetchall()
        [(earlier,)] = connection.execute(
            "select count(*) from state.batches where as_of < ? and batch_seq < ?", [utc(as_of), pinned.batch_seq]
        ).fetchall()
    relations: dict[str, dict[str, str]] = {}
    for relation, column, kind in columns:
        relations.setdefault(relation, {})[column] = kind
    inputs = Inputs(settings, pinned, sql_timestamp(as_of), earlier, frozenset(relations), relations)
    folder = runs.report_dir(settings, pinned)

    tables = importlib.import_module(f"expectations.{gate}").tables(inputs)
    from candor.gates.validation import validate

    checks = validate(gate, tables, settings, restricted=restricted, docs=folder / "data_docs" / gate)
    failed = [check for check in checks if not check["success"] and (check["severity"] == CRITICAL or check["error"])]
    warned = [check for check in checks if not check["success"] and check not in failed]
    content = {
        "gate": gate,
        "run_id": pinned.run_id,
        "as_of": pinned.as_of.isoformat(),
        "passed": not failed,
        "critical_failed": len(failed),
        "warnings": len(warned),
        "checks": checks,
        "data_docs": f"data_docs/{gate}/index.html",
    }
    runs.write_json(folder / "gates" / f"{gate}.json", content)
    _list_data_docs(folder / "data_docs")
    for check in warned:
        log.warning("%s", describe(check))
    if failed:
        raise GateFailed(
            f"the {gate} gate refused the run of {pinned.as_of:%Y-%m-%dT%H:%M:%SZ}: "
            f"{len(failed)} of {len(checks)} checks failed\n" + "\n".join(describe(check) for check in failed),
            hint=f"reports/{pinned.run_id}/gates/{gate}.json has every check, data_docs/{gate}/index.html shows them; "
            "yesterday's offers are still live",
        )
    return {key: content[key] for key in ("gate", "passed", "critical_failed", "warnings")} | {
        "checks": len(checks),
        "warned": [check["name"] for check in warned],
    }


def describe(check: dict[str, Any]) -> str:
    """The failing check in words: table, how many rows, the note, the first rows."""
    if check["error"]:
        said = f"{check['table']}: could not evaluate {check['name']!r} ({check['severity']}): {check['error']}"
    else:
        rows = "" if check["rows"] is None else f" of {check['rows']:,}"
        number = check["failing"]
        counted = f"{number:,}{rows} rows break" if number is not None else f"observed {check['observed']} breaks"
        said = f"{check['table']}: {counted} {check['name']!r} ({check['severity']})"
    lines = [said, f"  {check['note']}"]
    lines += ["  " + ", ".join(f"{key} {value}" for key, value in row.items()) for row in check["unexpected_rows"]]
    return "\n".join(lines)


def _list_data_docs(folder: Path) -> None:
    """One page that links the Data Docs of every gate the run has passed through so far."""
    links = "".join(
        f'<li><a href="{html.escape(gate)}/index.html">{html.escape(gate)}</a></li>'
        for gate in GATES
        if (folder / gate / "index.html").exists()
    )
    page = f"<!doctype html><meta charset='utf-8'><title>Gates of this run</title><h1>Gates of this run</h1><ul>{links}</ul>\n"
    (folder / "index.html").write_text(page, encoding="utf-8")
