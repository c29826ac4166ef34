"""`candor policy …`: what the rules are, mean and decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from candor.errors import CandorError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help=(
        "What the rules are, mean and decide.\n\n"
        "`check` the folder, `explain` a rule or a code, `facts` that rules read, `evaluate` a table of cases, hold the rules to a file of "
        "expected decisions with `conformance`. Before a change is signed: what it says (`diff`) and what it would do (`simulate`)."
    ),
)

Shop = Annotated[
    str | None, typer.Option("--shop", help="Whose rules: a file of policy/shops; default CANDOR_SHOP.", show_default=False)
]


class NotConforming(CandorError):
    """Cases are decided otherwise than expected."""

    exit_code = 1


class _Told:
    """A line on standard error, where that is a terminal, that names what is being built; gone when done."""

    def __enter__(self) -> Callable[[str], None]:
        from rich.console import Console

        self._status = Console(stderr=True).status("reading the run")
        self._status.start()
        return lambda model: self._status.update(f"building {model}")

    def __exit__(self, *error: object) -> None:
        self._status.stop()


def _policy(shop: str | None) -> Any:
    from candor.policy.loading import load
    from candor.settings import load as load_settings

    settings = load_settings()
    return load(settings.policy_dir, shop or settings.shop)


@app.command()
def check(shop: Shop = None) -> None:
    """Validate the policy folder; prints its version, or every problem with file, rule and line.

    Also says which checks wait for a fact that the daily run does not know yet: cases are judged by them, the daily run is not yet.
    """
    loaded = _policy(shop)
    typer.echo(f"policy {loaded.version} is sound")
    daily = sum(len(rule.checks) + len(rule.obligations) for rule in loaded.rules)
    waiting = sum(len(rule.checks) + len(rule.obligations) for rule in loaded.waiting)
    typer.echo(f"  {daily} checks and disclosures of {len({rule.rule_id for rule in loaded.rules})} rules judge the daily run")
    if waiting:
        rules = len({rule.rule_id for rule in loaded.waiting})
        typer.echo(
            f"  {waiting} more, of {rules} rules, wait for facts that the daily run does not know yet, and judge cases only:"
        )
        for rule in sorted(loaded.waiting, key=lambda rule: (rule.rule_id, rule.version)):
            parts = [check.code for check in rule.checks] + [duty.name for duty in rule.obligations]
            typer.echo(f"    {rule.rule_id} v{rule.version}  {', '.join(parts)}: {', '.join(rule.waits_for)}")


@app.command()
def evaluate(
    facts: Annotated[
        Path, typer.Argument(help="Parquet or CSV, one row per case: case_id, c_as_of, c_channel and declared facts.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parquet to write.")],
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="The instant of cases that have no c_as_of: 2026-11-23T15:00:00Z", show_default=False),
    ] = None,
    stressed_ages: Annotated[
        bool,
        typer.Option("--stressed-ages", help="In stressed markets facts are too old as early as in the daily run."),
    ] = False,
    shop: Shop = None,
) -> None:
    """Decide any table of cases by the rules that decide the daily run.

    **Columns.** `case_id` (unique), `c_as_of` (an instant, UTC), `c_channel` (web, app, email, sms, push, chatbot, third_party_ad,
    public_ad), and any of the facts that `candor policy facts` lists: `u_…` about the person, `o_…` about the offer, `c_…` about the moment.
    Lists are lists (in CSV: `["GB", "US-NY"]`). A column left out is an unknown fact, as is a null; unknown never helps.
    `<fact>__observed_at` says when a fact was observed: too old for the fact, or later than `c_as_of`, makes it unknown. The age is the
    rules' own in any market; with `--stressed-ages` the house's shorter ones hold while `c_vol_rank` is 2 or unknown, as in the daily run.
    `c_releases` is a list of `{rule, until}`: holds that a reviewer lifted.

    **Result**, in the order of `case_id`: `decision` (BLOCK, HOLD, ALLOW), `codes` (every reason that stands), `released` (holds lifted),
    `penalty_bp`, `obligations` (disclosures that the creative must carry), `explanation` (SPECIFIC: some reason may be told; GENERIC: only
    the constant sentence; null: nothing to explain).

    Example: `candor policy evaluate cases.parquet --out decisions.parquet`
    """
    from candor import runs
    from candor.policy import evaluation
    from candor.settings import load as load_settings

    settings = load_settings()
    counts = evaluation.evaluate_file(
        _policy(shop),
        facts,
        out,
        as_of=None if as_of is None else runs.parse_as_of(as_of),
        shrinks=stressed_ages,
        threads=settings.threads,
    )
    told = ", ".join(f"{decision} {count:,}" for decision, count in counts.decisions.items())
    typer.echo(f"{counts.cases:,} cases decided: {told or 'none'}; written to {out}")


@app.command()
def conformance(
    file: Annotated[Path, typer.Argument(help="YAML: a list of cases, each with what it expects.")],
    base: Annotated[
        Path | None,
        typer.Option(
            "--base", help="The facts that cases start from; default: base.yaml (or base.yml) beside FILE.", show_default=False
        ),
    ] = None,
    shop: Shop = None,
) -> None:
    """Hold the rules to a file of cases; prints each difference. Exit code 0: all agree, 1: some differ, 2: the file cannot be read.

    A case names a persona `p` and an offer `o` of the base, what it changes (`u` facts of the person, `of` of the offer, `ch` channel,
    `at` instant, `vol` market state, `age` hours since a fact was observed, `rel` releases, `list_ok`), and what it expects: `d` decision,
    `c` exactly these codes, `inc` at least these, `ob` obligations, `pen` penalty, `ex` kind of explanation.

    Example: `candor policy conformance tests/unit/policy/cases.yml`
    """
    from candor.policy import conformance as cases

    total, differences = cases.check(_policy(shop), file, base)
    wrong = {difference.case_id for difference in differences}
    if differences:
        rows = [("case", "field", "expected", "got"), *((one.case_id, one.field, one.expected, one.got) for one in differences)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            typer.echo("  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]).rstrip())
    told = f"{total - len(wrong)} of {total} cases agree"
    if wrong:
        raise NotConforming(told, hint="`candor policy explain CODE` says what stands behind a code")
    typer.echo(told)


@app.command()
def explain(
    what: Annotated[str, typer.Argument(help="A rule (UK-002) or a code (UK_INCENTIVE_BAN, KYC_EXPIRED_UNKNOWN).")],
    shop: Shop = None,
) -> None:
    """What a rule or a code means, in plain words: what it asks, of whom, since when, by which law, and what the person may be told."""
    from candor.policy import explaining

    typer.echo(explaining.explain(_policy(shop), what))


@app.command()
def facts(shop: Shop = None) -> None:
    """The columns that a table of cases may have: type, how old a value may be, meaning and, in brackets, the values it may take."""
    from candor.policy import columns

    for name, kind, age, meaning in columns.listing(_policy(shop)):
        typer.echo(f"{name:<24} {kind:<8} {age:<6} {meaning}".rstrip())


@app.command()
def diff(
    first: Annotated[
        str, typer.Argument(metavar="OLD", help="OLD, or NEW alone: a policy folder, a pack's file, or a remembered version.")
    ],
    second: Annotated[str | None, typer.Argument(metavar="NEW", help="NEW, when the first is OLD.", show_default=False)] = None,
    json_: Annotated[bool, typer.Option("--json", help="As JSON, one entry per change.")] = False,
    shop: Shop = None,
) -> None:
    """What differs between two policies, in words: rules, permissions, product lines, quiet hours, channels, limits, brand, owners.

    For each change: whether it can only permit, only restrict, or go either way, by how rules are built, and whom it can touch. OLD is by
    default the policy of the latest run, or the policy folder when nothing has run. A pack's file alone is read with the other files of
    OLD (as OLD itself: with those of the policy folder). Exit code 0 with and without differences, 2 when a policy cannot be read.

    Example: `candor policy diff policy draft`
    """
    import json
    import tempfile
    from dataclasses import replace

    from candor.policy import differences, finding
    from candor.settings import load as load_settings

    settings = load_settings()
    settings = replace(settings, shop=shop or settings.shop)
    with tempfile.TemporaryDirectory() as work:
        if second is None:
            old, new = finding.folder_of_latest_run(settings) or settings.policy_dir, first
        else:
            old, new = finding.folder_of(first, settings, base=settings.policy_dir, work=Path(work) / "old"), second
        before, after, changes = differences.between(
            old, finding.folder_of(new, settings, base=old, work=Path(work) / "new"), settings.shop
        )
    if json_:
        typer.echo(json.dumps(differences.as_json(before, after, changes), indent=2, ensure_ascii=False))
    else:
        typer.echo(differences.told(before, after, changes))


@app.command()
def simulate(
    new: Annotated[str, typer.Argument(help="The policy to try: a folder, a pack's file, or a remembered version.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="The run to decide again, which must be the one that stands; default: that one.", show_default=False
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with a chart here.", show_default=False)] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all counts here.", show_default=False)] = None,
    as_: Annotated[
        str, typer.Option("--as", help="compliance: small numbers and restricted codes too; anybody else: without them.")
    ] = "anybody",
    shop: Shop = None,
) -> None:
    """What a policy would do to the run that stands: who gains and who loses which offers, before anybody signs it. Changes nothing.

    Decides the run's own facts by the new policy, with the SQL that decides every run. Says how many people and offers are permitted before
    and after, by offer, channel, segment, market and code, who is left without anything, and which served offers would fall away. Which of
    the permitted offers people are then shown is chosen anew every day and is not simulated. A pack's file alone is read with the other
    files of the run's policy.

    Numbers of fewer than 20 people are hidden, also in the files; a change of restricted rules is shown to compliance only.

    Example: `candor policy simulate draft/pack.yaml --html change.html`
    """
    import json
    import tempfile
    from dataclasses import replace

    from candor import runs
    from candor.policy import differences, finding, rebuilding, shown, simulation
    from candor.policy.store import for_run
    from candor.runs import write_json
    from candor.settings import load as load_settings

    if as_ not in ("anybody", "compliance"):
        raise UsageError(f"--as must be compliance, or left out, is {as_!r}", hint="only compliance sees more than anybody")
    settings = load_settings()
    settings = replace(settings, shop=shop or settings.shop)
    instant = None if as_of is None else runs.parse_as_of(as_of)
    all_shown = as_ == "compliance"
    with rebuilding.attached(settings) as connection:
        run = simulation.standing_run(connection, instant)
    base = settings.state_dir / "policy" / for_run(settings, run).version
    with tempfile.TemporaryDirectory() as work:
        _, policy, changes = differences.between(
            base, finding.folder_of(new, settings, base=base, work=Path(work)), settings.shop
        )
    with _Told() as told:
        result = simulation.simulate(settings, policy, as_of=run.as_of, may_see_restricted=all_shown, told=told)
    seen = result if all_shown else shown.suppressed(result)
    typer.echo(shown.text(seen, all_shown=all_shown))
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(
            shown.page(
                seen, all_shown=all_shown, changes=[f"{differences.sentence(one)} ({one.direction})" for one in changes]
            ),
            encoding="utf-8",
        )
        typer.echo(f"\nwritten to {html}")
    if json_file is not None:
        write_json(json_file, json.loads(json.dumps(seen, default=str)))
        typer.echo(f"written to {json_file}")
