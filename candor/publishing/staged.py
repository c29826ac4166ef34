"""What is staged, and whether it may go out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from candor import cleaning
from candor.errors import AuditFailed, GateFailed

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

# Rows are hashed, then hashed together in 4096 groups by the rows' hashes and once more over the groups: the order of the rows does not
# matter, and no text grows with their number beyond what fits in memory.
STAGED_HASH = """
with

row_hashes as (

    select md5(to_json(staged_offers)::varchar) as row_hash from decisions.staged_offers

),

group_hashes as (

    select left(row_hash, 3) as bucket, sha256(string_agg(row_hash, '' order by row_hash)) as group_hash
    from row_hashes
    group by left(row_hash, 3)

)

select sha256(coalesce(string_agg(bucket || group_hash, '' order by bucket), '')) from group_hashes
"""


def staged_hash(connection: duckdb.DuckDBPyConnection) -> str:
    """The content of decisions.staged_offers as one hash: every column of every row, whatever their order.

    The audit writes it beside its verdict; publishing refuses rows with another one.
    """
    return connection.execute(STAGED_HASH).fetchall()[0][0]


def require_permission(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> dict[str, Any]:
    """The audit's verdict over exactly the rows that are staged now.

    Raises AuditFailed or GateFailed when the audit or the gate did not pass, did not run, or looked at other rows, and UsageError when the
    warehouse is a copy that was decided with less than everything.
    """
    cleaning.refuse_reduced(connection)
    folder = settings.reports_dir / run.run_id
    again = f"candor run --as-of {run.as_of:%Y-%m-%dT%H:%M:%SZ}; yesterday's offers are still live"

    audit_file = folder / "audit.json"
    if not audit_file.is_file():
        raise AuditFailed(f"run {run.run_id} was not audited: there is no {audit_file}", hint=again)
    audit = json.loads(audit_file.read_text(encoding="utf-8"))
    if audit.get("run_id") != run.run_id:
        raise AuditFailed(f"{audit_file} speaks of run {audit.get('run_id')!r}, not {run.run_id!r}", hint=again)
    if audit.get("violations") != 0:
        raise AuditFailed(f"the audit of run {run.run_id} found {audit.get('violations')} violations", hint=again)
    rows = connection.execute("select count(*) from decisions.staged_offers").fetchall()[0][0]
    if audit.get("rows_audited") != rows:
        raise AuditFailed(f"the audit of run {run.run_id} saw {audit.get('rows_audited')} rows, {rows} are staged", hint=again)
    content = staged_hash(connection)
    if audit.get("staged_hash") != content:
        raise AuditFailed(
            f"what is staged changed since the audit of run {run.run_id} (then {audit.get('staged_hash')}, now {content})",
            hint=again,
        )

    gate_file = folder / "gates" / "served.json"
    if not gate_file.is_file():
        raise GateFailed(f"gate 'served' of run {run.run_id} did not run: there is no {gate_file}", hint=again)
    if json.loads(gate_file.read_text(encoding="utf-8")).get("passed") is not True:
        raise GateFailed(f"gate 'served' of run {run.run_id} did not pass", hint=f"{gate_file} says why; {again}")
    return audit
