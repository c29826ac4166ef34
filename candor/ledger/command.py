"""`candor explain` and `candor ledger verify`: answered from published files, never from the warehouse."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The chain of published runs: what was decided stays what it was.")


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            help="The hash of an entry noted elsewhere, which the chain must hold: shows that its end was not cut off.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="The instant of reading: nothing was dropped after it. Default: now.", show_default=False),
    ] = None,
) -> None:
    """Walk the chain from the first published run, hash every file again, and name the first that differs. Exit code 1 if one does."""
    from candor import runs
    from candor.ledger import chain
    from candor.settings import load

    verdict = chain.verify(load(), head=head, at=runs.parse_as_of(at) if at else datetime.now(UTC))
    if verdict.difference is not None:
        raise chain.LedgerBroken(
            f"{verdict.difference}; {verdict.runs} runs before it are as they were published",
            hint="restore the file from the write-once copy; until then nothing may rest on this run",
        )
    closed = f", {verdict.files_closed:,} restricted files not read (this account may not)" if verdict.files_closed else ""
    dropped = (
        f", {verdict.files_dropped:,} were dropped when their period of retention was over" if verdict.files_dropped else ""
    )
    typer.echo(f"{verdict.runs:,} published runs, {verdict.files:,} files are as they were published{closed}{dropped}")
    typer.echo(f"head: {verdict.head or 'none, nothing was published yet'}")
    for run_id in verdict.unchained:
        typer.echo(f"not in the chain: {run_id} (published before there was one; running its day again adds it)")


def explain(
    person: Annotated[
        str, typer.Argument(help="A person_id, kind/identifier, an account or contact id, an e-mail address or a phone number.")
    ],
    offer: Annotated[str | None, typer.Option(help="Only this offer.", show_default=False)] = None,
    channel: Annotated[str | None, typer.Option(help="Only this channel.", show_default=False)] = None,
    role: Annotated[
        str, typer.Option("--as", help="Who asks: customer, support, marketing, compliance or fincrime.")
    ] = "marketing",
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="A day or an instant, 2026-11-23 or 2026-11-23T15:00:00Z. Default: the latest published run.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every reason of every offer and channel.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page (.html) and say where it is.", show_default=False)
    ] = None,
) -> None:
    """Why a person sees what they see, and why not the rest: all reasons, scores, rank, versions, as they were when it was decided.

    Any past run answers as it did on its day. What is shown depends on the role: a customer and support read only what may be said.
    """
    from candor import warehouse
    from candor.erasure.erased import erased_people
    from candor.errors import UsageError
    from candor.identity.published import Published
    from candor.ledger import explaining, page, published, roles, telling
    from candor.settings import load

    if html is not None and html.suffix != ".html":
        raise UsageError(f"{html.name} does not end in .html", hint="the page is HTML")
    settings, asking = load(), roles.role(role)
    if since := erased_people(settings).get(person):
        raise UsageError(
            f"{person} was erased as of {since}: whose decisions these were is known to nobody any more",
            hint="the decisions stand in the ledger, under this id and nobody's name; candor ledger verify holds them to the chain",
        )
    entry = published.find(settings, on)
    with warehouse.scratch(settings) as connection:
        decisions = published.Decisions(connection, settings, entry, asking)
        person_id, identifier = Published(connection, settings, entry.run_id).who(person)
        if person_id is None:
            raise UsageError(
                f"{person} belonged to nobody in run {entry.run_id}",
                hint=f"candor identity show {'/'.join(identifier or (person,))} says why",
            )
        explanation = explaining.explain(decisions, person_id, offer=offer, channel=channel)
    if html is None:
        typer.echo(telling.as_json(explanation) if as_json else telling.as_text(explanation), nl=False)
        return
    html.parent.mkdir(parents=True, exist_ok=True)
    beside = html.with_name(f".{html.name}.{os.getpid()}")
    beside.touch(mode=0o600)  # it is about one person, and may hold what only its role may know
    beside.write_text(page.page(explanation), encoding="utf-8")
    os.replace(beside, html)
    typer.echo(f"page: {html}")
