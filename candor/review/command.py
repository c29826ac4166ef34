"""`candor review`: what waits for a person, shown, decided and counted."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from candor import runs

app = typer.Typer(help="What a person must look at: listed, shown, decided, counted.", no_args_is_help=True)
As = Annotated[
    str, typer.Option("--as", help="Reviewer and role: jane/compliance, joe/fincrime, ann/brand.", show_default=False)
]
At = Annotated[str | None, typer.Option("--at", help="The instant. Default: now.", show_default=False)]
COLUMNS = (
    "item_id",
    "kind",
    "priority",
    "queued_at",
    "due_at",
    "status",
    "code",
    "person_id",
    "offer_id",
    "offer_version",
    "people",
)


def _now(at: str | None) -> datetime:
    return runs.parse_as_of(at) if at else datetime.now(UTC).replace(microsecond=0)


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else "" if value is None else str(value)


@app.command("list")
def list_items(
    who: As,
    at: At = None,
    everything: Annotated[bool, typer.Option("--all", help="What was decided as well.")] = False,
    most: Annotated[int, typer.Option("--most", help="At most so many.")] = 50,
) -> None:
    """What the role may decide and still waits, most urgent first."""
    from candor.review import deciding
    from candor.settings import load

    reviewer, instant = deciding.Reviewer.of(who), _now(at)
    items = deciding.listed(load(), reviewer.role, instant, name=reviewer.name, everything=everything)
    for item in items[:most]:
        about = item["person_id"] or f"{item['offer_id']} v{item['offer_version']}" + (
            f" to {item['segment']}" if item["segment"] else ""
        )
        late = "  OVERDUE" if item["due_at"] < instant else ""
        typer.echo(
            f"{item['item_id']}  {item['kind']:<17} {item['code'] or '':<24} {about}  {item['status']}, due {_text(item['due_at'])}{late}"
        )
    typer.echo(f"{len(items):,} items for {reviewer.role}, {deciding.overdue(items, instant):,} overdue")


@app.command()
def show(item: Annotated[str, typer.Argument(help="The item's id.")], who: As, at: At = None) -> None:
    """Everything that is needed to decide one item. That you were shown it, and when, is put on record."""
    from candor.review import deciding
    from candor.settings import load

    found = deciding.show(load(), item, deciding.Reviewer.of(who), _now(at))
    about = found["person_id"] or found["offer_id"]
    typer.echo(f"{item}  {found['kind']}: {about}, queued {_text(found['queued_at'])}, due {_text(found['due_at'])}")
    if found["rule_id"]:
        rule = f"{found['rule_id']} v{found['v']}" if found["v"] else found["rule_id"]
        typer.echo(f"  {rule} {found['code'] or ''} {found['title'] or ''}")
        typer.echo(f"  {found['statement'] or ''}\n  {found['cite'] or ''}")
    typer.echo("Facts, and when they were observed")
    for fact in found["facts_shown"]:
        typer.echo(f"  {fact['name']} = {fact['value']}  {_text(fact['observed_at'])}")
    typer.echo("What a release would let through, unless something else stands against it")
    for offer in found["offers"]:
        typer.echo(
            f"  {offer['offer_id']} v{offer['version']} {offer['channel']} {offer['locale']}: {offer['title']} | {offer['body']}"
        )
    typer.echo(f"Decide with candor review decide {item} --as {who} --verdict release|uphold --reason …")


@app.command()
def decide(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    who: As,
    verdict: Annotated[str, typer.Option(help="release or uphold.", show_default=False)],
    reason: Annotated[str, typer.Option(help="What was looked at, and what it showed.", show_default=False)],
    expires: Annotated[
        str | None, typer.Option(help="Until when a release holds. Default: as long as it may.", show_default=False)
    ] = None,
    saw_score: Annotated[bool, typer.Option("--saw-score", help="You saw the model's score before you decided.")] = False,
    at: At = None,
) -> None:
    """Put a verdict on record. The next run goes by it."""
    from candor.review import deciding
    from candor.settings import load

    given = deciding.decide(
        load(), item, deciding.Reviewer.of(who), verdict, reason, _now(at),
        expires=runs.parse_as_of(expires) if expires else None, saw_score=saw_score,
    )  # fmt: skip
    until = f" until {_text(given.expires)}" if given.expires else ""
    typer.echo(
        f"{item}: {verdict} by {given.reviewer} ({given.role}){until}; {len(given.creatives)} creatives, from the next run on; "
        "what must not be shown goes at the next candor revoke"
    )


@app.command()
def export(
    who: As, at: At = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON instead of CSV.")] = False
) -> None:
    """The role's whole queue, decided items included, for a tool of your own."""
    from candor.review import deciding
    from candor.settings import load

    reviewer = deciding.Reviewer.of(who)
    items = deciding.listed(load(), reviewer.role, _now(at), name=reviewer.name, everything=True)
    rows = [{name: _text(item[name]) for name in COLUMNS} for item in items]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    told = io.StringIO()
    writer = csv.DictWriter(told, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    typer.echo(told.getvalue(), nl=False)


@app.command()
def report(who: As, at: At = None, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """How reviewers agree (Cohen's kappa), how fast they are, what was overturned, what is overdue."""
    from candor.review import agreement, deciding, verdicts
    from candor.settings import load

    settings, role = load(), deciding.Reviewer.of(who).role
    reviewing, instant = deciding.reviewing_of(settings), _now(at)
    given, _ = verdicts.read(settings)
    mine = {one.kind for one in reviewing.kinds if role in one.roles}
    told = agreement.report(
        [one for one in given if one.kind in mine], deciding.listed(settings, role, instant), reviewing, instant, settings
    )
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return
    for name, value in told.items():
        if not name.startswith(("kappa", "pairs_needed")) and value is not None:
            typer.echo(
                f"{name.replace('_', ' '):<28}{value:.3f}"
                if isinstance(value, float)
                else f"{name.replace('_', ' '):<28}{value}"
            )
    if told["kappa"] is None:
        typer.echo(f"{'kappa':<28}cannot tell yet: {told['pairs_needed']} more second readings")
    else:
        typer.echo(f"{'kappa':<28}{told['kappa']:.2f} ({told['kappa_low']:.2f} to {told['kappa_high']:.2f}, 95 %)")
