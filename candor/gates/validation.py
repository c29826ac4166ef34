"""Great Expectations, kept quiet and read-only: tables with expectations in, plain results and Data Docs out."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.gates.checks import CRITICAL, Table
from candor.warehouse import threads_for

if TYPE_CHECKING:
    from candor.settings import Settings

ROWS_SHOWN = 5
# Long enough for a person's key and a few values; a whole creative's text in a log helps nobody.
LONGEST_VALUE = 120


def validate(gate: str, tables: list[Table], settings: Settings, *, restricted: bool, docs: Path) -> list[dict[str, Any]]:
    """One result per expectation, in the order of `tables`; Data Docs written to `docs`, replacing what was there.

    {name, table, severity, success, observed, failing, rows, note, error, unexpected_rows: the first five}
    """
    # Before the import: it logs one line per metric it registers.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from sqlalchemy import create_engine

    # One of its modules sets its own level back to INFO while it is imported.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = _quiet_context(gx, docs)
    url, arguments = f"duckdb+buffered:///{settings.warehouse_path}", _connect_args(settings, restricted=restricted)
    # Each query has a connection of its own (see dialect); while one stands open, the others need not open the file again.
    with create_engine(url, connect_args=arguments).connect():
        source = context.data_sources.add_sql(
            name=gate, connection_string=url, create_temp_table=False, kwargs={"connect_args": arguments}
        )
        results = [result for table in tables for result in _results(gx, context, source, gate, table)]
    context.build_data_docs()
    return results


def _results(gx: Any, context: Any, source: Any, gate: str, table: Table) -> list[dict[str, Any]]:
    """One result per expectation of a table."""
    suite = context.suites.add(gx.ExpectationSuite(name=f"{gate}: {table.name}", expectations=table.expectations))
    # A query asset must start with the word select, so one that starts with its CTEs is wrapped.
    asset = source.add_query_asset(name=table.name, query=f"select * from ({table.query}) as checked_rows")
    batch = asset.add_batch_definition_whole_table("rows")
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=f"{gate}: {table.name}", data=batch, suite=suite)
    )
    outcome = definition.run(result_format=_result_format(table))
    return [_plain(table, result) for result in outcome.results]


def _connect_args(settings: Settings, *, restricted: bool) -> dict[str, Any]:
    return {
        "read_only": True,
        "config": {
            "threads": threads_for(settings),
            "memory_limit": settings.memory_limit,
            "temp_directory": str(settings.tmp_dir),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
        "attach": {"vault": str(settings.vault_path)} if restricted else {},
    }


def _quiet_context(gx: Any, docs: Path) -> Any:
    from great_expectations.data_context.types.base import ProgressBarsConfig

    import candor.gates.dialect  # noqa: F401  registers duckdb+buffered where the entry point is not installed

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for site in list(context.get_site_names()):
        context.delete_data_docs_site(site)
    if docs.exists():
        shutil.rmtree(docs)
    docs.mkdir(parents=True)
    context.add_data_docs_site(
        "run",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    return context


def _result_format(table: Table) -> dict[str, Any]:
    wanted: dict[str, Any] = {"result_format": "COMPLETE", "partial_unexpected_count": ROWS_SHOWN}
    if table.keys:
        wanted["unexpected_index_column_names"] = list(table.keys)
    return wanted


def _plain(table: Table, result: Any) -> dict[str, Any]:
    config = result.expectation_config
    found = result.result or {}
    raised = [
        info.get("exception_message") for info in _exceptions(result.exception_info or {}) if info.get("raised_exception")
    ]
    rows = found.get("details", {}).get("unexpected_rows")
    failing = found.get("unexpected_count", found.get("observed_value") if rows is not None else None)
    if rows is None:
        rows = found.get("unexpected_index_list") or [{"value": value} for value in found.get("partial_unexpected_list", [])]
    return {
        "name": config.description or _default_name(config),
        "table": table.name,
        "severity": str(getattr(config.severity, "value", config.severity) or CRITICAL),
        "success": bool(result.success),
        "observed": _short(found.get("observed_value", found.get("unexpected_count"))),
        "failing": failing,
        "rows": found.get("element_count"),
        "note": " ".join(_notes(config)),
        "error": "; ".join(str(message) for message in raised),
        "unexpected_rows": []
        if result.success
        else [{k: _short(v) for k, v in row.items()} for row in list(rows)[:ROWS_SHOWN]],
    }


def _exceptions(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Great Expectations gives one exception as it is, several as a dict of them by metric."""
    return [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]


def _notes(config: Any) -> list[str]:
    notes = config.notes
    return [notes] if isinstance(notes, str) else list(notes or [])


def _default_name(config: Any) -> str:
    words = config.type.removeprefix("expect_").replace("_", " ")
    return f"{config.kwargs['column']}: {words}" if "column" in config.kwargs else words


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
