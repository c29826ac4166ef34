"""The audit: permission of every staged offer derived again, from raw deliveries, by a second implementation.

It is written from the definitions in policy/facts.yml and the texts of the rules, in Polars, and shares no code with the SQL that decided.
Taken as given, because they are inputs of both: identity.person_identifiers (who is who), state.arms, vault.state.withheld,
state.phone_numbers (the answers of the phone library), core.people.lifecycle_stage, and the policy's tables. It blocks; it never edits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.audit import catalogue, killed, released
from candor.audit import rulebook as rulebooks
from candor.audit.evaluation import wide_rows
from candor.audit.inputs import Inputs, holders, merged_people, pinned_raw, read
from candor.audit.rules import NEUTRAL_CODE, checks, rule_hash, violations
from candor.errors import AuditFailed
from candor.warehouse import connect, utc

if TYPE_CHECKING:
    import polars as pl

    from candor.audit.raw import Raw
    from candor.settings import Settings

log = logging.getLogger("candor")

ROWS_SHOWN = 5
# Raw tables the verdict rests on: each must be there row for row.
RAW_TABLES = [
    "exchange.accounts",
    "wallets.wallet_links",
    "crm.contacts",
    "crm.consents",
    "crm.preferences",
    "crm.messages",
    "compliance.kyc_records",
    "compliance.screening_runs",
    "compliance.screening_hits",
    "compliance.restrictions",
    "compliance.assessments",
    "catalogue.offers",
    "catalogue.creatives",
    "catalogue.approvals",
    "market.prices",
    "events.events",
    "surveys.responses",
]


@dataclass(frozen=True)
class Context:
    """What the rules may know besides the rows."""

    as_of: datetime
    run_id: str
    rulebook: rulebooks.Rulebook
    killed: tuple[dict[str, str], ...] = ()  # what each kill switch names that holds
    verdicts: released.Verdicts | None = None  # what reviewers said by then
    decided_as_of: datetime | None = None  # of rows of an earlier run, which are judged by what is known at as_of


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """Rows audited, violations (0), the bound, and the hashes of what was judged by what; also in the run's audit.json.

    Raises AuditFailed naming the first rows and rule paths when a row may not go out; incident.json then says so too.
    """
    from candor.publishing import staged_hash

    settings = settings or settings_module.load()
    with connect(settings, restricted=True) as connection:
        pinned = runs.current(connection, as_of)
        hashed = staged_hash(connection)
        snapshot = settings.state_dir / "policy" / pinned.policy_version
        rules = rulebooks.load(snapshot, settings.shop)
        context = Context(
            utc(as_of),
            pinned.run_id,
            rules,
            killed_by_now(settings, snapshot, utc(as_of)),
            verdicts_by_now(settings, rules, utc(as_of), merged_people(connection)),
        )
        listed = checks(context)
        capped = _capped_offers(pinned_raw(connection, pinned, settings), context)
        held = holders(connection, pinned, capped)
        verdict = _judge(read(connection, pinned), held, settings, context, listed)
    found, counts, rows = verdict.found, verdict.counts, verdict.rows
    folder = runs.report_dir(settings, pinned)
    _write_restricted(found, settings.restricted_published_dir / pinned.run_id, settings)

    broken = found["decision_id"].n_unique()
    content = {
        "run_id": pinned.run_id,
        "as_of": pinned.as_of.isoformat(),
        "rows_audited": rows,
        "people_audited": verdict.people,
        "violations": broken,
        # With no violation in n rows the one-sided 95 % upper bound of the rate is 3/n; of no rows nothing follows.
        "bound_3_over_n": 3 / rows if rows and not broken else None,
        "rule_hash": rule_hash(listed),
        "rules": len({check.rule for check in listed}),
        "rules_left_out": rules.leaves_out,
        "policy_version": pinned.policy_version,
        "policy_files_hash": rules.content_hash,
        "staged_hash": hashed,
        "checks": _open_counts(found, counts, listed, rows),
    }
    runs.write_json(folder / "audit.json", content)
    incident = folder / "incident.json"
    if not broken:
        incident.unlink(missing_ok=True)  # of an earlier attempt of this run, whose rows were refused and built again
        return {key: content[key] for key in ("rows_audited", "people_audited", "violations", "bound_3_over_n", "rule_hash")}
    raise _refusal(found, content, incident)


def killed_by_now(settings: Settings, policy_folder: Path, as_of: datetime) -> tuple[dict[str, str], ...]:
    """What each kill switch names that holds at `as_of` (naive UTC), of the policy's and of those that `candor kill` recorded."""
    return tuple(killed.switches(policy_folder, settings.state_dir / "kill_switches.jsonl", as_of))


def verdicts_by_now(
    settings: Settings, rules: rulebooks.Rulebook, as_of: datetime, merged: dict[str, str]
) -> released.Verdicts:
    """What reviewers said by `as_of` (naive UTC)."""
    file = settings.restricted_dir / "review_verdicts.jsonl"
    return released.verdicts(file, rules.pack_rules, rules.reviewing, as_of, merged)


@dataclass(frozen=True)
class _Verdict:
    """What the checks said about all staged rows."""

    found: pl.DataFrame  # one row per staged offer and check it breaks
    counts: dict[str, dict[str, Any]]  # per code: rule, rows it applied to, violations
    rows: int
    people: int


def _capped_offers(raw: Raw, context: Context) -> list[str]:
    """The offers of which the raw catalogue has so many places and no more."""
    import polars as pl

    raw.check_complete(["catalogue.offers"])
    listed = (
        catalogue.offers(raw, context.rulebook.brand).filter(pl.col("o_total_cap").is_not_null()).select("offer_id").collect()
    )
    return sorted(listed["offer_id"].to_list())


def _judge(parts: Iterable[Inputs], held: pl.DataFrame, settings: Settings, context: Context, listed: list[Any]) -> _Verdict:
    """The parts judged one after the other, so that memory does not grow with people; a person is never split over parts."""
    import polars as pl

    found: list[pl.DataFrame] = []
    counts: dict[str, dict[str, Any]] = {}
    rows = people = 0
    for number, given in enumerate(parts):
        if number == 0:
            given.raw(settings, context.as_of).check_complete(RAW_TABLES)
        wide = wide_rows(given, held, settings, context)
        broken, counted = violations(wide, listed)
        if context.verdicts is not None:
            broken, counted = released.lift(broken, counted, wide, context.verdicts)
        found.append(broken)
        for code, count in counted.items():
            sums = counts.setdefault(code, {**count, "rows": 0, "violations": 0})
            sums["rows"] += count["rows"]
            sums["violations"] += count["violations"]
        rows += given.staged.height
        people += given.staged["person_id"].n_unique()
    return _Verdict(pl.concat(found).sort("decision_id", "rule", "code"), counts, rows, people)


def _open_counts(found: pl.DataFrame, counts: dict[str, Any], listed: list[Any], rows: int) -> dict[str, Any]:
    """Per code the rows it was checked on and those that broke it; restricted codes together as the neutral one."""

    hidden = {check.code for check in listed if check.visibility == "restricted"}
    told = {code: count for code, count in counts.items() if code not in hidden}
    broken = found.filter("is_restricted")["decision_id"].n_unique()
    return told | {NEUTRAL_CODE: {"rule": NEUTRAL_CODE, "rows": rows, "violations": broken}}


def _write_restricted(found: pl.DataFrame, folder: Path, settings: Settings) -> None:
    """Every violation with its true code, where only compliance reads; an empty file says that there was none."""
    for path in (settings.restricted_dir, settings.restricted_published_dir, folder):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    beside = folder / ".audit_violations.parquet"
    found.write_parquet(beside)
    beside.chmod(0o600)
    beside.rename(folder / "audit_violations.parquet")


def _refusal(found: pl.DataFrame, content: dict[str, Any], incident: Path) -> AuditFailed:
    """The error to raise, after the incident was opened: the first rows and rule paths, restricted ones under the neutral code."""
    import polars as pl

    neutral = (
        found.with_columns(
            pl.when("is_restricted").then(pl.lit(NEUTRAL_CODE)).otherwise("code").alias("code"),
            pl.when("is_restricted").then(pl.lit(NEUTRAL_CODE)).otherwise("rule_path").alias("rule_path"),
        )
        .unique(["decision_id", "code"])
        .sort("decision_id", "code")
    )
    first = neutral.head(ROWS_SHOWN).select("decision_id", "person_id", "offer_id", "channel", "code", "rule_path").to_dicts()
    counted = dict(neutral.group_by("code").len().sort("code").iter_rows())
    runs.write_json(
        incident,
        {
            "kind": "audit refused",
            "run_id": content["run_id"],
            "as_of": content["as_of"],
            "rows_audited": content["rows_audited"],
            "violations": content["violations"],
            "codes": counted,
            "first_rows": first,
            "published": False,
        },
    )
    lines = [
        f"  decision {row['decision_id']} person {row['person_id']} offer {row['offer_id']} channel {row['channel']}: "
        f"{row['code']} ({row['rule_path']})"
        for row in first
    ]
    log.error("audit refused run %s: %s", content["run_id"], counted)
    return AuditFailed(
        f"the audit refused {content['violations']:,} of {content['rows_audited']:,} staged offers: "
        + ", ".join(f"{code} {number:,}" for code, number in counted.items())
        + "\n"
        + "\n".join(lines),
        hint=f"nothing was published, yesterday's offers are still live; reports/{content['run_id']}/incident.json has the incident, "
        "the restricted face of the run has every row with its true code",
    )
