"""`candor identity graph`: an edge list in, every node with its cluster, hub flag and sybil score out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor.errors import UsageError

if TYPE_CHECKING:
    from candor.identity.wallets.reading import Intake

Edges = Annotated[
    list[Path],
    typer.Argument(
        help="CSV or Parquet files, or folders of them: from_id, to_id and, where known, kind (chain and asset), occurred_at, amount."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Where to write the nodes (.parquet).", show_default=False)]
Evidence = Annotated[
    Path | None,
    typer.Option("--evidence", help="Where to write the links kept, one row per pair (.parquet).", show_default=False),
]
Cut = Annotated[
    Path | None, typer.Option("--cut", help="Where to write the links refused, with the reason (.parquet).", show_default=False)
]
Map = Annotated[
    list[str] | None, typer.Option("--map", help="A column by another name: their=ours. Repeatable.", show_default=False)
]
SamePerson = Annotated[
    bool, typer.Option("--same-person", help="An edge says that both ends are one person, it is no transfer.")
]


def graph(
    edges: Edges, out: Out, evidence: Evidence = None, cut: Cut = None, map_: Map = None, same_person: SamePerson = False
) -> None:
    """Cluster an edge list of wallet transfers: who is one owner, who is a hub, who looks like a farm.

    Writes every node once: `node_id, cluster_id, is_hub, sybil_score` (0 to 1, higher is worse), `cluster_size, counterparties, evidence`.
    The same rows in any order give the same bytes.
    """
    from candor.identity.answers import write_parquet
    from candor.identity.wallets import cluster_transfers, reading
    from candor.settings import load
    from candor.warehouse import scratch

    for path in (out, evidence, cut):
        if path is not None and path.suffix != ".parquet":
            raise UsageError(f"{path.name} does not end in .parquet", hint="results are written as Parquet")
    settings = load()
    with scratch(settings, threads=settings.threads) as connection, _telling() as told:
        told("reading")
        source = reading.open_files(connection, edges)
        found = cluster_transfers(source, connection=connection, mapping=_pairs(map_ or []), same_person=same_person, told=told)
    write_parquet(found.nodes, out)
    if evidence is not None:
        write_parquet(found.links, evidence)
    if cut is not None:
        write_parquet(found.cut, cut)
    for line in _intake_lines(found.intake):
        typer.echo(line, err=True)
    typer.echo(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in found.counts.items()))


def _pairs(given: list[str]) -> dict[str, str]:
    broken = [each for each in given if each.count("=") != 1 or each.startswith("=") or each.endswith("=")]
    if broken:
        raise UsageError(f"--map {broken[0]!r} is not their=ours", hint="for example --map sender=from_id --map receiver=to_id")
    return {theirs: ours for theirs, _, ours in (each.partition("=") for each in given)}


def _intake_lines(intake: Intake) -> list[str]:
    lines = [f"{intake.rows:,} rows, columns used: {', '.join(intake.used)}"]
    if intake.ignored:
        lines.append(f"columns ignored: {', '.join(intake.ignored)}")
    lines += [f"rows refused: {count:,} ({reason})" for reason, count in intake.refused.items()]
    lines += [f"values not understood, taken as unknown: {count:,} ({column})" for column, count in intake.unreadable.items()]
    return lines


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """A function that shows what is being done on a terminal, and says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda step: status.update(step)
