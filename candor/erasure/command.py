"""`candor erase`: a person taken out of everything, with a proof."""

from __future__ import annotations

from typing import Annotated

import typer

from candor.errors import UsageError


def erase(
    as_of: Annotated[str, typer.Option("--as-of", help="When it is done: 2026-11-23T16:00:00Z", show_default=False)],
    person: Annotated[list[str] | None, typer.Option(help="A person_id.", show_default=False)] = None,
    identifier: Annotated[
        list[str] | None, typer.Option(help="kind/identifier of the person: account_id/…, email/…", show_default=False)
    ] = None,
    requested: Annotated[
        bool,
        typer.Option(
            "--requested", help="Everybody whose request (compliance.restrictions, kind erasure) has landed and is due."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is there.")] = False,
) -> None:
    """Erase people everywhere their data lies, and prove it; goes on with what a killed erasure left. Exit code 1 if anything is left."""
    from candor import runs
    from candor.erasure import erase as erasure
    from candor.erasure.erase import NotErased
    from candor.erasure.telling import as_text
    from candor.settings import load

    settings, instant = load(), runs.parse_as_of(as_of)
    identifiers = list(identifier or ())
    if requested:
        due, unknown = erasure.requested(settings, instant)
        identifiers += due
        typer.echo(f"{len(due)} requests are due, {unknown} more are of nobody here (erased before, or never landed)")
    elif not person and not identifiers and dry_run:
        raise UsageError("nobody was named", hint="--person, --identifier or --requested")
    outcomes = erasure.erase(instant, settings, persons=person or (), identifiers=identifiers, dry_run=dry_run)
    for outcome in outcomes:
        typer.echo(as_text(outcome.report), nl=False)
        if outcome.path is not None:
            typer.echo(f"  report: {outcome.path}")
    if not outcomes:
        typer.echo("nothing to erase")
    if not all(outcome.is_proven for outcome in outcomes):
        raise NotErased(
            "something of the person is left", hint="the lines FOUND and LEFT say where; candor erase goes on with it"
        )


def retain(
    as_of: Annotated[str, typer.Option("--as-of", help="When it is done: 2026-11-23T16:00:00Z", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is past its period.")] = False,
) -> None:
    """Drop what is past the period that policy/retention.yml gives its class."""
    from candor import runs
    from candor.erasure import retain as retention
    from candor.settings import load

    for one in retention.retain(runs.parse_as_of(as_of), load(), dry_run=dry_run):
        period = "indefinitely" if one["months"] is None else f"{one['months']} months"
        typer.echo(f"{one['record_class']:<24} {period:<14} past {one['past']:>8,}  dropped {one['dropped']:>8,}")
