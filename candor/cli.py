"""The `candor` command. Exit codes: 0 done, 1 a gate or the audit refused, 2 wrong use, 3 a fault."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from candor import pipeline, runs
from candor.catalogue.command import lint as catalogue_lint
from candor.erasure import command as erasure_command
from candor.errors import CandorError, UsageError
from candor.identity import command as identity_command
from candor.identity.resolution.command import resolve as identity_resolve
from candor.identity.wallets.command import graph as wallet_graph
from candor.ledger import command as ledger_command
from candor.policy.command import app as policy_app
from candor.review.command import app as review_app

app = typer.Typer(
    name="candor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Decides which offer each customer may and should see, and proves it.\n\n"
        "A run is one instant, `--as-of`. `candor run` takes it through every stage; each stage is a command of its own "
        "and can be repeated at any time with the same result.\n\n"
        "Exit codes: 0 done, 1 a gate or the audit refused (yesterday's offers stay live), 2 wrong use, 3 a fault."
    ),
)
app.add_typer(policy_app, name="policy")
app.add_typer(review_app, name="review")
identity_app = typer.Typer(invoke_without_command=True)
app.add_typer(identity_app, name="identity")
identity_app.command("show")(identity_command.show)
identity_app.command("why")(identity_command.why)
identity_app.command("resolve")(identity_resolve)
identity_app.command("graph")(wallet_graph)
catalogue_app = typer.Typer(no_args_is_help=True, help="Whether what the shop says of its offers may be said.")
app.add_typer(catalogue_app, name="catalogue")
catalogue_app.command("lint")(catalogue_lint)
app.add_typer(ledger_command.app, name="ledger")
app.command()(ledger_command.explain)
app.command()(erasure_command.erase)
app.command()(erasure_command.retain)

AsOf = Annotated[
    str,
    typer.Option("--as-of", help="The run's instant, UTC unless it carries a zone: 2026-11-23T15:00:00Z", show_default=False),
]


def _say(text: str) -> None:
    typer.echo(text)


def _tell(name: str, result: dict[str, Any] | None) -> None:
    """One line when a stage begins on a terminal, one when it has ended."""
    if result is None:
        if sys.stderr.isatty():
            typer.echo(f"  … {name}", err=True)
        return
    from candor.reporting import one_line

    typer.echo(f"  {name:<14} {one_line(name, result)}", err=True)


def _run_stage(name: str, as_of: str) -> None:
    from candor.reporting import one_line

    result = pipeline.run_stage(name, runs.parse_as_of(as_of))
    _say(f"{name}: {one_line(name, result)}")


def _stage_command(stage: pipeline.Stage) -> None:
    def command(as_of: AsOf) -> None:
        _run_stage(stage.name, as_of)

    command.__doc__ = f"Stage: {stage.does}."
    app.command(name=stage.name.replace("_", "-"), rich_help_panel="Stages, in order")(command)


@app.command()
def run(
    as_of: AsOf,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild everything derived; pins, key map, arms and past decisions stay.")
    ] = False,
    until: Annotated[str | None, typer.Option(help="Stop after this stage.", show_default=False)] = None,
) -> None:
    """Run every stage of one day, in order."""
    from candor.reporting import print_summary
    from candor.settings import load

    settings = load()
    instant = runs.parse_as_of(as_of)
    outcome = pipeline.run(instant, settings, full_refresh=full_refresh, until=until, told=_tell)
    if until is None:
        print_summary(instant, settings)
    elif outcome["status"] != "done":
        _say(outcome["status"])


@app.command()
def train(
    as_of: Annotated[str | None, typer.Option("--as-of", help="Default: the latest run.", show_default=False)] = None,
) -> None:
    """Train a candidate on what was known at a run, evaluate it, register it, and promote it if it is good enough."""
    from candor.settings import load

    settings = load()
    instant = runs.parse_as_of(as_of) if as_of else pipeline.latest_as_of(settings)
    pipeline.prepare_training(instant, settings)
    _say(f"trained {pipeline.train(instant, settings)['model_version']}")
    pipeline.promote(instant, settings)


@app.command()
def revoke(as_of: AsOf) -> None:
    """Turn newly landed withdrawals, objections, restrictions, hits and KYC changes into suppressions, effective at once."""
    from candor import revocations

    result = revocations.run(runs.parse_as_of(as_of))
    _say(", ".join(f"{name} {value}" for name, value in result.items()))


@app.command()
def kill(
    offer: Annotated[str | None, typer.Option(help="The offer_id.", show_default=False)] = None,
    product_line: Annotated[str | None, typer.Option(help="All offers of the line.", show_default=False)] = None,
    channel: Annotated[str | None, typer.Option(show_default=False)] = None,
    market: Annotated[str | None, typer.Option(show_default=False)] = None,
    segment: Annotated[str | None, typer.Option(show_default=False)] = None,
    reason: Annotated[str, typer.Option(help="What happened, and who decided.", show_default=False)] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "operator",
    as_of: Annotated[str | None, typer.Option("--as-of", help="From when on. Default: now.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(help="Until when. Default: until it is lifted.", show_default=False)] = None,
    lift: Annotated[str | None, typer.Option(help="End the switch of this id instead.", show_default=False)] = None,
) -> None:
    """Take an offer, a product line, a channel, a market or a segment off at once, for good; of several given all must be so."""
    from datetime import UTC, datetime

    from candor import kill_switches
    from candor.settings import load

    settings = load()
    since = runs.parse_as_of(as_of) if as_of else datetime.now(UTC).replace(microsecond=0)
    if lift is not None:
        lifted = kill_switches.lift(lift, since, settings)
        _say(f"{lift} ({lifted.about}) has ended; what it hid is visible again where a run offers it")
        return
    switch = kill_switches.KillSwitch(
        offer, product_line, channel, market, segment, owner, reason, since, runs.parse_as_of(until) if until else None
    )
    done = kill_switches.kill(switch, settings)
    _say(
        f"{switch.switch_id}: {switch.about} is off from {since:%Y-%m-%dT%H:%M:%SZ} on; {done['offers_hidden']:,} live offers went"
    )
    if not done["suppressions"]:
        _say("  the store knows no offer of that product line, so only runs to come leave it out; name the offers with --offer")
    _say(f"  end it with candor kill --lift {switch.switch_id}")


@app.command()
def rollback(
    as_of: AsOf,
    to: Annotated[str | None, typer.Option(help="The run to go back to. Default: the one before.", show_default=False)] = None,
) -> None:
    """Make an earlier run live again, without whatever of it may not be shown any more by what is known now."""
    from candor import revocations
    from candor.publishing import rollback as rolling_back

    instant = runs.parse_as_of(as_of)
    done = rolling_back.run(instant, to=to)
    revoked = revocations.run(instant)
    _say(f"run {done['run_id']} of {done['decided_as_of']} is live in place of {done['rolled_back_from']}")
    _say(
        f"  {done['rows_judged']:,} offers judged again by what is known at {instant:%Y-%m-%dT%H:%M:%SZ}, {done['rows_expired']:,} had run out"
    )
    codes = ", ".join(f"{code} {count:,}" for code, count in done["masked_by_code"].items())
    _say(f"  {done['rows_masked']:,} masked{f': {codes}' if codes else ''}")
    _say(f"  {done['suppressions_again']:,} suppressions hold again, {revoked['suppressions_added']:,} were added")
    _say(f"  {done['offers_live']:,} offers of {done['people_with_offers']:,} people are live")


@app.command()
def status() -> None:
    """What is being served, and the last runs."""
    from candor.reporting import print_status
    from candor.settings import load

    print_status(load())


@app.command()
def summary(
    as_of: Annotated[str | None, typer.Option("--as-of", help="Default: the latest run.", show_default=False)] = None,
) -> None:
    """The summary of a run: counts, gates, model, offers, reasons, where to look next."""
    from candor.reporting import print_summary
    from candor.settings import load

    settings = load()
    print_summary(runs.parse_as_of(as_of) if as_of else pipeline.latest_as_of(settings), settings)


@app.command()
def trace(row_hash: Annotated[str, typer.Argument(help="32 hex digits, as found in exported rows.")]) -> None:
    """Which delivery, file and line a row came from."""
    from candor import ingest
    from candor.settings import load

    found = ingest.trace(row_hash, load())
    for place in found:
        refused = f", quarantined: {', '.join(place.reasons)}" if place.reasons else ""
        _say(f"{place.table}  delivery {place.delivery}  {place.file} line {place.line}{refused}")
    if not found:
        raise CandorError(f"no landed row has the hash {row_hash}", hint="row_hash columns of var/published hold 32 hex digits")


@app.command()
def simulate(
    landing: Annotated[Path, typer.Option(help="Where to write the deliveries.")],
    truth: Annotated[Path, typer.Option(help="Where to write the planted truth, which the pipeline never reads.")],
    people: Annotated[int, typer.Option(min=1)] = 5000,
    days: Annotated[int, typer.Option(min=1, help="Event-rich days; 180 sparse ones come before.")] = 60,
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    """Make up a crypto shop: six silos in the landing contract, with planted truth."""
    from simulation import generate

    def progress(line: str) -> None:
        typer.echo(f"  {line}", err=True)

    counts = generate(people=people, days=days, seed=seed, landing=landing.resolve(), truth=truth.resolve(), progress=progress)
    _say(", ".join(f"{name} {value:,}" for name, value in counts.items() if isinstance(value, int)))


@app.command()
def contract(write: Annotated[bool, typer.Option("--write", help="Rewrite docs/contract.md.")] = False) -> None:
    """Print the landing contract as Markdown."""
    from candor import contract as landing_contract
    from candor.settings import PROJECT_ROOT

    text = landing_contract.render_markdown()
    if write:
        (PROJECT_ROOT / "docs" / "contract.md").write_text(text, encoding="utf-8")
    else:
        _say(text)


@identity_app.callback()
def identity_stage(
    context: typer.Context,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Run the stage of this instant: 2026-11-23T15:00:00Z", show_default=False)
    ] = None,
) -> None:
    """Who is who: a person drawn and explained, files of records or transfers resolved.

    Without a command but with `--as-of` it is the stage: work out who is who, keep every person's key.
    """
    if context.invoked_subcommand is not None:
        if as_of is not None:
            raise UsageError("--as-of stands before a command", hint="candor identity show PERSON --as-of …")
    elif as_of is None:
        typer.echo(context.get_help())
    else:
        _run_stage("identity", as_of)


for _stage in pipeline.STAGES:
    if _stage.name != "identity":  # its name is also that of a group of commands
        _stage_command(_stage)


def main() -> None:
    """Run the command line; errors become one message and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        code = app(standalone_mode=False)  # typer gives back what a command exits with
    except CandorError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(3)
    except Exception as error:
        # click's own usage errors know how to show themselves; everything else is a fault and keeps its traceback
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            sys.exit(2)
        logging.getLogger("candor").exception("fault")
        sys.exit(3)
    if isinstance(code, int) and code:
        sys.exit(code)
