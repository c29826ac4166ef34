"""Which arm a person is in: a salted hash, remembered.

`state.arms` only ever grows. Somebody's arm in a run is `held_out` when any row of theirs, or of a person merged into them, known at
that run says so; so a merge can never bring offers to people who were to be left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from candor.errors import PolicyError

if TYPE_CHECKING:
    import duckdb

    from candor.runs import Run
    from candor.settings import Settings

BUCKETS = 10_000

# 48 bits of md5: every bucket is equally likely to within 1 in 10^10, and any engine computes the same.
NEW_ARMS = f"""
insert into state.arms
select
    people.person_id,
    case
        when ('0x' || left(md5($salt || people.person_id), 12))::bigint % {BUCKETS} < $held_out_buckets then 'held_out'
        else 'treated'
    end as arm,
    $batch_seq as batch_seq
from core.people as people
where not exists (
    select 1 from state.arms as known where known.person_id = people.person_id and known.batch_seq <= $batch_seq
)
order by people.person_id
"""

# A survivor with an arm of their own gets a second row, so that whoever reads state.arms by person sees the stricter one.
INHERITED_ARMS = """
insert into state.arms
select survivors.person_id, 'held_out' as arm, $batch_seq as batch_seq
from (
    select distinct aliases.surviving_person_id as person_id
    from state.arms as arms
    inner join identity.person_aliases as aliases
        on arms.person_id = aliases.person_id
    inner join core.people as people
        on aliases.surviving_person_id = people.person_id
    where arms.arm = 'held_out' and arms.batch_seq <= $batch_seq
) as survivors
where not exists (
    select 1 from state.arms as known
    where known.person_id = survivors.person_id and known.arm = 'held_out' and known.batch_seq <= $batch_seq
)
order by survivors.person_id
"""

COUNTS = """
select arm, count(*)
from (
    select arms.person_id, min(arms.arm) as arm  -- 'held_out' < 'treated'
    from state.arms as arms
    inner join core.people as people on arms.person_id = people.person_id
    where arms.batch_seq <= $batch_seq
    group by arms.person_id
)
group by arm order by arm
"""


def assign(connection: duckdb.DuckDBPyConnection, settings: Settings, run: Run) -> dict[str, Any]:
    """How many people of the run are in each arm, after everybody new has got one.

    Rows of earlier and of this batch stay as they are; a rerun finds them and adds nothing. Raises PolicyError without exactly one
    usable row in policy.experiments: a share that somebody forgot must not quietly become zero.
    """
    salt, share = _experiment(connection)
    parameters = {"salt": salt, "held_out_buckets": round(share * BUCKETS), "batch_seq": run.batch_seq}
    connection.execute("begin")
    try:
        before = _rows(connection)
        connection.execute(NEW_ARMS, parameters)
        if _has_aliases(connection):
            connection.execute(INHERITED_ARMS, {"batch_seq": run.batch_seq})
        added = _rows(connection) - before
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    people = dict(connection.execute(COUNTS, {"batch_seq": run.batch_seq}).fetchall())
    return {"people_treated": people.get("treated", 0), "people_held_out": people.get("held_out", 0), "arms_added": added}


def _experiment(connection: duckdb.DuckDBPyConnection) -> tuple[str, float]:
    import duckdb

    try:
        rows = connection.execute("select salt, holdout_share::double from policy.experiments").fetchall()
    except duckdb.CatalogException as error:
        raise PolicyError(f"policy.experiments is not loaded: {error}", hint="the policy stage writes it") from error
    if len(rows) != 1:
        raise PolicyError(f"policy.experiments must have one row, it has {len(rows)}", hint="see the policy folder")
    salt, share = rows[0]
    if not salt or share is None or not 0 <= share < 1:
        raise PolicyError(f"policy.experiments needs a salt and a holdout_share from 0 to below 1: {salt!r}, {share!r}")
    return salt, share


def _rows(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select count(*) from state.arms").fetchall()[0][0]


def _has_aliases(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = 'identity' and table_name = 'person_aliases'"
    )
    return bool(found.fetchall())
