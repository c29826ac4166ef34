"""`candor identity show` and `candor identity why`: questions about who is who, answered from what a run published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from candor.identity.published import Edge, Published

AsOf = Annotated[str | None, typer.Option("--as-of", help="Default: the latest run that published.", show_default=False)]
Name = "A person_id, kind/identifier, an account or contact id, an e-mail address or a phone number."


def show(
    person: Annotated[str, typer.Argument(help=Name)],
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write the page (.html).", show_default=False)] = None,
) -> None:
    """Draw one person's graph: every identifier, why it is theirs, what was refused and why, what happened to them.

    Writes a page with the picture and says where it is.
    """
    from candor.errors import UsageError
    from candor.identity import drawing

    if out is not None and out.suffix != ".html":
        raise UsageError(f"{out.name} does not end in .html", hint="the page is HTML with the picture inside")
    with _published(as_of) as published:
        person_id, identifier = published.who(person)
        if person_id is None:
            assert identifier is not None
            typer.echo(f"{drawing.short(identifier)} belongs to nobody:")
            for line in _refusals(published.edges_at(identifier)):
                typer.echo(f"  {line}")
            return
        found = published.person(person_id)
        path = out or published.settings.reports_dir / published.run_id / "persons" / f"{person_id}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(drawing.page(found, published.run_id), encoding="utf-8")
        os.replace(beside, path)
        typer.echo(
            f"{person_id}: {len(found.identifiers)} identifiers, weakest bridge {found.weakest_evidence} "
            f"(right in {found.match_probability:.2%} of cases)"
        )
        for member, rank, linked_at in found.identifiers:
            since = f"since {linked_at:%Y-%m-%d}" if linked_at else "the anchor"
            best = next((edge.evidence for edge in found.edges if edge.rank == rank and member in (edge.one, edge.other)), "")
            typer.echo(f"  {drawing.short(member):<40} {best:<14} {since}")
        typer.echo(f"picture and reasons: {path}")


def why(
    one: Annotated[str, typer.Argument(help=Name)], other: Annotated[str, typer.Argument(help=Name)], as_of: AsOf = None
) -> None:
    """Why two identifiers are one person, or why they are not: the strongest chain between them, or every tie refused."""
    from candor.identity.drawing import short
    from candor.identity.published import WEAK, strongest_way

    with _published(as_of) as published:
        (person, identifier), (other_person, other_identifier) = published.who(one), published.who(other)
        if person is not None and person == other_person:
            found = published.person(person)
            members = [member for member, _, _ in found.identifiers]
            start, end = identifier or members[0], other_identifier or members[0]
            typer.echo(f"one person, {person}")
            if start == end:
                typer.echo(f"  both names stand for {short(start)}")
            for edge in strongest_way(found.edges, start, end):
                meaning = f" ({WEAK[edge.evidence]})" if edge.evidence in WEAK else ""
                typer.echo(
                    f"  {short(edge.one)} and {short(edge.other)}: {edge.evidence}, known since {edge.first_known_at}{meaning}"
                )
            return
        typer.echo(f"two: {person or 'nobody'} and {other_person or 'nobody'}")
        for name, who, node in ((one, person, identifier), (other, other_person, other_identifier)):
            if who is None and node is not None:
                typer.echo(f"  {name} is nobody's:")
                for line in _refusals(published.edges_at(node))[:5]:
                    typer.echo(f"    {line}")
        lines = _between(published, person, other_person)
        typer.echo("\n".join(f"  {line}" for line in lines) if lines else "  no source ties them together")


def _between(published: Published, person: str | None, other_person: str | None) -> list[str]:
    """What ties two persons together and does not count: ties between them, and values that both touch."""
    from candor.identity.drawing import short
    from candor.identity.published import MEANINGS

    if person is None or other_person is None:
        return []
    mine, theirs = published.person(person), published.person(other_person)
    lines = _refusals([edge for edge in mine.edges if {edge.person_id, edge.other_person_id} == {person, other_person}])

    def touched(edges: list[Edge], members: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
        return {
            side: edge.reason
            for edge in edges
            if edge.reason
            for side, far in ((edge.one, edge.other), (edge.other, edge.one))
            if far in members and side not in members
        }

    here = touched(mine.edges, {member for member, _, _ in mine.identifiers})
    there = touched(theirs.edges, {member for member, _, _ in theirs.identifiers})
    for value in sorted(here.keys() & there.keys()):
        lines.append(f"both touch {short(value)}, which does not count: {here[value]} ({MEANINGS.get(here[value], '')})")
    parted = [
        event
        for event in mine.events
        if event["event"] == "split" and {event["person_id"], event["other_person_id"]} == {person, other_person}
    ]
    lines += [f"they were one until the run of {event['as_of']}: {event['evidence']}" for event in parted]
    return lines


def _refusals(edges: list[Edge]) -> list[str]:
    from candor.identity.drawing import short
    from candor.identity.published import MEANINGS

    return [
        f"{short(edge.one)} and {short(edge.other)}, {edge.evidence}: {edge.reason} ({MEANINGS.get(edge.reason or '', '')})"
        for edge in edges
        if edge.reason is not None
    ]


@contextmanager
def _published(as_of: str | None) -> Iterator[Published]:
    """The identity of the run of `as_of`, or of the latest one that published."""
    from candor import runs, warehouse
    from candor.errors import UsageError
    from candor.identity.published import Published
    from candor.reporting.collect import find_run_id, read_json
    from candor.settings import load

    settings = load()
    if as_of is not None:
        run_id = find_run_id(runs.parse_as_of(as_of), settings)
    else:
        known = [read_json(path) for path in sorted(settings.reports_dir.glob("*/run.json"))]
        published = [
            run for run in known if run and (settings.published_dir / run["run_id"] / "identity_edges.parquet").is_file()
        ]
        if not published:
            raise UsageError("no run has published anything yet", hint="candor run --as-of 2026-11-23T15:00:00Z")
        run_id = max(published, key=lambda run: run["as_of"])["run_id"]
    with warehouse.scratch(settings) as connection:
        yield Published(connection, settings, run_id)
