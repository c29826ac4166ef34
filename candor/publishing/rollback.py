"""Roll back: an earlier run becomes the one that readers see, without whatever of it may not be shown any more.

Its rows are judged again by the audit, by what is known now. What fails becomes a suppression in the same transaction that moves the
pointer, so no reader ever sees the run without its masks. Which rule spoke is not said in the store: a mask has neither code nor source.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from candor import runs
from candor import settings as settings_module
from candor.errors import AuditFailed, UsageError
from candor.publishing import store
from candor.publishing.publish import INSTANT_COLUMNS
from candor.warehouse import connect, instant_text

if TYPE_CHECKING:
    import polars as pl

    from candor.settings import Settings

REASON_KIND = "rollback"


def run(as_of: datetime, settings: Settings | None = None, *, to: str | None = None) -> dict[str, Any]:
    """Rows judged again, rows masked, and which run is live now in place of which; also in rollback.json of the run that is live now.

    Without `to` it is the latest run before the current one that has its offers still. Raises UsageError when there is none, and
    AuditFailed, before anything changed, when its rows cannot be judged.
    """
    settings = settings or settings_module.load()
    store.check(settings)
    store.prepare(settings)
    with connect(settings, restricted=True) as connection, store.only_publisher(settings):
        runs.prepare(connection)
        left, target, decided = _choose(settings, to)
        judged, expired = _judge(connection, settings, target, decided, as_of)
        _write_restricted(judged.found, settings, target, as_of)
        masked = judged.found["decision_id"].n_unique()
        if masked == judged.rows:
            raise AuditFailed(
                f"nothing of run {target} may be shown at {instant_text(as_of)}: of {judged.rows:,} offers that have not run out all are "
                f"refused ({', '.join(f'{code} {count:,}' for code, count in judged.counts.items()) or 'there are none'})",
                hint=f"nothing was rolled back, run {left} is still live; codes that end in _UNKNOWN want newer deliveries",
            )
        with store.transaction(settings) as serving:
            live = _move(serving, left, target, decided, judged.found)
        content = {
            "run_id": target,
            "rolled_back_from": left,
            "as_of": as_of.isoformat(),
            "decided_as_of": decided,
            "rows_judged": judged.rows,
            "rows_expired": expired,
            "rows_masked": masked,
            "masked_by_code": judged.counts,
            "rounds": judged.rounds,
            "policy_version": judged.policy_version,
            **live,
        }
    runs.write_json(settings.reports_dir / target / "rollback.json", content)
    return content


def _choose(settings: Settings, to: str | None) -> tuple[str, str, str]:
    """The run that is left, the run that becomes live, and its as_of."""
    with store.reading(settings) as reader:
        current = reader.rows("select run_id, as_of from runs where is_current = 1")
        known = reader.rows("select run_id, as_of, has_offers from runs order by as_of desc, run_id")
    if not current:
        raise UsageError("no run is live, so there is nothing to roll back from", hint="candor run --as-of … publishes one")
    left, left_as_of = current[0]
    with_offers = {run_id: as_of for run_id, as_of, has_offers in known if has_offers and run_id != left}
    named = ", ".join(f"{run_id} ({as_of})" for run_id, as_of in with_offers.items()) or "none"
    if to is None:
        earlier = [run_id for run_id, as_of in with_offers.items() if as_of < left_as_of]
        if not earlier:
            raise UsageError(f"no run before {left} ({left_as_of}) has its offers still", hint=f"runs with offers: {named}")
        to = earlier[0]
    if to not in with_offers:
        what = "is live already" if to == left else "has no offers in the store"
        raise UsageError(f"run {to!r} {what}", hint=f"runs to go back to: {named}")
    return left, to, with_offers[to]


def _judge(connection: Any, settings: Settings, target: str, decided: str, as_of: datetime) -> tuple[Any, int]:
    """What may not be shown of the run's rows that have not run out, after landing what was delivered since; and how many have run out."""
    from candor.audit import again
    from candor.ingest import land

    land(connection, settings, as_of)
    with store.reading(settings) as reader:
        rows = reader.arrow("select * from offers where run_id = ?", (target,))
    instants = ", ".join(f"{name}::varchar::timestamp as {name}" for name in INSTANT_COLUMNS)
    connection.register("rows_of_run", rows)
    connection.execute(
        f"""
        create or replace temp table rows_again as
        select * replace ({instants}) from rows_of_run where valid_until > ?
        """,
        [instant_text(as_of)],
    )
    connection.unregister("rows_of_run")
    judged = again.judge(connection, settings, run_id=target, decided_as_of=runs.parse_as_of(decided), now=as_of)
    return judged, rows.num_rows - judged.rows


def _move(serving: store.Store, left: str, target: str, decided: str, found: pl.DataFrame) -> dict[str, int]:
    """Mask what was found, let suppressions hold again that later runs had taken into account, and move the pointer."""
    cause = f"{REASON_KIND} {target}"
    serving.execute(
        "update suppressions set until = since, ended_by_run = ? where reason_kind = ? and ended_by_run is null",
        (target, REASON_KIND),
    )
    serving.execute("delete from suppressions where cause = ?", (cause,))
    masks = found.select("person_id", "offer_id", "channel").unique().sort("person_id", "offer_id", "channel")
    if masks.height:
        serving.execute("create table masked_offers (person_id text, offer_id text, channel text)")
        serving.load("masked_offers", _texts(masks))
        serving.execute(
            """
            insert into suppressions (suppression_id, person_id, offer_id, channel, reason_kind, since, cause)
            select cast(? as text) || '|' || person_id || '|' || offer_id || '|' || channel, person_id, offer_id, channel,
                cast(? as text), cast(? as text), cast(? as text)
            from masked_offers
            """,
            (cause, REASON_KIND, decided, cause),
        )
        serving.execute("drop table masked_offers")
    reopened = f"""
        reason_kind <> '{REASON_KIND}' and ended_by_run in (select run_id from runs where as_of > ?)
        and cause not in (select cause from known_deliveries where run_id = ?)
    """
    again = serving.rows(f"select count(*) from suppressions where {reopened}", (decided, target))[0][0]
    serving.execute(f"update suppressions set until = null, ended_by_run = null where {reopened}", (decided, target))
    # What was read for it before is looked up again, by the lookups of today.
    serving.execute("delete from revocation_reads where run_id = ?", (target,))
    serving.execute("update runs set is_current = 0 where is_current = 1")
    serving.execute("update runs set is_current = 1, rolled_back_from = ? where run_id = ?", (left, target))
    live = serving.rows("select count(*), count(distinct person_id) from live_offers")[0]
    return {"suppressions_again": again, "offers_live": live[0], "people_with_offers": live[1]}


def _texts(frame: pl.DataFrame) -> pa.Table:
    table = frame.to_arrow()
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _write_restricted(found: pl.DataFrame, settings: Settings, target: str, as_of: datetime) -> None:
    """Every masked row with its true codes, where only compliance reads."""
    folder = settings.restricted_published_dir / target
    for path in (settings.restricted_dir, settings.restricted_published_dir, folder):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    beside = folder / ".rollback.parquet"
    found.write_parquet(beside)
    beside.chmod(0o600)
    beside.rename(folder / f"rollback_{as_of:%Y-%m-%dT%H%M%SZ}.parquet")
