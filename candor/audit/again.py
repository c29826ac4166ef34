"""Rows of an earlier run judged again, by the audit's own rules and by everything that is known now.

What an earlier audit permitted may be forbidden since: somebody withdrew, a screening hit, a verification ran out, a rule changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from candor import audit, policy
from candor.audit import rulebook as rulebooks
from candor.audit.inputs import holders, merged_people, read
from candor.audit.raw import Raw
from candor.audit.rules import checks
from candor.errors import AuditFailed
from candor.runs import Run
from candor.warehouse import utc

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from candor.settings import Settings

ROWS = ("temp", "rows_again")

# What each folder holds now, of the deliveries extracted up to an instant: what a run of that instant would be pinned to.
KNOWN = """
select * from state.deliveries where extracted_at <= ?
qualify row_number() over (partition by source, table_name, delivery order by landed_seq desc) = 1
order by delivery_id
"""


@dataclass(frozen=True)
class Judged:
    """What may not be shown any more, of how many rows, and by which policy."""

    found: pl.DataFrame  # one row per row and check that it breaks
    rows: int
    rounds: int
    counts: dict[str, int]  # rows per code, restricted codes together as the neutral one
    policy_version: str


def judge(
    connection: duckdb.DuckDBPyConnection, settings: Settings, *, run_id: str, decided_as_of: datetime, now: datetime
) -> Judged:
    """What of temp.rows_again, rows of run `run_id` as they were staged, may not be shown at `now`; the rest passes the audit whole.

    Rows that break a rule are taken out and the rest is judged again, until nothing is found: some rules look at all offers of a person.
    Raises AuditFailed when there is no telling: raw data that is too old or not all there, or a policy that is not in force.
    """
    import polars as pl

    settings_policy = policy.load(settings.policy_dir, settings.shop)
    book = rulebooks.load(settings.policy_dir, settings.shop)
    instant = utc(now)
    if not book.pack_valid_from <= instant < book.pack_valid_to:
        raise AuditFailed(
            f"the policy is in force from {book.pack_valid_from} to {book.pack_valid_to}, not at {instant.isoformat()}Z",
            hint="nothing was rolled back; put a policy in force into CANDOR_POLICY_DIR",
        )
    known = pl.from_arrow(connection.execute(KNOWN, [instant]).to_arrow_table())
    assert isinstance(known, pl.DataFrame)
    known = known.with_columns(
        pl.col(name).cast(pl.Datetime("us")) for name, kind in known.schema.items() if isinstance(kind, pl.Datetime)
    )
    _require_current(known, settings_policy, instant)
    latest = connection.execute("select coalesce(max(batch_seq), 0) from state.batches").fetchall()[0][0]
    # As if a run of now had staged them: all that was published so far counts against caps, that of the run that goes as well.
    as_run = Run(now, run_id, latest + 1, settings_policy.version, None)
    context = audit.Context(
        instant,
        run_id,
        book,
        audit.killed_by_now(settings, settings.policy_dir, instant),
        audit.verdicts_by_now(settings, book, instant, merged_people(connection)),
        utc(decided_as_of),
    )
    listed = checks(context)
    raw = Raw(settings, instant, known, known)
    capped = audit._capped_offers(raw, context)
    rows = int(connection.execute(f"select count(*) from {'.'.join(ROWS)}").fetchall()[0][0])
    found: list[pl.DataFrame] = []
    while True:
        held = holders(connection, as_run, capped, rows_of=ROWS)
        verdict = audit._judge(read(connection, as_run, rows_of=ROWS, pinned=known), held, settings, context, listed)
        found.append(verdict.found)
        if verdict.found.is_empty():
            break
        connection.register("forbidden", verdict.found.select("decision_id").unique().to_arrow())
        connection.execute(f"delete from {'.'.join(ROWS)} where decision_id in (select decision_id from forbidden)")
        connection.unregister("forbidden")
    everything = pl.concat(found).sort("decision_id", "rule", "code")
    return Judged(everything, rows, len(found), _neutral_counts(everything), settings_policy.version)


def _require_current(known: pl.DataFrame, current_policy: Any, instant: datetime) -> None:
    """Raises AuditFailed when a table that a run cannot do without was not delivered in time for `instant`."""
    import polars as pl

    behind = []
    for silo in current_policy.silos:
        if silo.when_late != "stop" or silo.table not in audit.RAW_TABLES:
            continue
        source, name = silo.table.split(".")
        last = known.filter((pl.col("source") == source) & (pl.col("table_name") == name))["extracted_at"].max()
        if last is None or instant - last > timedelta(hours=silo.late_after_hours):  # type: ignore[operator]
            told = "never" if last is None else f"{last!s}Z"
            behind.append(f"{silo.table} (last {told}, at most {silo.late_after_hours} h)")
    if behind:
        raise AuditFailed(
            f"what is known is too old to judge by at {instant.isoformat()}Z: {', '.join(behind)}",
            hint="nothing was rolled back; let the sources deliver and call again",
        )


def _neutral_counts(found: pl.DataFrame) -> dict[str, int]:
    import polars as pl

    from candor.audit.rules import NEUTRAL_CODE

    codes = found.select(
        "decision_id", pl.when("is_restricted").then(pl.lit(NEUTRAL_CODE)).otherwise("code").alias("code")
    ).unique()
    return dict(codes.group_by("code").len().sort("code").iter_rows())
