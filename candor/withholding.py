"""Who gets no promotions this quarter for no reason at all: the standing random withhold (policy.md 5.1).

Whoever is held for a suspicion sees what these people see, and is told the one sentence that they are told; so neither what is shown nor
that sentence says that there is a suspicion. It is not the measurement holdout: another salt, drawn anew each quarter. The draw lives in
the vault, because whoever knew it would know who else is withheld.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import runs
from candor import settings as settings_module
from candor.errors import PolicyError
from candor.warehouse import connect, utc

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

BUCKETS = 10_000

TABLE = """
create schema if not exists vault.state;
create table if not exists vault.state.withheld (person_id varchar not null, quarter varchar not null, batch_seq bigint not null);
"""

# 48 bits of md5, as for the arms: every bucket is equally likely, and any engine computes the same.
DRAW = f"""
insert into vault.state.withheld
select people.person_id, $quarter as quarter, $batch_seq as batch_seq
from core.people as people
where ('0x' || left(md5($salt || $quarter || people.person_id), 12))::bigint % {BUCKETS} < $buckets
    and not exists (
        select 1 from vault.state.withheld as known where known.person_id = people.person_id and known.quarter = $quarter
    )
order by people.person_id
"""


def quarter_of(as_of: datetime) -> str:
    """The calendar quarter of an instant, in UTC: 2026-Q4."""
    instant = utc(as_of)
    return f"{instant.year}-Q{(instant.month + 2) // 3}"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty vault.state.withheld, unless it stands: one row per person and quarter of somebody drawn."""
    connection.execute(TABLE)


def run(as_of: datetime, settings: Settings | None = None) -> dict[str, Any]:
    """How many people of the run are withheld this quarter, after everybody new has been drawn. To be called before eligibility is built.

    Rows that stand stay. Raises PolicyError without exactly one usable row in policy.experiments.
    """
    settings = settings or settings_module.load()
    with connect(settings, restricted=True) as connection:
        current = runs.current(connection, as_of)
        rows = connection.execute("select withhold_salt, withhold_share::double from policy.experiments").fetchall()
        if len(rows) != 1 or not rows[0][0] or rows[0][1] is None or not 0 <= rows[0][1] < 1:
            raise PolicyError(
                f"policy.experiments needs one row with a withhold_salt and a withhold_share from 0 to below 1: {rows}",
                hint="policy/experiments.yml says them",
            )
        salt, share = rows[0]
        quarter = quarter_of(as_of)
        prepare(connection)
        connection.execute(
            DRAW, {"quarter": quarter, "batch_seq": current.batch_seq, "salt": salt, "buckets": round(share * BUCKETS)}
        )
        (withheld,) = connection.execute(
            "select count(*) from core.people inner join vault.state.withheld using (person_id) "
            "where withheld.quarter = ? and withheld.batch_seq <= ?",
            [quarter, current.batch_seq],
        ).fetchall()[0]
    return {"people_withheld_at_random": withheld}
