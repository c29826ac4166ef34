"""Who gets no promotions this quarter for no reason at all: the standing random withhold (policy.md 5.1).

Whoever is held for a suspicion sees what these people see, and is told the one sentence that they are told; so neither what is shown nor
that sentence says that there is a suspicion. It is not the measurement holdout: another salt, drawn anew each quarter. The draw lives in
the vault, because whoever knew it would know who else is withheld.

When promotions go must say nothing either. A hold begins when somebody decides it, at 10:15 on a Tuesday; did all random ones begin with the
quarter, the instant alone would tell them apart. So whoever is drawn has an instant of their own in the quarter, from which promotions
are withheld for a quarter; and between two runs they go as those of a hold do: when `candor revoke` reads the next delivery of restrictions, by
the same suppressions.
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
    import pyarrow as pa

    from candor.settings import Settings

BUCKETS = 10_000

TABLE = """
create schema if not exists vault.state;
create table if not exists vault.state.withheld (
    person_id varchar not null, quarter varchar not null, batch_seq bigint not null, starts_at timestamp, ends_at timestamp
);
-- Rows drawn before instants were have none: they hold from the quarter's first to its last.
alter table vault.state.withheld add column if not exists starts_at timestamp;
alter table vault.state.withheld add column if not exists ends_at timestamp;
"""

# 48 bits of md5, as for the arms: every bucket is equally likely, and any engine computes the same. 32 others say when in the quarter.
DRAWN = f"""
select
    people.person_id,
    $quarter as quarter,
    $first::timestamp + to_seconds(floor(drawn.part * epoch($next::timestamp - $first::timestamp))) as starts_at,
    $next::timestamp + to_seconds(floor(drawn.part * epoch($after::timestamp - $next::timestamp))) as ends_at
from {{people}} as people,
    lateral (select ('0x' || substr(md5($salt || $quarter || people.person_id), 13, 8))::bigint / 4294967296.0 as part) as drawn
where ('0x' || left(md5($salt || $quarter || people.person_id), 12))::bigint % {BUCKETS} < $buckets
"""
DRAW = f"""
insert into vault.state.withheld (person_id, quarter, batch_seq, starts_at, ends_at)
select drawn.person_id, drawn.quarter, $batch_seq as batch_seq, drawn.starts_at, drawn.ends_at
from ({DRAWN.format(people="core.people")}) as drawn
where not exists (
    select 1 from vault.state.withheld as known where known.person_id = drawn.person_id and known.quarter = drawn.quarter
)
order by drawn.person_id
"""
WITHHELD_NOW = """
select count(distinct person_id)
from core.people inner join vault.state.withheld using (person_id)
where withheld.batch_seq <= $batch_seq
    and case when withheld.starts_at is null then withheld.quarter = $quarter else withheld.starts_at <= $as_of and $as_of < withheld.ends_at end
"""
# Whose instant lies after the run that stands, each with the first delivery since that instant: from then on they look like who is held.
DUE = f"""
select drawn.person_id, min_by(read.cause, row(read.extracted_at, read.cause)) as cause
from ({DRAWN}) as drawn
inner join restriction_deliveries as read
    on read.extracted_at >= drawn.starts_at
where drawn.starts_at > $since
group by drawn.person_id
order by drawn.person_id
"""


def quarter_of(as_of: datetime) -> str:
    """The calendar quarter of an instant, in UTC: 2026-Q4."""
    instant = utc(as_of)
    return f"{instant.year}-Q{(instant.month + 2) // 3}"


def quarters(as_of: datetime) -> list[dict[str, Any]]:
    """The quarter before that of `as_of`, whose draws end in this one, and that of `as_of`: quarter, first, next and after next first instant."""
    instant = utc(as_of)
    here = instant.year * 4 + (instant.month - 1) // 3

    def first(number: int) -> datetime:
        return datetime(number // 4, number % 4 * 3 + 1, 1)  # noqa: DTZ001  naive UTC

    return [
        {
            "quarter": f"{number // 4}-Q{number % 4 + 1}",
            "first": first(number),
            "next": first(number + 1),
            "after": first(number + 2),
        }
        for number in (here - 1, here)
    ]


def due(connection: duckdb.DuckDBPyConnection, *, since: datetime, until: datetime, salt: str, share: float) -> pa.Table:
    """(person_id, cause) of the people in table `shown` whose promotions go now, after a run of `since` that still showed them.

    `cause` is that of the first of table `restriction_deliveries` since the person's own instant: a run that knows it withholds them itself.
    """
    import pyarrow as pa

    return pa.concat_tables(
        connection.execute(
            DUE.format(people="shown"), {**quarter, "since": utc(since), "salt": salt, "buckets": round(share * BUCKETS)}
        ).to_arrow_table()
        for quarter in quarters(until)
    )


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty vault.state.withheld, unless it stands: one row per person and quarter of somebody drawn, with the instants between which it holds."""
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
        prepare(connection)
        for quarter in quarters(as_of):
            connection.execute(
                DRAW, {**quarter, "batch_seq": current.batch_seq, "salt": salt, "buckets": round(share * BUCKETS)}
            )
        (withheld,) = connection.execute(
            WITHHELD_NOW, {"quarter": quarter_of(as_of), "as_of": utc(as_of), "batch_seq": current.batch_seq}
        ).fetchall()[0]
    return {"people_withheld_at_random": withheld}
