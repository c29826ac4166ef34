"""The summary and the status as tables in a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor.reporting.collect import collect

if TYPE_CHECKING:
    from candor.settings import Settings


def one_line(stage: str, result: dict[str, Any]) -> str:
    """The whole numbers and short words of a stage's result in one line."""
    parts = []
    for name, value in result.items():
        if name == "run_id" or isinstance(value, bool):
            continue
        if isinstance(value, int):
            parts.append(f"{name.replace('_', ' ')} {value:,}")
        elif isinstance(value, str) and len(value) <= 60:
            parts.append(f"{name.replace('_', ' ')} {value}")
        elif isinstance(value, list):
            parts.append(f"{name.replace('_', ' ')} {len(value):,}")
    return ", ".join(parts[:8]) or "done"


def metrics_told(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Each metric with its interval, where it has one, as text."""
    told = []
    for name, value in metrics.items():
        if isinstance(value, str):
            told.append((name.replace("_", " "), value))
        elif isinstance(value, dict):
            told.append((name.replace("_", " "), f"{value['value']:.4f}  [{value['lower']:.4f}, {value['upper']:.4f}]"))
        elif isinstance(value, int | float):
            told.append((name.replace("_", " "), f"{value:.4f}"))
    return told


def print_summary(as_of: datetime, settings: Settings) -> None:
    """Print what the run of `as_of` did and where to look next."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    summary = collect(as_of, settings)
    console = Console(width=120, highlight=False)

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            made.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
        return made

    console.print()
    console.rule(f"Candor  run {summary['run_id']}  as of {summary['as_of']}  {summary['status']}")
    stages = table("Stages", "stage", "status", ">seconds", "what")
    for stage in summary["stages"]:
        what = one_line(stage["stage"], stage["result"]) if "result" in stage else stage.get("error", "").splitlines()[0]
        stages.add_row(stage["stage"], stage["status"], f"{stage['seconds']:.1f}", what)
    console.print(stages)

    _print_ingest(console, table, summary)
    _print_hygiene(console, table, summary)
    if summary["gates"]:
        gates = table("Gates", "gate", "verdict", ">checks", "warnings and failures")
        for gate in summary["gates"]:
            notes = [f"{check['severity']}: {check['name']}" for check in gate["checks"] if not check["success"]]
            gates.add_row(
                gate["gate"], "passed" if gate["passed"] else "REFUSED", str(len(gate["checks"])), "; ".join(notes) or "-"
            )
        console.print(gates)
    if audit := summary["audit"]:
        bound = audit.get("bound_3_over_n")
        told = f"at most {bound:.2g} of rows wrong with 95 % confidence (3/n)" if bound else "no rows, so no bound"
        console.print(f"[bold]Audit[/bold]  {audit['rows_audited']:,} rows audited, {audit['violations']:,} violations; {told}")
        for rule, why in audit.get("rules_left_out", {}).items():
            console.print(f"  rule {rule} does not concern this shop: {why}")
        console.print()
    _print_model(console, summary)
    _print_published(console, table, summary)
    _print_decided(console, table, summary["published"])
    if summary["assumptions"]:
        console.print("[bold]Assumed where the data is silent[/bold]")
        for line in summary["assumptions"]:
            console.print(f"  {line}")
        console.print()
    folder = settings.reports_dir / summary["run_id"]
    console.print("[bold]Where to look next[/bold]")
    for label, place in (
        ("this run's page", folder / "index.html"),
        ("the gates' Data Docs", folder / "data_docs"),
        ("published files", settings.published_dir / summary["run_id"]),
        ("serving store", settings.serving_place),
        ("Airflow and MLflow", "make up"),
    ):
        console.print(f"  {label:<22} {place}", soft_wrap=True)
    console.print()


def _print_ingest(console: Any, table: Any, summary: dict[str, Any]) -> None:
    stage: dict[str, Any] = next((stage for stage in summary["stages"] if stage["stage"] == "ingest"), {})
    result = stage.get("result", {})
    console.print(
        f"[bold]Landed[/bold]  rows read {result.get('rows_read', 0):,} = loaded {result.get('rows_loaded', 0):,} "
        f"+ quarantined {result.get('rows_quarantined', 0):,}; "
        f"{sum(counts['duplicate_rows'] for counts in result.get('tables', {}).values()):,} of them repeat a key"
    )
    refused = quarantined(result)
    if refused:
        made = table("Quarantined, and why", "table", "reason", ">rows")
        for name, reason, count in refused[:12]:
            made.add_row(name, reason, f"{count:,}")
        console.print(made)
    for problem in result.get("problems", [])[:10]:
        console.print(f"  problem: {problem}")
    console.print()


def told_withheld(silo: dict[str, Any]) -> str:
    """What a late or missing silo did to the run, in words."""
    if silo["when_late"] == "stop":
        return "the run stops"
    if silo["offers_withheld"] is None:
        return "offers that need it will be withheld"
    return f"{silo['offers_withheld']} offers withheld" + (f": {', '.join(silo['offer_ids'])}" if silo["offer_ids"] else "")


def _print_hygiene(console: Any, table: Any, summary: dict[str, Any]) -> None:
    """The silos that are late or missing with what that did, and the measures that changed for the worse."""
    if summary["silos"]:
        made = table("Silos late or missing", "silo", "state", "since", ">hours", "so")
        for silo in summary["silos"]:
            hours = "" if silo["hours"] is None else f"{silo['hours']:.1f}"
            made.add_row(silo["feed"], silo["state"], silo["since"] or "never delivered", hours, told_withheld(silo))
        console.print(made)
    changed = [row for row in summary["hygiene"] if row["is_bad"]]
    if changed:
        made = table("Hygiene: changed for the worse against the last 28 runs", "measure", ">now", ">usual", "verdict", ">runs")
        for row in changed[:15]:
            name = " ".join(part for part in (row["metric"], row["source"], row["table_name"], row["key"]) if part)
            made.add_row(name, f"{row['value']:.4g}", f"{row['usual']:.4g}", row["verdict"], str(row["runs"]))
        console.print(made)
    elif summary["hygiene"]:
        judged = sum(row["verdict"] in ("usual", "low", "high") for row in summary["hygiene"])
        console.print(
            f"[bold]Hygiene[/bold]  {judged} of {len(summary['hygiene'])} measures have enough runs and rows to judge; none is worse\n"
        )


def quarantined(result: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(table, reason, rows) of what ingest refused, most first."""
    found = [
        (name, reason, count)
        for name, counts in result.get("tables", {}).items()
        for reason, count in counts["quarantined_by_reason"].items()
    ]
    return sorted(found, key=lambda row: (-row[2], row[0], row[1]))


def _print_model(console: Any, summary: dict[str, Any]) -> None:
    model = summary["model"]
    if model is None:
        console.print("[bold]Model[/bold]  no champion from an earlier training: nothing is scored and nothing is published\n")
        return
    training, promotion = model["training"], model["promotion"] or {}
    console.print(f"[bold]Model[/bold]  {training['model_version'][:16]}  trained as of {training['train_as_of']}")
    for name, told in metrics_told(training["metrics"]):
        console.print(f"  {name:<18} {told}")
    console.print(f"  {promotion.get('message', '')}\n")


def _print_who(console: Any, summary: dict[str, Any]) -> None:
    """One line on how much of what landed was said before or is out of date, one on how well people are stitched together."""
    for row in summary["published"].get("hygiene", []):
        if row["source"] == "all" and row["share_duplicated_or_outdated"] is not None:
            console.print(
                f"[bold]Which rows are true[/bold]  {row['share_duplicated_or_outdated']:.1%} of {int(row['landed_rows']):,} rows were "
                f"duplicated ({int(row['duplicated_rows']):,}) or outdated ({int(row['superseded_rows']):,})"
            )
    silos = {row["key"]: row["value"] for row in summary["hygiene"] if row["metric"] == "silos" and row["value"]}
    if silos:
        told = ", ".join(f"{silos[level]:.0%} in {level}" for level in sorted(silos))
        console.print(f"[bold]Who is who[/bold]  people by the number of silos, of six, they are seen in: {told}\n")


def _print_published(console: Any, table: Any, summary: dict[str, Any]) -> None:
    published = summary["published"]
    if not published:
        console.print("[bold]Published[/bold]  nothing\n")
        return
    total = published["offers"]
    console.print(f"[bold]Published[/bold]  {total['offers']:,} offers to {total['people']:,} people\n")
    if not total["offers"]:
        console.print("  The policy in force allows none on this day (see the reasons below).\n")
    _print_who(console, summary)
    for title, key, column in (("By channel", "by_channel", "channel"), ("By segment", "by_segment", "segment")):
        made = table(title, column, ">offers", ">people")
        for row in published[key][:12]:
            made.add_row(str(row[column]), f"{row['offers']:,}", f"{row['people']:,}")
        console.print(made)
    overall = [row for row in published.get("lifts", []) if row["dimension"] == "overall"]
    for row in overall:
        console.print(
            f"[bold]Did it help[/bold]  {row['source']}: outcome {row['rate_shown']:.1%} of {row['assignments_shown']:,} shown, "
            f"{row['rate_held_out']:.1%} of {row['assignments_held_out']:,} held out; {row['verdict']}\n"
        )
    reasons = published.get("exclusions", [])
    about_people = [row for row in reasons if row["grain"] not in ("offer", "offer_x_regime")]
    made = table(
        "Why not: rules that speak against people (all reasons are kept; restricted ones stand as ELIG_NA)",
        "code",
        ">people",
        ">pairs",
    )
    for row in about_people[:14]:
        made.add_row(row["code"], f"{row['people'] or 0:,}", f"{row['pairs'] or 0:,}")
    for row in about_people[14:]:
        if row["code"] == "ELIG_NA":
            made.add_row(row["code"], f"{row['people'] or 0:,}", f"{row['pairs'] or 0:,}")
    console.print(made)
    made = table("Why not: rules that speak against offers, creatives or markets", "code", ">pairs")
    about_offers = [row for row in reasons if row["grain"] in ("offer", "offer_x_regime")]
    for row in sorted(about_offers, key=lambda row: (-(row["pairs"] or 0), row["code"]))[:8]:
        made.add_row(row["code"], f"{row['pairs'] or 0:,}")
    console.print(made)


def _print_decided(console: Any, table: Any, published: dict[str, Any]) -> None:
    """The state of markets, what was scarce, and how many findings the catalogue lint has."""
    from candor.reporting.decided import state_told

    if told := state_told(published):
        console.print(f"[bold]Markets[/bold]  {told}\n")
    if scarce := published.get("shadow_prices"):
        made = table("Scarce", "what", ">places", ">held before", ">allocated", ">one more is worth, USD")
        for row in scarce:
            made.add_row(
                row["offer_id"] or "incentives, USD", f"{float(row['limit_units']):,.0f}", f"{row['used_before']:,}",
                f"{float(row['given']):,.0f}", f"{row['price_usd']:.2f}",
            )  # fmt: skip
        console.print(made)
    if findings := published.get("catalogue_findings"):
        console.print(f"[bold]Catalogue[/bold]  {len(findings)} findings of the lint; candor catalogue lint quotes them\n")


def print_status(settings: Settings) -> None:
    """Print the run that readers see now and the ones before it."""
    from rich.console import Console
    from rich.table import Table

    from candor.publishing import list_runs

    console = Console(width=120, highlight=False)
    runs = list_runs(settings)
    if not runs:
        console.print("nothing has been published yet")
        return
    made = Table("", "run", "as of", "published", "offers", "people", "model", "policy")
    for row in runs:
        made.add_row(
            "▶" if row["is_current"] else "", row["run_id"], row["as_of"], row["published_at"],
            f"{row['rows']:,}", f"{row['people']:,}", (row["model_version"] or "")[:12], row["policy_version"],
        )  # fmt: skip
    console.print(made)
